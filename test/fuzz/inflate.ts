/**
 * The helper's own inflate against zlib's: `node test/fuzz/inflate.ts PROGRAM` (native/test/inflate.c, sanitized). Streams that zlib made in
 * many ways, whole, cut off and damaged: what one takes the other takes, with the same bytes; what one refuses the other refuses.
 * VITRINE_FUZZ_SECONDS: how long; VITRINE_FUZZ_SEED: repeats a run.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as zlib from "node:zlib";

const program = process.argv[2];
if (program === undefined) throw new Error("usage: inflate.ts PROGRAM");
const seconds = Number(process.env["VITRINE_FUZZ_SECONDS"] ?? 10);
let seed = Number(process.env["VITRINE_FUZZ_SEED"] ?? Date.now() % 2 ** 31);
const first = seed;

function random(below: number): number {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return Math.floor((seed / 0x80000000) * below);
}

function plainBytes(): Buffer {
  const size = random(4) === 0 ? random(300_000) : random(3000);
  const bytes = Buffer.alloc(size);
  const symbols = 1 + random(random(2) === 0 ? 4 : 256);
  // Each half as frequent as the one before: codes as long as they can be.
  const skewed = random(4) === 0;
  const symbol = () =>
    skewed ? Math.floor(-Math.log2(random(2 ** 30) / 2 ** 30 + 2 ** -30) * 4) : random(symbols);
  for (let at = 0; at < size; ) {
    const run = Math.min(size - at, 1 + random(600));
    const distance = 1 + random(random(3) === 0 ? 40_000 : 20);
    if (at >= distance && random(2) === 0) {
      for (let i = 0; i < run; i++) bytes[at + i] = bytes[at + i - distance]!;
    } else {
      for (let i = 0; i < run; i++) bytes[at + i] = symbol();
    }
    at += run;
  }
  return bytes;
}

function member(): Buffer {
  const { Z_DEFAULT_STRATEGY, Z_FILTERED, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE } = zlib.constants;
  const strategies = [Z_DEFAULT_STRATEGY, Z_FILTERED, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE];
  const options = { level: random(10), strategy: strategies[random(5)]!, memLevel: 1 + random(9) };
  const made = zlib.gzipSync(plainBytes(), options);
  if (random(4) > 0) return made;
  // Optional fields of a header: extra, name, comment.
  const head = Buffer.from(made.subarray(0, 10));
  head[3] = 4 | 8 | 16;
  const extra = Buffer.from([3, 0, 1, 2, 3, ...Buffer.from("name\0comment\0")]);
  return Buffer.concat([head, extra, made.subarray(10)]);
}

function mutated(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let times = 1 + random(3); times > 0; times--) {
    // Mostly where codes are described.
    const place = random(random(2) === 0 ? Math.min(copy.length, 120) : copy.length);
    copy[place] = random(2) === 0 ? copy[place]! ^ (1 << random(8)) : random(256);
  }
  return random(4) === 0 ? copy.subarray(0, random(copy.length)) : copy;
}

/** Deflate data of chance: mostly refused, at many places. */
function noise(): Buffer {
  const bytes = Buffer.alloc(20 + random(200));
  for (let at = 0; at < bytes.length; at++) bytes[at] = random(256);
  return Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]), bytes]);
}

function makeCase(): Buffer {
  const kind = random(10);
  if (kind === 0) return noise();
  const whole = random(5) === 0 ? Buffer.concat([member(), member(), Buffer.alloc(random(40))]) : member();
  return kind < 4 ? whole : mutated(whole);
}

function expected(bytes: Buffer): string | undefined {
  try {
    const plain = zlib.gunzipSync(bytes, { maxOutputLength: 256 * 1024 * 1024 });
    return `ok ${plain.length} ${createHash("sha256").update(plain).digest("hex")}`;
  } catch {
    return undefined;
  }
}

/** Behind the last member zlib here takes anything, our decoder only zeros: that is no difference. */
function differs(bytes: Buffer, ours: string): boolean {
  const theirs = expected(bytes);
  if (theirs === undefined) return ours.startsWith("ok");
  return ours !== theirs && ours !== "something that is no gzip follows" && !memberAfterGarbage(bytes);
}

/** Node stops at the first zero behind a member; ours looks whether another one follows. A member's own end has at most four. */
function memberAfterGarbage(bytes: Buffer): boolean {
  return /\0{5}\x1f\x8b/.test(bytes.toString("latin1"));
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-inflate-"));
const file = path.join(directory, "cases");
let cases = 0;
let taken = 0;
try {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    const batch = Array.from({ length: 300 }, makeCase);
    const sized = batch.flatMap((bytes) => {
      const size = Buffer.alloc(4);
      size.writeUInt32LE(bytes.length);
      return [size, bytes];
    });
    fs.writeFileSync(file, Buffer.concat(sized));
    const done = spawnSync(program, [file], { encoding: "utf8", maxBuffer: 2 ** 26 });
    const lines = done.stdout.split("\n");
    const at = batch.findIndex((bytes, index) => differs(bytes, lines[index] ?? ""));
    if (done.status !== 0 || at !== -1) {
      const kept = path.join(os.tmpdir(), `vitrine-inflate-failed-${process.pid}`);
      fs.writeFileSync(kept, at === -1 ? fs.readFileSync(file) : batch[at]!);
      throw new Error(
        `seed ${first}: ${at === -1 ? `ended with ${done.status ?? done.signal}: ${done.stderr.slice(0, 4000)}` : `ours ${lines[at]}, zlib ${expected(batch[at]!)}`}; kept in ${kept}`,
      );
    }
    cases += batch.length;
    taken += lines.filter((line) => line.startsWith("ok")).length;
  }
} finally {
  fs.rmSync(directory, { recursive: true });
}
if (taken === 0 || taken === cases) throw new Error("the cases are not of both kinds");
fs.writeSync(1, `inflate: ${cases} streams as zlib has them, ${taken} of them whole (seed ${first})\n`);
