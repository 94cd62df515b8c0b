/** pause and resume: the freezer of the container's cgroup. */
import * as fs from "node:fs";
import { VitrineError } from "../../../base/mod.ts";
import { freezer, type LifecycleStatus, readState } from "../../../runtime/mod.ts";

export function setFrozen(root: string, id: string, freeze: boolean): void {
  const { record, status } = readState(root, id);
  const allowed: readonly LifecycleStatus[] = freeze ? ["running", "created"] : ["paused"];
  if (!allowed.includes(status)) {
    throw new VitrineError(
      "invalid",
      `container ${id} is ${status}: cannot ${freeze ? "pause" : "resume"} it`,
      {
        code: freeze ? "container-not-running" : "container-not-paused",
        operand: id,
      },
    );
  }
  const found = freezer(record);
  if (found === undefined) {
    throw new VitrineError("unsupported", `container ${id} has no cgroup that can be frozen`, {
      code: "freezer-unavailable",
      operand: id,
      hint: "an unprivileged user needs a delegated cgroup v2",
    });
  }
  fs.writeFileSync(found.file, freeze ? found.frozen : found.thawed);
  if (freeze) awaitFrozen(root, id);
}

/** v1 freezes little by little: FREEZING until the last one stands. */
function awaitFrozen(root: string, id: string): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let turn = 0; turn < 500; turn++) {
    if (readState(root, id).status !== "running") return;
    Atomics.wait(pause, 0, 0, 2);
  }
  throw new VitrineError("unavailable", `container ${id} does not freeze`, {
    code: "freezer-timeout",
    operand: id,
  });
}
