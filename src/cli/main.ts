/** The executable's entry: the process-wide part of a command line. Everything else is in framework/. */
import { writeAll } from "../base/mod.ts";
import { dispatch } from "./framework/dispatch.ts";
import { type Failure, failureOf } from "./framework/failure.ts";
import { interpretedVariable, restartCompiled } from "./framework/restart.ts";

// The launcher (native/launcher.c) let none of Bun's variables through but its own, which must not reach what we
// execute. From the sources, or without the launcher, the others go here.
const interpreted = process.env[interpretedVariable] === "0";
const settings: NodeJS.ProcessEnv = {};
for (const [name, value] of Object.entries(process.env)) {
  if (!name.startsWith("BUN_")) continue;
  if (name.startsWith("BUN_JSC_")) settings[name] = value;
  delete process.env[name];
}

const report = (failure: Failure): void => {
  writeAll(2, failure.text);
};

// What no command caught. Without these, the runtime would print source text and exit with a status of its own.
const lastResort = (error: unknown): never => {
  const failure = failureOf(error, process.env["VITRINE_LOG_LEVEL"] === "debug");
  report(failure);
  process.exit(failure.status);
};
process.on("uncaughtException", lastResort);
process.on("unhandledRejection", lastResort);

// All output is synchronous, so that nothing is lost by leaving at once.
const args = process.argv.slice(2);
const restart = interpreted ? () => restartCompiled(args, { ...process.env, ...settings }) : undefined;
dispatch(args, process.env, report, restart).then((status) => process.exit(status), lastResort);
