/** Containers that stand still. */
import { VitrineError } from "../../base/mod.ts";
import { freeze, liveCgroup, thaw } from "../../runtime/mod.ts";
import { recordContainerEvent } from "../events/record.ts";
import { notRunning } from "./end.ts";
import type { Container, EnginePaths } from "./record.ts";
import { isPaused, runningProcess } from "./state.ts";

/** Errors: `container-not-running`, `container-paused`, `freezer-unavailable`, `freezer-timeout`. */
export function pauseContainer(paths: EnginePaths, container: Container): void {
  if (runningProcess(paths, container) === undefined) throw notRunning(container);
  if (isPaused(container)) throw paused(container);
  freeze(liveCgroup(container.cgroups), container.name);
  recordContainerEvent(paths, container, "pause");
}

/** Errors: `container-not-running`, `container-not-paused`. */
export function unpauseContainer(paths: EnginePaths, container: Container): void {
  if (runningProcess(paths, container) === undefined) throw notRunning(container);
  if (!isPaused(container)) {
    throw new VitrineError("invalid", `container ${container.name} is not paused`, {
      code: "container-not-paused",
      operand: container.name,
      hint: `vitrine pause ${container.name}`,
    });
  }
  thaw(liveCgroup(container.cgroups), container.name);
  recordContainerEvent(paths, container, "unpause");
}

export function paused(container: Container): VitrineError {
  return new VitrineError("invalid", `container ${container.name} is paused`, {
    code: "container-paused",
    operand: container.name,
    hint: `vitrine unpause ${container.name}`,
  });
}
