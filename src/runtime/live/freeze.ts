/** The freezer of a container's cgroup: `freezer.state` of v1, `cgroup.freeze` of v2. */
import * as fs from "node:fs";
import { VitrineError } from "../../base/mod.ts";
import { enterHierarchy, type LiveCgroup, moveAll, readControl } from "./control.ts";

/** All of its processes stand still, or are told to. */
export function isFrozen(cgroup: LiveCgroup): boolean {
  if (cgroup.mode === "v2") return readControl(cgroup, "cgroup.freeze")?.trim() === "1";
  const directory = freezerDirectory(cgroup);
  const state = directory === undefined ? undefined : readControl(only(directory), "freezer.state");
  return state !== undefined && state.trim() !== "THAWED";
}

/**
 * Returns when the last process stands still. On v1 the container's place in the freezer's hierarchy is made when it is
 * first needed. Errors: `freezer-unavailable`, `freezer-timeout`.
 */
export function freeze(cgroup: LiveCgroup, name: string): void {
  if (cgroup.mode === "v2") {
    write(cgroup, "cgroup.freeze", "1", name);
    awaitFrozen(name, () => /^frozen 1$/m.test(readControl(cgroup, "cgroup.events") ?? ""));
    return;
  }
  const directory = freezerDirectory(cgroup);
  if (directory === undefined) throw unavailable(name);
  enterHierarchy(cgroup, directory);
  const freezer = only(directory);
  write(freezer, "freezer.state", "FROZEN", name);
  awaitFrozen(name, () => {
    // Who was started by `exec` before this hierarchy was the container's, or forked while it was entered.
    moveAll(cgroup, directory);
    // v1 freezes little by little, and a process that was not ready must be told again.
    if (readControl(freezer, "freezer.state")?.trim() === "FROZEN") return true;
    write(freezer, "freezer.state", "FROZEN", name);
    return false;
  });
}

/** What was not frozen is left as it is. Error: `freezer-unavailable`. */
export function thaw(cgroup: LiveCgroup, name: string): void {
  if (cgroup.mode === "v2") {
    write(cgroup, "cgroup.freeze", "0", name);
    return;
  }
  const directory = freezerDirectory(cgroup);
  if (directory === undefined) throw unavailable(name);
  if (fs.existsSync(directory)) write(only(directory), "freezer.state", "THAWED", name);
}

/** Told by its name: it may not be made yet, and the hierarchy's mount point carries the controller's name. */
function freezerDirectory({ directories }: LiveCgroup): string | undefined {
  return directories.find((directory) => /\/[^/]*\bfreezer\b[^/]*\//.test(directory));
}

function only(directory: string): LiveCgroup {
  return { mode: "v1", directories: [directory] };
}

function write({ directories }: LiveCgroup, file: string, data: string, name: string): void {
  const [directory] = directories;
  if (directory === undefined || !fs.existsSync(`${directory}/${file}`)) throw unavailable(name);
  fs.writeFileSync(`${directory}/${file}`, data, { flag: "r+" });
}

const patienceMilliseconds = 60_000;

function awaitFrozen(name: string, isDone: () => boolean): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const end = performance.now() + patienceMilliseconds;
  while (!isDone()) {
    if (performance.now() > end) {
      throw new VitrineError("unavailable", `container ${name} does not freeze`, {
        code: "freezer-timeout",
        operand: name,
        hint: "a process of it may be in an uninterruptible wait: see 'ps -o pid,stat,wchan'",
      });
    }
    Atomics.wait(pause, 0, 0, 2);
  }
}

function unavailable(name: string): VitrineError {
  return new VitrineError("unsupported", `container ${name} has no cgroup that can be frozen`, {
    code: "freezer-unavailable",
    operand: name,
    hint: "an unprivileged user needs a delegated cgroup v2",
  });
}
