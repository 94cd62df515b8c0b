import * as fs from "node:fs";
import { VitrineError } from "../../../base/mod.ts";
import {
  diesWithInit,
  isFrozen,
  type LifecycleRecord,
  lifecycleFiles,
  processesIn,
  readState,
  requireId,
  thaw,
} from "../../../runtime/mod.ts";
import { becomeHelperWith, runArguments, runHelper } from "../../become.ts";
import { containersLike } from "../container-ids.ts";
import { defineVerb } from "../verb.ts";
import { send } from "./kill.ts";

/** How long a killed container may take to end. */
const patienceMilliseconds = 10_000;

export const verb = defineVerb({
  summary: "Remove a container and all that was made for it",
  usage: "CONTAINER",
  options: {
    force: { type: "boolean", short: "f", help: "kill it first if it runs; a missing one is no error" },
    regex: { type: "boolean", short: "r", help: "CONTAINER is a regular expression: all whose ids match" },
  },
  positionals: [1, 1],
  run({ options, positionals, globals, context }) {
    const word = positionals[0] ?? "";
    if (!options.regex)
      return deleteOne(globals.root, requireId(word), options.force, context.helperPath(), becomeHelperWith);
    for (const id of containersLike(globals.root, word)) {
      deleteOne(globals.root, id, options.force, context.helperPath(), runHelper);
    }
    return 0;
  },
});

/** How the helper is run on what there is to remove. */
type Run = (helper: string, args: readonly string[]) => number;

function deleteOne(root: string, id: string, force: boolean, helper: string, run: Run): number {
  const directory = `${root}/${id}`;
  const found = find(root, id, force);
  if (found === undefined) {
    fs.rmSync(directory, { recursive: true, force: true });
    return 0;
  }
  const { record, status, pid } = found;
  // As runc: a container whose program never ran is deleted without a word.
  if (status !== "stopped" && status !== "created" && !force) {
    throw new VitrineError("invalid", `cannot delete container ${id} that is not stopped: ${status}`, {
      code: "container-not-stopped",
      operand: id,
      hint: "kill it first, or use --force",
    });
  }
  // What has stopped may have left processes where they do not die with the first.
  if (pid !== 0 || force || !diesWithInit(root, id)) endAll(root, id, record, pid);
  return run(helper, runArguments(lifecycleFiles(directory).remove, 0));
}

/** undefined: what is there is no container, and may go. */
function find(root: string, id: string, force: boolean) {
  try {
    return readState(root, id);
  } catch (error) {
    const gone =
      error instanceof VitrineError && ["container-not-found", "state-file-corrupt"].includes(error.code);
    if (force && gone) return undefined;
    throw error;
  }
}

/** Kills what there still is, and what that still began. Error: `container-does-not-end`. */
export function endAll(root: string, id: string, record: LifecycleRecord, pid: number): void {
  if (pid !== 0) send(pid, 9);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let waited = 0; ; waited += 5) {
    const left = processesIn(record.cgroup);
    for (const each of left) send(each, 9);
    if (isFrozen(record.cgroup)) thaw(record.cgroup, id);
    if (left.length === 0 && readState(root, id).pid === 0) return;
    if (waited > patienceMilliseconds) {
      throw new VitrineError("unavailable", `container ${id} does not end, though it was killed`, {
        code: "container-does-not-end",
        operand: id,
      });
    }
    Atomics.wait(pause, 0, 0, 5);
  }
}
