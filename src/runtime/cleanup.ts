/** How the monitor watches over init, and what it leaves behind: nothing. */
import { encodeOp, type IdMapRange } from "../kernel/mod.ts";
import { type CgroupPlan, removeCgroup } from "./cgroup.ts";
import type { Draft, Reason } from "./draft.ts";
import { runPoststopHooks } from "./hooks.ts";
import { leaveResctrl } from "./intel-rdt.ts";
import { processOf } from "./process.ts";

const ours: Reason = { pointer: "", section: "", origin: { by: "default" } };

/** Monitor, before anything can fail: who explains a failed op. */
export function explainFailures(draft: Draft): void {
  const { reportFailure } = draft.input.container;
  if (reportFailure.length > 0) {
    draft.monitor({ op: "reportFailure", argv: reportFailure }, ours);
  }
}

/** Monitor, before clone: a program without a terminal of its own gets pipes, never the user's. */
export function guardTerminal(draft: Draft): void {
  // Who is released has the streams of its creator.
  if (processOf(draft).terminal !== true && draft.input.container.release === undefined) {
    draft.monitor(
      { op: "pipeStreams" },
      { pointer: "/process/terminal", section: "config.md#process", origin: { by: "default" } },
    );
  }
}

/** Monitor, before clone: who waits for a start listens itself. */
export function hearReadiness(draft: Draft): void {
  const { notify, startFifo } = draft.input.container;
  if (notify !== undefined && startFifo === undefined) {
    draft.monitor({ op: "notifySocket", ...notify }, ours);
  }
}

/** Monitor, from execve to the end of the program; or it leaves init to its caller. */
export function supervise(draft: Draft): void {
  const { container, joined } = draft.input;
  if (container.pidfdSocket !== undefined) {
    const data = joined === undefined ? "standard" : "setns";
    draft.monitor({ op: "sendPidfd", socket: container.pidfdSocket, data }, ours);
  }
  if (container.release !== undefined) {
    draft.monitor(
      {
        op: "release",
        processFile: container.release.processFile,
        pidFile: container.plainPidFile ?? "",
        cleanUp: container.release.cleanUp ?? false,
      },
      { pointer: "/process", section: "runtime.md#lifecycle", origin: { by: "default" } },
    );
    return;
  }
  if (container.plainPidFile !== undefined) {
    draft.monitor({ op: "writePidFile", path: container.plainPidFile }, ours);
  }
  draft.monitor(
    {
      op: "supervise",
      exitFile: container.exitFile ?? "",
      pidFile: container.pidFile ?? "",
      forwardSignals: container.forwardSignals,
      relayInput: container.stdin === "inherit",
      cleanUp: container.keep !== true,
    },
    { pointer: "/process", section: "runtime.md#lifecycle", origin: { by: "default" } },
  );
}

/** Cleanup: whatever happened. The cgroup, the container's own files, then the hooks that may look for them. */
export function cleanUp(draft: Draft, cgroup: CgroupPlan): void {
  removeCgroup(draft, cgroup);
  leaveResctrl(draft);
  for (const op of draft.input.container.beforeRemoval ?? []) draft.cleanup(op, ours);
  removeTrees(draft);
  runPoststopHooks(draft);
}

function removeTrees(draft: Draft): void {
  const { removeTrees: trees, helper } = draft.input.container;
  const ops = trees.map((path) => ({ op: "removeTree", path: { base: "host", path } }) as const);
  const privileged = draft.input.host.identity.euid === 0;
  if (ops.length === 0) {
    return;
  }
  if (privileged || !(draft.owns("user") || draft.input.container.removalMaps) || helper === undefined) {
    for (const op of ops) {
      draft.cleanup(op, ours);
    }
    return;
  }
  draft.cleanup(
    {
      op: "runProgram",
      path: helper,
      argv: [helper, "apply", ...userNamespaceArguments(draft)],
      env: [],
      stdin: concatenate(ops.map((op) => encodeOp(op))),
      timeoutSeconds: 0,
      stateOnStdin: false,
      outputFile: "",
      errorFile: "",
    },
    { pointer: "/linux/uidMappings", section: "", origin: { by: "default" } },
  );
}

/** As `vitrine-helper apply` reads them: `c:h:n,c:h:n`. */
function userNamespaceArguments(draft: Draft): string[] {
  const { config, container } = draft.input;
  const map = (ranges: readonly IdMapRange[] = []) =>
    ranges.map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`).join(",");
  const { uids, gids } = container.removalMaps ?? {
    uids: config.linux?.uidMappings,
    gids: config.linux?.gidMappings,
  };
  const words = ["--userns", map(uids), map(gids)];
  const tools = container.idMapTools;
  return tools === undefined
    ? words
    : [...words, "--newuidmap", tools.newuidmap, "--newgidmap", tools.newgidmap];
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
