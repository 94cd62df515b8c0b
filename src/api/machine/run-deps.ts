/** What the engine needs of the world, from a machine. */
import * as fs from "node:fs";
import * as os from "node:os";
import { makeSeccompService, type RunDeps } from "../../engine/mod.ts";
import { probeHost } from "../../kernel/mod.ts";
import type { Machine } from "./machine.ts";
import { resolveImage } from "./resolve.ts";
import { openMachineStore } from "./storage.ts";

export function runDeps(machine: Machine): RunDeps {
  const host = probeHost();
  return {
    paths: machine.paths(),
    host,
    helperPath: machine.helperPath(),
    environment: machine.environment,
    hostname: os.hostname(),
    parentPid: process.ppid,
    exists: fs.existsSync,
    seccomp: makeSeccompService(host),
    cgroupManager: machine.cgroupManager,
    failureCommand: (id) => machine.failureCommand(id),
    beforeLongWork: () => {},
    openStore: (ids) => openMachineStore(machine, ids),
    resolveImage,
    now: machine.now,
    random: Math.random,
    warn: (line) => machine.log("warn", line),
  };
}
