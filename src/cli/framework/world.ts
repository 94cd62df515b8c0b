/** The Context of a real process. */
import { expectedHelper, findHelper, statePaths } from "../../api/locations.ts";
import { isTerminal, printable, writeAll } from "../../base/mod.ts";
import type { HostFacts } from "../../kernel/mod.ts";
import type { Store } from "../../store/mod.ts";
import { type Context, type GlobalOptions, type LogLevel, logLevels, OutputClosed } from "./context.ts";
import { terminalWidth } from "./terminal.ts";

export function makeContext(
  globals: GlobalOptions,
  environment: NodeJS.ProcessEnv,
  restart?: () => void,
): Context {
  let paths: ReturnType<typeof statePaths> | undefined;
  let helper: string | undefined;
  let host: Promise<HostFacts> | undefined;
  let store: Promise<Store> | undefined;
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const context: Context = {
    globals,
    environment,
    uid,
    gid,
    storageDriver: globals.storageDriver,
    cgroupManager: globals.cgroupManager,
    paths() {
      paths ??= statePaths(globals, environment, uid, (message) => context.log("warn", message));
      return paths;
    },
    helperPath() {
      helper ??= findHelper(environment, process.execPath);
      return helper;
    },
    expectedHelper() {
      return expectedHelper(environment, process.execPath);
    },
    host() {
      host ??= import("./host.ts").then(({ probeHost }) => probeHost());
      return host;
    },
    store() {
      store ??= import("./storage.ts").then((module) => module.openMachineStore(context));
      return store;
    },
    out(text) {
      if (!writeAll(1, text)) throw new OutputClosed();
    },
    err(text) {
      writeAll(2, text);
    },
    failureCommand(id) {
      const { root, runroot } = context.paths();
      const flags = ["--root", root, "--runroot", runroot, ...(globals.debug ? ["--debug"] : [])];
      return [...selfCommand(), ...flags, "__failed", id];
    },
    log(level, message) {
      if (logLevels.indexOf(level) < logLevels.indexOf(globals.logLevel)) return;
      writeAll(2, `${logPrefix[level]}: ${printable(message, { lines: true })}\n`);
    },
    get stdinIsTerminal() {
      return isTerminal(0);
    },
    get stdoutIsTerminal() {
      return isTerminal(1);
    },
    terminalWidth() {
      return isTerminal(1) ? terminalWidth(environment) : Number.POSITIVE_INFINITY;
    },
    now: Date.now,
    restart,
  };
  return context;
}

const logPrefix: Readonly<Record<LogLevel, string>> = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
};

/** Started from its sources, node or bun is the program and the script its first argument. */
function selfCommand(): readonly string[] {
  const script = process.argv[1] ?? "";
  return script.endsWith(".ts") && !script.startsWith("/$bunfs")
    ? [process.execPath, script]
    : [process.execPath];
}
