/** Reading launch records (docs/launch-record.md), and seeing whether a start needed the engine. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import type { TestContext } from "node:test";
import { cannotRun, findProgram, type Result, vitrine, type World } from "./support.ts";

const headerBytes = 256;
const slots = ["", "ID", "SHORT", "NAME", "PID", "START", "MS", "NS", "TEMPORARY", "PARENT", "DATE"];

export interface ReadNote {
  readonly kind: number;
  /** Its texts, slots as `<ID>`. */
  readonly texts: readonly string[];
}

/** The notes of a record, by the format's own words: not by the code under test. */
export function readRecord(bytes: Uint8Array): {
  readonly state: number;
  readonly anyId: boolean;
  readonly values: readonly { readonly any: boolean; readonly value: string }[];
  readonly notes: ReadNote[];
} {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  assert.equal(Buffer.from(bytes.subarray(0, 4)).toString(), "VLRC");
  let at = headerBytes;
  const u8 = () => bytes[at++]!;
  const u32 = () => {
    at += 4;
    return view.getUint32(at - 4, true);
  };
  const skip = (count: number) => {
    at += count;
  };
  const plain = () => {
    const size = u32();
    at += size;
    return Buffer.from(bytes.subarray(at - size, at)).toString("latin1");
  };
  const text = (): string => {
    let whole = "";
    for (let parts = u32(); parts > 0; parts--) {
      const kind = u8();
      if (kind === 0) whole += plain();
      else if (kind === 32 || kind === 35) whole += `<${u8()}>`;
      else if (kind === 33) {
        whole += `<${u8()}>`;
        skip(5);
      } else if (kind === 34) {
        whole += `<${u8()}>`;
        const count = u8();
        const between = plain();
        whole += Array.from({ length: count }, text).join(between);
      } else if (kind < slots.length) whole += `<${slots[kind]}>`;
      else assert.fail(`part ${kind}`);
    }
    return whole;
  };
  const many = (read: () => string) => Array.from({ length: u32() }, read);
  const readers: Readonly<Record<number, () => string[]>> = {
    1: () => [skip(5), text()].slice(1) as string[],
    2: () => {
      skip(5);
      const found = [text()];
      skip(72);
      return found;
    },
    3: () => {
      skip(5);
      const file = text();
      const words = Array.from({ length: u8() }, plain);
      return [file, text(), ...words];
    },
    4: () => [skip(4), text(), text()].slice(1) as string[],
    5: () => [text(), text()],
    6: () => [text(), String(u32())],
    7: () => [text()],
    8: () => [text(), text()],
    9: () => [text()],
    10: () => [text(), text(), text()],
    11: () => [skip(9), text()].slice(1) as string[],
    12: () => [text(), String(u32())],
    13: () => [text(), plain(), ...Array.from({ length: 2 * u8() }, plain)],
    16: () => [skip(5), text()].slice(1) as string[],
    17: () => [skip(8), text()].slice(1) as string[],
    18: () => [skip(8)].slice(1) as unknown as string[],
    19: () => [text()],
    20: () => [],
    21: () => [],
    22: () => [text(), text()],
    23: () => [text(), text()],
    24: () => [skip(4), text()].slice(1) as string[],
    25: () => [skip(9), text()].slice(1) as string[],
    26: () => [skip(16), text()].slice(1) as string[],
    27: () => [skip(1), text()].slice(1) as string[],
    28: () => {
      const program = text();
      skip(8);
      return [program, ...many(text), ...many(text)];
    },
    29: () => [text()],
    30: () => [],
  };
  const values = Array.from({ length: u32() }, () => ({ any: u8() === 1, value: plain() }));
  u32();
  u32();
  plain();
  plain();
  const notes: ReadNote[] = [];
  while (at < bytes.length) {
    const kind = u8();
    const read = readers[kind];
    assert.ok(read, `note ${kind} at ${at}`);
    notes.push({ kind, texts: read() });
  }
  assert.equal(at, bytes.length);
  return { state: view.getUint32(8, true), anyId: view.getUint32(24, true) === 1, values, notes };
}

export function launches(world: World): string {
  return path.join(world.runroot, "launches");
}

export function recordFiles(world: World): readonly string[] {
  if (!fs.existsSync(launches(world))) return [];
  const names = fs.readdirSync(launches(world)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  return names.map((name) => path.join(launches(world), name));
}

/** Every start that comes to the engine is counted there (native/launch.c), but for the first that does not. */
function counts(world: World): string {
  const file = path.join(launches(world), "seen");
  return fs.existsSync(file) ? fs.readFileSync(file).toString("hex") : "";
}

/** Whether `start` was done by the launcher alone. It must be one that is counted: `run` or `create`. */
export function withoutEngine(world: World, start: () => void): boolean {
  const before = counts(world);
  start();
  const after = counts(world);
  return before !== "" && before === after;
}

/** Repeats a start until the launcher does it alone; fails if it never does. */
export function warmUp(world: World, start: () => void): void {
  // Seen, noted, confirmed, used for the first time; and what was written a moment ago is not noted. A moment is longer where the
  // clock is set back, and of what is not kept fewer and fewer starts are noted.
  const begun = performance.now();
  for (let tries = 0; tries < 12 || (tries < 70 && performance.now() - begun < 5000); tries++) {
    if (withoutEngine(world, start)) return;
  }
  assert.fail("the engine was needed twelve times");
}

/** Settled: files that changed within the last tenth of a second are not trusted. */
export function settle(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150);
}

/** Of this world: other tests run beside this one. */
export function assertGone(world: World): void {
  for (const directory of ["root/containers", "root/names", "root/tmp", "run/containers"]) {
    assert.deepEqual(fs.readdirSync(path.join(world.directory, directory)), [], directory);
  }
}

/** Ids, names, pids and times are new each time. */
export function leveled(text: string): string {
  return text
    .replace(/\b[0-9a-f]{64}\b/g, "<ID>")
    .replace(/(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])/g, "<SHORT>")
    .replace(
      /"?(?:name|Name|timeNano|created|Created|startTime|StartedAt|Started|pid|Pid|timestamp|time)"?: ?"?[^",}\n]*"?/g,
      "<NEW>",
    )
    .replace(/[A-Z][a-z]{2} +\d+ \d\d:\d\d/g, "<TIME>")
    .replace(/socket:\[\d+\]/g, "<SOCKET>")
    .replace(/\b[a-z]+_[a-z]+\b/g, "<NAME>")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)/g, "<TIME>")
    .replace(/(?:pid|time):\[\d+\]|(?:cgroup|ipc|mnt|net|user|uts):\[\d+\]/g, "<NAMESPACE>");
}

export function same(left: Result, right: Result): void {
  assert.deepEqual(
    { ...right, stdout: leveled(right.stdout), stderr: leveled(right.stderr) },
    { ...left, stdout: leveled(left.stdout), stderr: leveled(left.stderr) },
  );
}

/** Runs vitrine under strace, of its first thread: the engine's decisions are made there. undefined without strace, which is told. */
export function straced(
  world: World,
  t: TestContext,
  options: readonly string[],
  command: readonly string[],
) {
  if (findProgram("strace") === undefined) {
    cannotRun(t, "strace is missing");
    return undefined;
  }
  const output = path.join(world.directory, "trace");
  const done = spawnSync("strace", ["-o", output, "-s", "4096", ...options, vitrine, ...command], {
    env: world.env,
    cwd: world.directory,
    input: "",
  });
  return { done, trace: fs.readFileSync(output, "utf8") };
}
