/** pause and resume: the freezer of the container's cgroup. */
import { VitrineError } from "../../../base/mod.ts";
import { freeze, type LifecycleStatus, readState, thaw } from "../../../runtime/mod.ts";

export function setFrozen(root: string, id: string, frozen: boolean): void {
  const { record, status } = readState(root, id);
  const allowed: readonly LifecycleStatus[] = frozen ? ["running", "created"] : ["paused"];
  if (!allowed.includes(status)) {
    throw new VitrineError(
      "invalid",
      `container ${id} is ${status}: cannot ${frozen ? "pause" : "resume"} it`,
      {
        code: frozen ? "container-not-running" : "container-not-paused",
        operand: id,
      },
    );
  }
  if (frozen) freeze(record.cgroup, id);
  else thaw(record.cgroup, id);
}
