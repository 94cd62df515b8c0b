/**
 * `vitrine runtime VERB`, also `vitrine-runtime VERB`: the command line of runc, which engines drive. Its options,
 * exit statuses and log are runc's, so nothing of vitrine's own command line applies here.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { VitrineError } from "../../base/mod.ts";
import { defineCommand, type OptionTable } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { failureOf } from "../framework/failure.ts";
import { nearest } from "../framework/nearest.ts";
import { type ParsedLine, parseLine } from "../framework/parse.ts";
import { type LogFormat, makeLog, type RuntimeLog } from "./log.ts";
import type { RuntimeGlobals, Verb } from "./verb.ts";

const verbs: Readonly<Record<string, () => Promise<{ readonly verb: Verb }>>> = {
  create: () => import("./verbs/create.ts"),
  start: () => import("./verbs/start.ts"),
  state: () => import("./verbs/state.ts"),
  kill: () => import("./verbs/kill.ts"),
  delete: () => import("./verbs/delete.ts"),
  run: () => import("./verbs/run.ts"),
  exec: () => import("./verbs/exec.ts"),
  list: () => import("./verbs/list.ts"),
  ps: () => import("./verbs/ps.ts"),
  pause: () => import("./verbs/pause.ts"),
  resume: () => import("./verbs/resume.ts"),
  update: () => import("./verbs/update.ts"),
  events: () => import("./verbs/events.ts"),
  spec: () => import("./verbs/spec.ts"),
  features: () => import("./verbs/features.ts"),
  checkpoint: () => import("./verbs/checkpoint.ts"),
  restore: () => import("./verbs/restore.ts"),
  __failed: () => import("./verbs/failed.ts"),
};

const globalTable = {
  root: {
    type: "string",
    value: "DIR",
    completion: "directory",
    help: "where the state of containers is kept",
  },
  log: { type: "string", value: "FILE", completion: "file", help: "a file for the log, in place of stderr" },
  "log-format": { type: "string", default: "text", choices: ["text", "json"], help: "the format of the log" },
  debug: { type: "boolean", help: "log more" },
  "systemd-cgroup": { type: "boolean", help: "make cgroups by systemd" },
  "cgroup-manager": { type: "string", hidden: true, help: "as crun: cgroupfs, systemd or disabled" },
  rootless: { type: "string", value: "true|false|auto", default: "auto", help: "ignored: vitrine knows" },
  criu: { type: "string", hidden: true, value: "PATH", help: "ignored, as runc does: criu is found by PATH" },
  version: { type: "boolean", short: "v", help: "print the version" },
} as const satisfies OptionTable;

export const command = defineCommand({
  description: "The OCI runtime: the command line of runc, for engines. Also started as vitrine-runtime.",
  usage: ["[GLOBAL OPTIONS] VERB [OPTIONS] [CONTAINER] [ARG...]"],
  raw: true,
  options: {},
  positionals: [{ name: "VERB" }],
  run: ({ arguments: words, context }) => runRuntime(words, context),
});

async function runRuntime(words: readonly string[], context: Context): Promise<number> {
  let log = makeLog({ file: undefined, format: "text", debug: false, now: context.now });
  let debug = false;
  let verb: Verb | undefined;
  try {
    const line = parseLine(words, {
      options: globalTable,
      stopAtFirstPositional: true,
      helpCommand: "vitrine-runtime --help",
    });
    debug = line.options["debug"] === true;
    log = logOf(line, context);
    const [name, ...rest] = line.positionals;
    if (line.options["version"] === true) return await printVersion(context);
    if (line.help || name === undefined || name === "help") return await printHelp(context, undefined);
    verb = await loadVerb(name);
    const parsed = parseLine(rest, {
      options: verb.options,
      stopAtFirstPositional: verb.stopAtFirstPositional === true,
      helpCommand: `vitrine-runtime ${name} --help`,
    });
    if (parsed.help) return await printHelp(context, name);
    requireCount(name, verb, parsed.positionals);
    const globalWords = words.slice(0, words.length - line.positionals.length);
    const status = await verb.run({
      options: parsed.options as never,
      given: parsed.given,
      positionals: parsed.positionals,
      globals: globalsOf(line, context, globalWords),
      log,
      context,
    });
    return status ?? 0;
  } catch (error) {
    return tell(error, log, debug, verb);
  }
}

/** Errors of the helper are told by `__failed`; all others here. */
function tell(error: unknown, log: RuntimeLog, debug: boolean, verb: Verb | undefined): number {
  const known = error instanceof VitrineError ? error : undefined;
  const { text } = failureOf(error, debug);
  if (known === undefined && text === "") return 141;
  const message = known?.message ?? text.replace(/^error: /, "").trimEnd();
  log.error(known?.hint === undefined ? message : `${message} (${known.hint})`);
  // A word that is no verb is 3 in runc.
  return verb?.failure ?? (known?.code === "unknown-command" ? 3 : 1);
}

