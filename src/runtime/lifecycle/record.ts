/**
 * What `create` leaves of a container in ROOT/ID, and where the container stands. Nothing here is written again after
 * `create` but by the helper.
 *
 * state.json (this record), state (what the helper prints for `state`), config.json (the bundle's, as it was), plan, reasons.json, delete and poststart (plans for
 * later), `process` (PID STARTTIME of init, by the helper) and the FIFO `start`, which has a reader until init becomes
 * the user's program.
 */
import * as fs from "node:fs";
import { errnoOf, ofContainer, VitrineError } from "../../base/mod.ts";
import type { State } from "../../oci/mod.ts";
import type { LiveCgroup } from "../live/control.ts";
import { isFrozen } from "../live/freeze.ts";
import { isAlive, type RunningProcess, readPidFile } from "../state.ts";

export interface LifecycleRecord {
  readonly ociVersion: string;
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  readonly rootfs: string;
  /** RFC 3339. */
  readonly created: string;
  /** The name of the user who made it, or the number. */
  readonly owner: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly cgroup: LiveCgroup;
  /** The systemd that made it, and as what. */
  readonly scope?: { readonly unit: string; readonly socket: string; readonly bus: boolean };
  /** Who creates it: while it lives and there is no process yet, the container is being created. */
  readonly creator: RunningProcess;
}

export type LifecycleStatus = "creating" | "created" | "running" | "paused" | "stopped";

export interface LifecycleState {
  readonly record: LifecycleRecord;
  readonly status: LifecycleStatus;
  /** 0: there is none. */
  readonly pid: number;
}

/** Whether all processes end with the first: it has a pid namespace of its own. */
export function diesWithInit(root: string, id: string): boolean {
  try {
    return fs.readFileSync(files(`${root}/${id}`).state, "latin1").startsWith("own ");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

export const files = (directory: string) => ({
  record: `${directory}/state.json`,
  state: `${directory}/state`,
  config: `${directory}/config.json`,
  plan: `${directory}/plan`,
  reasons: `${directory}/reasons.json`,
  remove: `${directory}/delete`,
  poststart: `${directory}/poststart`,
  poststartReasons: `${directory}/poststart.json`,
  process: `${directory}/process`,
  start: `${directory}/start`,
  /** The directory of the container's socket for sd_notify(3). */
  notify: `${directory}/notify`,
});

function invalidIdHint(id: string): string {
  const character = /[^\w+.-]/u.exec(id)?.[0];
  const found =
    character === undefined ? "" : `invalid character ${JSON.stringify(character)} in the container ID: `;
  return `${found}letters, digits and the characters _ + - . only, at most 255, not beginning with a dot`;
}

/** Letters, digits and `_+-.`, as runc; hidden names are the runtime's own, as under crun. Error: `container-id-invalid`. */
export function requireId(id: string): string {
  if (/^(?!\.)[\w+.-]{1,255}$/.test(id)) {
    return id;
  }
  throw new VitrineError("invalid", `invalid container id format: ${JSON.stringify(id)}`, {
    code: "container-id-invalid",
    operand: id,
    hint: invalidIdHint(id),
  });
}

/** Errors: `container-id-invalid`, `container-not-found`, `state-file-corrupt`. */
export function readState(root: string, id: string): LifecycleState {
  const directory = `${root}/${requireId(id)}`;
  const record = readRecord(directory);
  if (record === undefined) {
    throw new VitrineError("not-found", `container ${JSON.stringify(id)} does not exist`, {
      code: "container-not-found",
      operand: id,
      hint: `'list' shows those in ${root}`,
    });
  }
  return { record, ...statusOf(directory, record) };
}

/** undefined: there is no container in that directory. */
function readRecord(directory: string): LifecycleRecord | undefined {
  const path = files(directory).record;
  let text: string;
  try {
    // When it was made, and by which process, decides nothing once it has a process of its own.
    text = ofContainer(() => fs.readFileSync(path, "utf8"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") {
      return undefined;
    }
    throw error;
  }
  try {
    return JSON.parse(text) as LifecycleRecord;
  } catch (cause) {
    throw new VitrineError("corrupt", `${path} is not what create writes`, {
      code: "state-file-corrupt",
      operand: path,
      hint: "remove the container: delete --force",
      cause,
    });
  }
}

function statusOf(directory: string, record: LifecycleRecord): Omit<LifecycleState, "record"> {
  const process = ofContainer(() => readPidFile(files(directory).process));
  if (process === undefined) {
    return { status: isAlive(record.creator) ? "creating" : "stopped", pid: 0 };
  }
  if (!isAlive(process)) {
    return { status: "stopped", pid: 0 };
  }
  const { pid } = process;
  if (hasReader(files(directory).start)) {
    return { status: "created", pid };
  }
  return { status: isFrozen(record.cgroup) ? "paused" : "running", pid };
}

/** Nothing is written, so that nothing starts. */
function hasReader(fifo: string): boolean {
  try {
    fs.closeSync(fs.openSync(fifo, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK));
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENXIO" || errno === "ENOENT") {
      return false;
    }
    throw error;
  }
}

/** What the verb `state` prints: runtime.md#state and runc's fields beside it. */
export function stateOutput({ record, status, pid }: LifecycleState) {
  const { ociVersion, id, bundle, rootfs, created, annotations, owner } = record;
  return {
    ociVersion,
    id,
    pid,
    status,
    bundle,
    rootfs,
    created,
    ...(annotations === undefined ? {} : { annotations }),
    owner,
  } satisfies Omit<State, "status"> & Readonly<Record<string, unknown>>;
}
