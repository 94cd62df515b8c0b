/** Changes of a record: one command at a time, and a reader sees the old or the new one. */
import * as fs from "node:fs";
import { errnoOf, VitrineError, withLock, writeFileAtomically } from "../../base/mod.ts";
import { recordContainerEvent } from "../events/record.ts";
import { claimName, releaseName } from "./names.ts";
import {
  type Container,
  containerDirectory,
  type EnginePaths,
  readContainer,
  startedFile,
} from "./record.ts";
import { monitorLives } from "./state.ts";

/** Error: `container-not-found` when it was removed meanwhile. */
export async function changeContainer(
  paths: EnginePaths,
  id: string,
  change: (container: Container) => Container,
): Promise<void> {
  await withLock(`${paths.root}/lock.db`, () => {
    const container = readContainer(paths, id);
    if (container === undefined) {
      throw new VitrineError("not-found", `there is no container ${id.slice(0, 12)} any more`, {
        code: "container-not-found",
        operand: id,
        hint: "see 'vitrine ps --all'",
      });
    }
    const file = `${containerDirectory(paths, id)}/container.json`;
    writeFileAtomically(file, JSON.stringify(change(container)), { mode: 0o600 });
  });
}

/**
 * For whoever starts containers and stays itself: from the start on it is RUNROOT/containers/ID/monitor that says who holds
 * the container, and the record no longer names the process that made it. Nothing is done about one that is gone already.
 */
export async function leaveToMonitor(paths: EnginePaths, id: string, now: number): Promise<void> {
  try {
    fs.writeFileSync(startedFile(paths, id), String(now), { mode: 0o600 });
    await changeContainer(paths, id, ({ monitor: _, ...container }) => container);
  } catch (error) {
    const gone = error instanceof VitrineError && error.code === "container-not-found";
    if (!gone && errnoOf(error) !== "ENOENT") throw error;
  }
}

/** Errors: `name-in-use`, `container-not-found`. */
export async function renameContainer(paths: EnginePaths, container: Container, name: string): Promise<void> {
  if (name === container.name) {
    throw new VitrineError("invalid", `container ${name} has that name already`, {
      code: "name-unchanged",
      operand: name,
      hint: "give another name",
    });
  }
  await claimName(paths, container.id, name);
  try {
    await changeContainer(paths, container.id, (current) => ({ ...current, name }));
  } catch (error) {
    releaseName(paths, name, container.id);
    throw error;
  }
  recordContainerEvent(paths, { ...container, name }, "rename", { oldName: `/${container.name}` });
  // The plan of one that runs with --rm removes its first name at the end: until then nobody else may have it.
  if (!(container.remove && monitorLives(paths, container))) releaseName(paths, container.name, container.id);
}