function logOf(line: ParsedLine, context: Context): RuntimeLog {
  const file = line.options["log"] as string | undefined;
  return makeLog({
    file: file === undefined || file === "" ? undefined : path.resolve(file),
    format: line.options["log-format"] as LogFormat,
    debug: line.options["debug"] === true,
    now: context.now,
  });
}

function globalsOf(line: ParsedLine, context: Context, words: readonly string[]): RuntimeGlobals {
  const root = line.options["root"] as string | undefined;
  return {
    root: path.resolve(root === undefined || root === "" ? defaultRoot(context) : root),
    systemdCgroup: line.options["systemd-cgroup"] === true || line.options["cgroup-manager"] === "systemd",
    debug: line.options["debug"] === true,
    words,
  };
}

/** As runc: root of a user namespace that an engine made is not root, unless it says so. */
function defaultRoot({ uid, environment }: Context): string {
  const own = environment["XDG_RUNTIME_DIR"];
  const rootless = uid !== 0 || (environment["USER"] !== "root" && !inFirstUserNamespace());
  return rootless && own !== undefined && own !== "" ? `${own}/vitrine-runtime` : "/run/vitrine-runtime";
}

function inFirstUserNamespace(): boolean {
  try {
    return /^\s*0\s+0\s+4294967295\s*$/.test(fs.readFileSync("/proc/self/uid_map", "latin1"));
  } catch {
    return true;
  }
}

async function loadVerb(name: string): Promise<Verb> {
  const load = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (load !== undefined) return (await load()).verb;
  const close = nearest(name, Object.keys(verbs));
  throw new VitrineError("invalid", `unknown command: ${name}`, {
    code: "unknown-command",
    operand: name,
    hint: close === undefined ? "see 'vitrine-runtime --help'" : `did you mean '${close}'?`,
  });
}

function requireCount(name: string, verb: Verb, positionals: readonly string[]): void {
  const [least, most] = verb.positionals;
  if (positionals.length >= least && (verb.stopAtFirstPositional || positionals.length <= most)) return;
  const wanted =
    least === most
      ? `exactly ${least}`
      : positionals.length < least
        ? `at least ${least}`
        : `at most ${most}`;
  throw new VitrineError("invalid", `${name}: needs ${wanted} argument(s): ${name} ${verb.usage}`, {
    code: positionals.length < least ? "missing-argument" : "surplus-argument",
    operand: name,
  });
}

async function printVersion(context: Context): Promise<number> {
  const [{ version }, { runtimeSpecVersion }] = await Promise.all([
    import("../version.ts"),
    import("./spec-version.ts"),
  ]);
  context.out(`vitrine-runtime version ${version}\nspec: ${runtimeSpecVersion}\n`);
  return 0;
}

async function printHelp(context: Context, name: string | undefined): Promise<number> {
  const { renderRuntimeHelp } = await import("./help.ts");
  const loaded = await Promise.all(
    Object.entries(verbs)
      .filter(([key]) => !key.startsWith("__") && (name === undefined || key === name))
      .map(async ([key, load]) => [key, (await load()).verb] as const),
  );
  context.out(renderRuntimeHelp(loaded, globalTable, name));
  return 0;
}
