/** The Context of a real process. */
import { isTerminal, printable, writeAll } from "../../base/mod.ts";
import type { HostFacts } from "../../kernel/mod.ts";
import type { Store } from "../../store/mod.ts";
import {
  type Context,
  type GlobalOptions,
  type LogLevel,
  logLevels,
  OutputClosed,
  type StatePaths,
} from "./context.ts";
import { findHelper, statePaths } from "./locations.ts";
import { terminalWidth } from "./terminal.ts";

export function makeContext(
  globals: GlobalOptions,
  environment: NodeJS.ProcessEnv,
  restart?: () => void,
): Context {
  let paths: StatePaths | undefined;
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
    paths() {
      paths ??= statePaths(globals, environment, uid, (message) => context.log("warn", message));
      return paths;
    },
    helperPath() {
      helper ??= findHelper(environment, process.execPath);
      return helper;
    },
    host() {
      host ??= import("./host.ts").then(({ probeHost }) => probeHost());
      return host;
    },
    store() {
      store ??= import("./storage.ts").then((module) => module.openContextStore(context));
      return store;
    },
    out(text) {
      if (!writeAll(1, text)) throw new OutputClosed();
    },
    err(text) {
      writeAll(2, text);
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
