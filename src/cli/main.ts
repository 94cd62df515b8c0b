/** The executable's entry: the process-wide part of a command line. Everything else is in framework/. */
import { writeAll } from "../base/mod.ts";
import { dispatch } from "./framework/dispatch.ts";
import { type Failure, failureOf } from "./framework/failure.ts";

// Bun reads these from the environment of every program that it built: they must not reach what we execute.
delete process.env["BUN_OPTIONS"];
delete process.env["BUN_BE_BUN"];

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
dispatch(process.argv.slice(2), process.env, report).then((status) => process.exit(status), lastResort);
