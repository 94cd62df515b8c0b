/** How the monitor watches over init, and what it leaves behind: nothing. */
import { type CgroupPlan, removeCgroup } from "./cgroup.ts";
import type { Draft, Reason } from "./draft.ts";
import { runPoststopHooks } from "./hooks.ts";
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
  if (processOf(draft).terminal !== true) {
    draft.monitor(
      { op: "pipeStreams" },
      { pointer: "/process/terminal", section: "config.md#process", origin: { by: "default" } },
    );
  }
}

/** Monitor, from execve to the end of the program. */
export function supervise(draft: Draft): void {
  const { container } = draft.input;
  draft.monitor(
    {
      op: "supervise",
      exitFile: container.exitFile ?? "",
      pidFile: container.pidFile ?? "",
      forwardSignals: container.forwardSignals,
      relayInput: container.stdin === "inherit",
    },
    { pointer: "/process", section: "runtime.md#lifecycle", origin: { by: "default" } },
  );
}

/** Cleanup: whatever happened. The cgroup, the container's own files, then the hooks that may look for them. */
export function cleanUp(draft: Draft, cgroup: CgroupPlan): void {
  removeCgroup(draft, cgroup);
  for (const path of draft.input.container.removeTrees) {
    draft.cleanup({ op: "removeTree", path: { base: "host", path } }, ours);
  }
  runPoststopHooks(draft);
}
