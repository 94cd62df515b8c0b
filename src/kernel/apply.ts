/** The helper in stage apply: fed with ops while a layer is read, or run once for a few. */
import type { ChildProcessByStdio } from "node:child_process";
import * as fs from "node:fs";
import type { Readable, Writable } from "node:stream";
import { errnoOf, VitrineError } from "../base/mod.ts";
import { FrameWriter, frameBytesMax } from "./encode.ts";
import { helperEnvironment } from "./helper.ts";
import { Inflation } from "./inflation.ts";
import type { IdMapRange, Op } from "./ops.ts";

export interface ApplyOptions {
  readonly helperPath: string;
  /** The user namespace to work in; none: as the caller. */
  readonly ids?: ApplyIds;
}

/** Maps of the namespace; without the setuid tools the helper writes them, which without privilege is one id each. */
export interface ApplyIds {
  readonly uids: readonly IdMapRange[];
  readonly gids: readonly IdMapRange[];
  readonly newuidmap?: string;
  readonly newgidmap?: string;
}

/** For the reading ops. */
export interface ApplyOutputs {
  /** Their answers go to a pipe that `output` gives. */
  readonly answers?: boolean;
  /** Trees without an answer go to this descriptor, which the caller keeps: the input of another session. */
  readonly copyTo?: number;
  /** The helper inflates this gzip file beside the ops, open for reading here: `inflation` says how long it is. Not with `copyTo`. */
  readonly inflate?: number;
}

export interface ApplyResult {
  /** Device nodes left out because of `layerOptions.skipDevices`. */
  readonly skippedDevices: number;
}

/** Frames are gathered until there are this many bytes: a write has its price. */
const batchBytes = 256 * 1024;
/** From here on a file's bytes are written from where they are, not copied into the batch. */
const copyBytes = 64 * 1024;
/** Below this a batch is copied out instead. */
const smallBytes = 4 * 1024;
/** How far the reader may be ahead of the helper before `drain` waits. */
const queuedBytesMax = 2 * 1024 * 1024;
/** What the helper says is a line or two; anything longer is not from it. */
const answerBytesMax = 64 * 1024;

function applyArguments({ ids }: ApplyOptions, pipe: boolean, outputs: ApplyOutputs = {}): readonly string[] {
  const words = pipe ? ["apply", "--pipe"] : ["apply"];
  if (outputs.inflate !== undefined) words.push("--inflate=3");
  if (outputs.answers === true) words.push("--output");
  if (outputs.copyTo !== undefined) words.push("--copy=3");
  if (ids === undefined) return words;
  words.push("--userns", mapText(ids.uids), mapText(ids.gids));
  if (ids.newuidmap !== undefined && ids.newgidmap !== undefined) {
    words.push("--newuidmap", ids.newuidmap, "--newgidmap", ids.newgidmap);
  }
  return words;
}

