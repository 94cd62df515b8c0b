/** Keeps what a start did, so that the launcher can do it again: docs/launch-record.md. */
import * as fs from "node:fs";
import * as path from "node:path";
import { processStartTime } from "../../base/mod.ts";
import { nameWords } from "../../engine/mod.ts";
import { type Capture, readCaptures } from "./captures.ts";
import { type Confirmation, encodeBody, encodeRecord, readConfirmation, recordBytesMost } from "./encode.ts";
import type { Note, Notes } from "./notes.ts";
import { reasonsOf } from "./orders.ts";
import { slotFinder, type Values } from "./slots.ts";

/** So many commands are kept; the oldest go. */
const recordsMost = 64;

/** What the launcher asks for: see native/launch.c. */
export interface Request {
  /** The record's file: its directory is there, and ours. */
  readonly file: string;
  /** The new container's id, where the command line gives it; empty where it names one that is there. */
  readonly id: string | undefined;
  /** What it captured of the command line. */
  readonly captures: string;
}

/** `kept` absent: why nothing was kept. */
export interface Outcome {
  readonly kept?: "a candidate" | "confirmed";
  readonly why?: string;
}

/** Never throws: a start is not lost for want of its record. */
export function keepRecord(request: Request, { notes, problem }: Notes, program: Note): Outcome {
  if (problem !== undefined) return { why: problem };
  try {
    const values = valuesOf(request, notes, program);
    if (values === undefined) return { why: "it is not known what the container's id is" };
    const names = { ...nameWords, length: values.name?.length ?? 0 };
    const slots = slotFinder(values);
    const body = encodeBody([...notes, program], names, slots);
    const confirmation = confirm(request.file, body, values, slots.captures());
    const record = encodeRecord(body, confirmation);
    if (record.length > recordBytesMost) return { why: "it is too large" };
    writeRecord(request.file, record);
    return { kept: confirmation.confirmed ? "confirmed" : "a candidate" };
  } catch (error) {
    return { why: String(error) };
  }
}

/** As native/launch.c, `launch_tell`. */
export function tellOutcome({ kept, why }: Outcome): void {
  const asked = process.env["VITRINE_LAUNCH_RECORD"] ?? "";
  const line = `launch record: ${kept === undefined ? `not kept: ${why}` : `kept: ${kept}`}\n`;
  try {
    if (asked === "why") fs.writeSync(2, line);
    else if (asked.startsWith("/")) fs.appendFileSync(asked, line, { mode: 0o600 });
  } catch {
    // Who asked cannot be told.
  }
}

function valuesOf(request: Request, notes: readonly Note[], program: Note): Values | undefined {
  const fixed = request.id === "";
  const plan = program.kind === "execute" ? program.argv.at(-1) : undefined;
  const id = fixed
    ? execId(notes)
    : (request.id ?? /\/containers\/([0-9a-f]{64})\/plan$/.exec(plan ?? "")?.[1]);
  if (id === undefined && !fixed) return undefined;
  const link = fixed ? undefined : notes.find((note) => note.kind === "symlink" && note.text === id);
  const name = link?.kind === "symlink" ? path.basename(link.path) : undefined;
  const chosen = name !== undefined && process.argv.some((word) => word.includes(name));
  return {
    id,
    name: chosen ? undefined : name,
    pid: process.pid,
    startTime: processStartTime(process.pid) ?? "0",
    parent: process.ppid,
    captures: readCaptures(request.captures),
    reasons: reasonsOf(notes),
  };
}

/** What ties the events of an `exec` together: new each time, as a new container's id is. */
function execId(notes: readonly Note[]): string | undefined {
  for (const note of notes) {
    if (note.kind !== "write") continue;
    // The last attribute of an event, whose other texts have no quotation marks but escaped ones.
    const found = /"execID":"([0-9a-f]{64})"\}\}\n$/.exec(Buffer.from(note.bytes).toString("latin1"));
    if (found !== null) return found[1];
  }
  return undefined;
}

/** Whether an earlier start did the same, and with which other values. */
function confirm(
  file: string,
  body: Uint8Array,
  { id, name }: Values,
  captures: readonly Capture[],
): Confirmation {
  const names = name === undefined ? (id ?? "") : `${id} ${name}`;
  let before: Confirmation | undefined;
  try {
    before = readConfirmation(fs.readFileSync(file), body);
  } catch {
    // There is none.
  }
  const values = captures.map(({ value }, index) => {
    const seen = before?.values[index];
    return { value, any: seen !== undefined && (seen.any || seen.value !== value) };
  });
  if (before === undefined) return { confirmed: false, anyId: false, names, values };
  const others = before.names.split(" ");
  const differ = id === undefined || (others[0] !== id && (name === undefined || others[1] !== name));
  return { confirmed: true, anyId: before.anyId || differ, names, values };
}

function writeRecord(file: string, record: Uint8Array): void {
  const directory = path.dirname(file);
  makeRoom(directory, path.basename(file));
  const temporary = `${file}.${process.pid}`;
  fs.rmSync(temporary, { force: true });
  try {
    fs.writeFileSync(temporary, record, { flag: "wx", mode: 0o600 });
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}

function makeRoom(directory: string, name: string): void {
  const names = fs.readdirSync(directory).filter((one) => one !== name && one !== "seen");
  if (names.length < recordsMost) return;
  const dated = names.map((one) => {
    const file = `${directory}/${one}`;
    return { file, time: fs.lstatSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0 };
  });
  dated.sort((left, right) => left.time - right.time);
  for (const { file } of dated.slice(0, names.length - recordsMost + 1)) fs.rmSync(file, { force: true });
}
