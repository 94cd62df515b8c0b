/**
 * ROOT/events: what happened, one JSON object a line, appended by commands and by monitors (native/events.c) with one
 * write each. A file that is full becomes ROOT/events.1, which is all the history there is.
 */
import * as fs from "node:fs";
import { errnoOf, noting } from "../../base/mod.ts";
import type { Container, EnginePaths } from "../containers/record.ts";

export type EventType = "container" | "image" | "volume" | "network" | "system";

export interface EngineEvent {
  readonly type: EventType;
  /** Docker's word: `create`, `start`, `die`, `exec_create: sh`, `health_status: healthy`, `pull`, `mount`, … */
  readonly action: string;
  /** The container's or the image's id, the volume's name. */
  readonly id: string;
  /** Docker's attributes: `name`, `image` (of a container), its labels, `exitCode`, `signal`, `container` (of a volume), … */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** Bytes after which a new file is begun; monitors write nothing more at twice that. */
export const eventFileBytes = 4 * 1024 * 1024;
/** A longer line loses its attributes: labels are the user's, and may be many. */
const lineBytes = 32 * 1024;

export function eventFile({ root }: Pick<EnginePaths, "root">): string {
  return `${root}/events`;
}

/**
 * Appends an event. It costs some 40 microseconds and never fails: what happened has happened, whether or not it could
 * be written down.
 *
 *     recordEvent(paths, { type: "volume", action: "create", id: name, attributes: { driver: "local" } });
 */
export function recordEvent(paths: Pick<EnginePaths, "root">, event: EngineEvent): void {
  try {
    append(
      eventFile(paths),
      `{"timeNano":${nowNanoseconds()},"action":${JSON.stringify(event.action)},${eventTail(event)}`,
    );
  } catch {
    // A full disk, or a store that is not there yet.
  }
}

/** An event of a container, with the attributes that docker gives one. */
export function recordContainerEvent(
  paths: Pick<EnginePaths, "root">,
  container: Pick<Container, "id" | "name" | "image" | "labels">,
  action: string,
  more: Readonly<Record<string, string>> = {},
): void {
  recordEvent(paths, {
    ...containerEvent(container),
    action,
    attributes: { ...attributesOf(container), ...more },
  });
}

/** All of a container's event but what happened. */
export function containerEvent(
  container: Pick<Container, "id" | "name" | "image" | "labels">,
): Omit<EngineEvent, "action"> {
  return { type: "container", id: container.id, attributes: attributesOf(container) };
}

function attributesOf({
  image,
  labels,
  name,
}: Pick<Container, "name" | "image" | "labels">): Record<string, string> {
  return { ...labels, image, name };
}

/** The end of the line, which the monitor gets with its plan: it begins with a time, an action and their own attributes. */
export function eventTail({ type, id, attributes = {} }: Omit<EngineEvent, "action">): string {
  const line = (shown: Readonly<Record<string, string>>): string =>
    `"type":"${type}","id":${JSON.stringify(id)},"attributes":${JSON.stringify(shown)}}\n`;
  const whole = line(attributes);
  if (whole.length <= lineBytes) return whole;
  const { name = "", image = "" } = attributes;
  return line({ name: name.slice(0, 256), image: image.slice(0, 1024) });
}

/** Clocks of JavaScript count milliseconds; what happens within one must keep its order. */
function nowNanoseconds(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}

function append(file: string, line: string): void {
  const fd = fs.openSync(file, "a", 0o600);
  noting.noter?.below(fd, eventFileBytes);
  try {
    fs.writeSync(fd, line);
    const { size, ino } = fs.fstatSync(fd);
    if (size > eventFileBytes) rotate(file, ino);
  } finally {
    fs.closeSync(fd);
  }
}

const staleMilliseconds = 10_000;

/** One at a time, or the second would replace the history by what the first began. */
function rotate(file: string, inode: number): void {
  const lock = `${file}.lock`;
  try {
    fs.mkdirSync(lock);
  } catch (error) {
    if (errnoOf(error) === "EEXIST" && Date.now() - fs.statSync(lock).mtimeMs > staleMilliseconds)
      fs.rmdirSync(lock);
    return;
  }
  try {
    if (fs.statSync(file).ino === inode) fs.renameSync(file, `${file}.1`);
  } finally {
    fs.rmdirSync(lock);
  }
}