function mapText(ranges: readonly IdMapRange[]): string {
  return ranges.map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`).join(",");
}

/**
 * Runs a few ops and waits for them.
 * @throws VitrineError `helper-missing`; `apply-failed` with the errno's name as operand and the errno in its cause.
 */
export function runApply(options: ApplyOptions, ops: readonly Op[]): ApplyResult {
  const writer = new FrameWriter();
  for (const op of ops) writer.op(op, "apply");
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const done = spawnSync(options.helperPath, applyArguments(options, false), {
    input: writer.bytes(),
    maxBuffer: answerBytesMax,
    env: helperEnvironment(process.env),
  });
  // EPIPE: it did not read to the end of its ops, and says why.
  if (done.error !== undefined && errnoOf(done.error) !== "EPIPE") throw helperMissing(options, done.error);
  return resultOf(done.stdout.toString("utf8"), done.stderr.toString("utf8"));
}

/**
 * Starts a helper on a few ops and leaves it: it outlives this process, and nobody hears how it went. They are read from
 * `file`, which is made for it and has lost its name when this returns.
 */
export function leaveApply(options: ApplyOptions, file: string, ops: readonly Op[]): void {
  const writer = new FrameWriter();
  for (const op of ops) writer.op(op, "apply");
  const fd = fs.openSync(file, "wx+", 0o600);
  try {
    fs.rmSync(file);
    // At a position: the helper reads from where this descriptor stands.
    const bytes = writer.bytes();
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at, bytes.length - at, at);
    const { spawn } = process.getBuiltinModule("node:child_process");
    const child = spawn(options.helperPath, applyArguments(options, false), {
      stdio: [fd, "ignore", "ignore"],
      env: helperEnvironment(process.env),
      cwd: "/",
      detached: true,
    });
    // The flush is owed then, as after a kill.
    child.on("error", () => {});
    child.unref();
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * A running `vitrine-helper apply`. `op` and `data` only queue; await `drain` now and then, so that a slow disk slows
 * the reader. Always finish with `end` or `abort`.
 */
export class ApplySession {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ended: Promise<ApplyResult>;
  readonly #sink: Promise<Sink>;
  /** The reading end of `--output`. */
  readonly #source: Promise<number> | undefined;
  #inflation: Inflation | undefined;
  #writer = new FrameWriter(batchBytes + copyBytes);
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** Batches in the queue, whose memory is used again: fresh buffers keep the garbage collector busy. */
  readonly #batches = new Set<Uint8Array>();
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  /** The writes under way; undefined while nothing is queued. */
  #writing: Promise<void> | undefined;
  #failure: unknown;
  #wake: () => void = () => {};

  constructor(options: ApplyOptions, outputs: ApplyOutputs = {}) {
    const { spawn } = process.getBuiltinModule("node:child_process");
    const third = outputs.copyTo ?? outputs.inflate;
    this.#child = spawn(options.helperPath, applyArguments(options, true, outputs), {
      stdio: ["pipe", "pipe", "pipe", ...(third === undefined ? [] : [third])],
      env: helperEnvironment(process.env),
    }) as ChildProcessByStdio<Writable, Readable, Readable>;
    const answer = new Answer(this.#child.stdout, (line) => this.#inflation?.hear(line));
    const errors = new Answer(this.#child.stderr);
    // A helper that fails early closes its end: its own message says more than EPIPE.
    this.#child.stdin.on("error", () => {});
    this.#ended = new Promise<ApplyResult>((resolve, reject) => {
      this.#child.on("error", (error) => {
        answer.close();
        reject(helperMissing(options, error));
      });
      this.#child.on("close", () => {
        try {
          resolve(resultOf(answer.text(), errors.text()));
        } catch (error) {
          reject(error);
        }
      });
    });
    this.#ended.then(
      () => this.#wake(),
      (error: unknown) => {
        this.#failure = error;
        this.#inflation?.fail(error);
        this.#wake();
      },
    );
    const sink = answer.line(0).then((line) => this.#openSink(line));
    this.#source =
      outputs.answers === true ? sink.then(async () => this.#openSource(await answer.line(1))) : undefined;
    this.#source?.catch(() => {});
    // The helper takes an op for the sign that its output is open.
    this.#sink =
      this.#source === undefined
        ? sink
        : this.#source.then(
            () => sink,
            () => sink,
          );
  }

  /** The pipe that the reading ops write to, for the caller to read and close. Error: `apply-failed`. */
  async output(): Promise<number> {
    if (this.#source === undefined) throw applyFailed(undefined, "no output was asked for");
    return await this.#source;
  }

  /** What inflates for this session; undefined where the helper cannot, or was not asked to. */
  async inflation(): Promise<Inflation | undefined> {
    await this.#sink;
    return this.#inflation;
  }

  /** The pipe of the ops, to hand to another helper as its output. Nothing may be queued here meanwhile. */
  async descriptor(): Promise<number> {
    this.#flush();
    await this.#writing;
    const sink = await this.#sink;
    if (this.#failure !== undefined) throw this.#failure;
    if (sink instanceof PipeSink) return sink.fd;
    throw applyFailed(undefined, "its pipe cannot be opened");
  }

  op(op: Op): void {
    this.#writer.op(op, "apply");
    if (this.#writer.length >= batchBytes) this.#flush();
  }

  /** Bytes of the file that the last layerEntry began. A large chunk must stay unchanged until `drain` or `end`. */
  data(offset: number | bigint, chunk: Uint8Array): void {
    let at = BigInt(offset);
    let rest = chunk;
    while (rest.length > 0) {
      const part = rest.subarray(0, frameBytesMax / 2);
      if (part.length < copyBytes) {
        this.op({ op: "layerData", offset: at, data: part });
      } else {
        this.#writer.layerDataHeader(at, part.length);
        this.#flush();
        this.#send(part);
      }
      at += BigInt(part.length);
      rest = rest.subarray(part.length);
    }
  }

  /** Waits until the helper has taken most of what was queued. Throws when it failed, as `end`. */
  async drain(): Promise<void> {
    while (this.#queuedBytes > queuedBytesMax && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Lets go what was gathered, without waiting. */
  send(): void {
    this.#flush();
  }

  /** Sends what was queued. Throws when the helper has failed, as `end`. */
  async flush(): Promise<void> {
    this.#flush();
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * The end of the ops: how it went.
   * @throws VitrineError as `runApply`
   */
  async end(): Promise<ApplyResult> {
    this.#flush();
    await this.#writing;
    (await this.#sink).close();
    await this.#inflation?.close();
    return this.#ended;
  }

  /** Kills the helper and waits for it. Its own failure, when that came first. */
  async abort(): Promise<unknown> {
    const early = this.#failure;
    this.#child.kill("SIGKILL");
    await this.#ended.catch(() => undefined);
    await this.#writing;
    (await this.#sink).close();
    await this.#inflation?.close();
    return early;
  }

  #flush(): void {
    const { length } = this.#writer;
    if (length === 0) return;
    if (length < smallBytes) {
      // The header of a large chunk: not worth a buffer of its own.
      this.#send(this.#writer.bytes().slice());
      this.#writer.clear();
    } else {
      const batch = this.#writer.take(this.#spare.pop());
      this.#batches.add(batch);
      this.#send(batch);
    }
  }

  #send(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#writing ??= this.#writeQueue();
  }

  async #writeQueue(): Promise<void> {
    const sink = await this.#sink;
    for (let bytes = this.#queue.shift(); bytes !== undefined; bytes = this.#queue.shift()) {
      await sink.write(bytes);
      this.#queuedBytes -= bytes.length;
      if (this.#batches.delete(bytes)) this.#spare.push(new Uint8Array(bytes.buffer as ArrayBuffer));
      if (this.#queuedBytes <= queuedBytesMax) this.#wake();
    }
    this.#writing = undefined;
  }

  async #openSource(line: string): Promise<number> {
    const number = /^\{"output":(\d+)\}$/.exec(line)?.[1];
    const { pid } = this.#child;
    if (number === undefined || pid === undefined) {
      await this.#ended;
      throw applyFailed(undefined, "it offers no output");
    }
    return fs.openSync(`/proc/${pid}/fd/${number}`, fs.constants.O_RDONLY);
  }

  /** The helper's own pipe where it can be opened (a hardened /proc may refuse), else its stdin. */
  #openSink(line: string): Sink {
    const numbers = /^\{"pipe":(\d+)(?:,"growth":(\d+),"memory":(\d+),"bytes":(\d+))?\}$/.exec(line);
    const { stdin, pid } = this.#child;
    if (numbers === null || pid === undefined) return nowhere;
    const { O_WRONLY, O_RDONLY } = fs.constants;
    const opened: number[] = [];
    const open = (number: string, flags: number): number => {
      const fd = fs.openSync(`/proc/${pid}/fd/${number}`, flags);
      opened.push(fd);
      return fd;
    };
    try {
      const [, pipe, growth, memory, bytes] = numbers;
      const sink = new PipeSink(open(pipe!, O_WRONLY));
      if (growth !== undefined) {
        const sizes = new PipeSink(open(growth, O_WRONLY));
        this.#inflation = new Inflation(sizes, open(memory!, O_RDONLY), Number(bytes));
      }
      stdin.end();
      return sink;
    } catch {
      for (const fd of opened) fs.closeSync(fd);
      return new StreamSink(stdin);
    }
  }
}

/** Where frames go. A write to a helper that has ended is dropped: its answer says why. */
interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

const nowhere: Sink = { write: async () => {}, close: () => {} };

class PipeSink implements Sink {
  readonly fd: number;
  #open = true;
  #closing = false;
  #writing = false;

  constructor(fd: number) {
    this.fd = fd;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#writing = true;
    try {
      for (let at = 0; at < bytes.length && !this.#closing; ) at += await this.#writeOnce(bytes, at);
    } finally {
      this.#writing = false;
      if (this.#closing) this.close();
    }
  }

  /** A write under way keeps its descriptor until it ends: the number may mean another file a moment later. */
  close(): void {
    this.#closing = true;
    if (this.#writing || !this.#open) return;
    this.#open = false;
    fs.closeSync(this.fd);
  }

  #writeOnce(bytes: Uint8Array, at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.write(this.fd, bytes, at, bytes.length - at, null, (error, count) => {
        if (error === null) resolve(count);
        else if (errnoOf(error) === "EPIPE") resolve(bytes.length - at);
        else reject(error);
      });
    });
  }
}

class StreamSink implements Sink {
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  async write(bytes: Uint8Array): Promise<void> {
    // The callback gets EPIPE; a stream destroyed by it calls back at once.
    await new Promise<void>((resolve) => this.#stream.write(bytes, () => resolve()));
  }

  close(): void {
    this.#stream.end();
  }
}

/** What the helper writes, up to a bound. */
class Answer {
  #text = "";
  /** Of a line that has no end yet. */
  #begun = "";
  #ended = false;
  #waiting: (() => void)[] = [];

  /** Lines that begin with `@` are none of the answer: `onNews` hears them, without the mark. */
  constructor(stream: Readable, onNews: (line: string) => void = () => {}) {
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      const lines = (this.#begun + chunk).split("\n");
      this.#begun = lines.pop()!.slice(0, answerBytesMax);
      for (const line of lines) {
        if (line.startsWith("@")) onNews(line.slice(1));
        else if (this.#text.length < answerBytesMax) this.#text += `${line}\n`;
      }
      this.#wake();
    });
    stream.on("close", () => {
      this.#text += this.#begun;
      this.close();
    });
  }

  /** That line, without its end; what there is of it when the helper ends before. */
  async line(number: number): Promise<string> {
    for (;;) {
      const lines = this.#text.split("\n");
      if (this.#ended || lines.length > number + 1) return lines[number] ?? "";
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  text(): string {
    return this.#text;
  }

  close(): void {
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function resultOf(stdout: string, stderr: string): ApplyResult {
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  let answer: { ok?: boolean; skippedDevices?: number; index?: number; errno?: number; detail?: string };
  try {
    answer = JSON.parse(last) as typeof answer;
  } catch {
    answer = {};
  }
  if (answer.ok === true) return { skippedDevices: answer.skippedDevices ?? 0 };
  const complaint = stderr.trim();
  if (answer.ok !== false) throw applyFailed(undefined, complaint || "it ended without a result");
  throw applyFailed(answer.errno, [answer.detail, complaint].filter(Boolean).join("; "));
}

/** Not util.getSystemErrorName: that knows only the errnos of libuv. */
function errnoName(errno: number): string | undefined {
  const { constants } = process.getBuiltinModule("node:os");
  return Object.entries(constants.errno).find(([, number]) => number === errno)?.[0];
}

function applyFailed(errno: number | undefined, detail: string): VitrineError {
  const name = errno === undefined ? undefined : errnoName(errno);
  return new VitrineError(
    name === "EPERM" || name === "EACCES" ? "denied" : "unavailable",
    `the helper failed: ${detail}${name === undefined ? "" : `: ${name}`}`,
    {
      code: "apply-failed",
      operand: name,
      hint: "vitrine doctor checks what a store needs",
      cause: Object.assign(new Error(detail), { code: name }),
    },
  );
}

function helperMissing({ helperPath }: ApplyOptions, cause: unknown): VitrineError {
  return new VitrineError("unavailable", `cannot start the helper ${helperPath}`, {
    code: "helper-missing",
    operand: helperPath,
    hint: "it is installed beside vitrine; VITRINE_HELPER names another place",
    cause,
  });
}
