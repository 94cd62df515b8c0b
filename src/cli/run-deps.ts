/** What the engine needs of the world, from a command's context. */
import * as fs from "node:fs";
import * as os from "node:os";
import { makeSeccompService, type RunDeps } from "../engine/mod.ts";
import { probeHost } from "../kernel/mod.ts";
import type { Context } from "./framework/context.ts";
import { openContextStore } from "./framework/storage.ts";
import { resolveImage } from "./images/resolve.ts";

export function runDeps(context: Context): RunDeps {
  const host = probeHost();
  const paths = context.paths();
  return {
    paths,
    host,
    helperPath: context.helperPath(),
    environment: context.environment,
    hostname: os.hostname(),
    parentPid: process.ppid,
    exists: fs.existsSync,
    seccomp: makeSeccompService(host),
    failureCommand: (id) => [
      ...selfCommand(),
      "--root",
      paths.root,
      "--runroot",
      paths.runroot,
      ...(context.globals.debug ? ["--debug"] : []),
      "__failed",
      id,
    ],
    beforeLongWork: () => {},
    openStore: (ids) => openContextStore(context, ids),
    resolveImage,
    now: context.now,
    random: Math.random,
    warn: (line) => context.log("warn", line),
  };
}

/** Started from its sources, node or bun is the program and the script its first argument. */
function selfCommand(): readonly string[] {
  const script = process.argv[1] ?? "";
  return script.endsWith(".ts") && !script.startsWith("/$bunfs")
    ? [process.execPath, script]
    : [process.execPath];
}
