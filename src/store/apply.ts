/** The helper in stage apply, with the id map of the store: fed with ops for a layer, or run once for a few. */
import type { ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { VitrineError } from "../base/mod.ts";
import { FrameWriter, type IdMapRange, type Op } from "../kernel/mod.ts";
import { diskError, type StoreContext } from "./context.ts";
import type { LayerOps } from "./layers/writer.ts";

export interface ApplyResult {
  readonly skippedDevices: number;
}

export interface ApplySession extends LayerOps {
  /** Waits until the helper has taken what was queued, so that a slow disk slows the reader. Throws when it failed. */
  drain(): Promise<void>;
  /** The end of the ops: how it went. Errors: `apply-failed`, those of the disk. */
  end(): Promise<ApplyResult>;
  /** Ends the helper; the error to throw: the helper's own when that came first. */
  abort(error: unknown): Promise<unknown>;
}

function helperArguments({ ids }: StoreContext): readonly string[] {
  if (ids.kind === "none") return ["apply"];
  const maps = ["--userns", mapText(ids.uids), mapText(ids.gids)];
  return ids.kind === "single"
    ? ["apply", ...maps]
    : ["apply", ...maps, "--newuidmap", ids.newuidmap, "--newgidmap", ids.newgidmap];
}

function mapText(ranges: readonly IdMapRange[]): string {
  return ranges.map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`).join(",");
}

/** Runs a few ops and waits. Errors: `helper-missing`, `apply-failed`, those of the disk. */
export function applySync(context: StoreContext, ops: readonly Op[]): ApplyResult {
  const writer = new FrameWriter();
  for (const op of ops) writer.op(op, "apply");
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const done = spawnSync(context.helperPath, helperArguments(context), {
    input: writer.bytes(),
    maxBuffer: outputBytes,
  });
  if (done.error !== undefined && done.stdout === null) throw helperMissing(context, done.error);
  return resultOf(context, done.stdout.toString("utf8"), done.stderr.toString("utf8"));
}

/** What the helper says is one line; anything longer is not from it. */
const outputBytes = 64 * 1024;

function helperMissing(context: StoreContext, cause: unknown): VitrineError {
  return new VitrineError("unavailable", `cannot start the helper ${context.helperPath}`, {
    code: "helper-missing",
    operand: context.helperPath,
    hint: "it is installed beside vitrine; VITRINE_HELPER names another place",
    cause,
  });
}

function resultOf(context: StoreContext, stdout: string, stderr: string): ApplyResult {
  let line: { ok?: boolean; skippedDevices?: number; errno?: number; detail?: string };
  try {
    line = JSON.parse(stdout) as typeof line;
  } catch {
    throw failed(context, undefined, stderr.trim() === "" ? "it ended without a result" : stderr.trim());
  }
  if (line.ok === true) return { skippedDevices: line.skippedDevices ?? 0 };
  throw failed(context, line.errno, line.detail ?? "");
}

function failed(context: StoreContext, errno: number | undefined, detail: string): VitrineError {
  const name =
    errno === undefined ? undefined : process.getBuiltinModule("node:util").getSystemErrorName(-errno);
  const cause = Object.assign(new Error(detail), { code: name });
  // A full or read-only disk is the disk's fault; a refused call need not be.
  const disk =
    name === "ENOSPC" || name === "EDQUOT" || name === "EROFS" ? diskError(context, cause) : undefined;
  if (disk instanceof VitrineError) return disk;
  return new VitrineError(
    "unavailable",
    `the helper failed: ${detail}${name === undefined ? "" : `: ${name}`}`,
    {
      code: "apply-failed",
      operand: name,
      hint: "vitrine doctor checks what a store needs",
      cause,
    },
  );
}

/** Frames are gathered until there are this many bytes: a write to a pipe has its price. */
const batchBytes = 512 * 1024;
/** Above this a file's bytes are written from where they are, not copied into the batch. */
const copyBytes = 64 * 1024;

export function startApply(context: StoreContext): ApplySession {
  return new Session(context);
}

class Session implements ApplySession {
  private readonly context: StoreContext;
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private readonly writer = new FrameWriter(batchBytes + copyBytes);
  private readonly ended: Promise<ApplyResult>;
  private blocked = false;
  private failure: unknown;
  private wake: () => void = () => {};

  constructor(context: StoreContext) {
    this.context = context;
    const { spawn } = process.getBuiltinModule("node:child_process");
    this.child = spawn(context.helperPath, helperArguments(context), { stdio: ["pipe", "pipe", "pipe"] });
    const output = gather(this.child.stdout);
    const errors = gather(this.child.stderr);
    // A helper that fails early closes its stdin: its own message says more than EPIPE.
    this.child.stdin.on("error", () => this.unblock());
    this.child.stdin.on("drain", () => this.unblock());
    this.ended = new Promise<ApplyResult>((resolve, reject) => {
      this.child.on("error", (error) => reject(helperMissing(context, error)));
      this.child.on("close", () => {
        try {
          resolve(resultOf(context, output(), errors()));
        } catch (error) {
          reject(error);
        }
      });
    });
    this.ended.then(
      () => this.unblock(),
      (error: unknown) => {
        this.failure = error;
        this.unblock();
      },
    );
  }

  op(op: Op): void {
    this.writer.op(op, "apply");
    if (this.writer.length >= batchBytes) this.flush();
  }

  data(offset: number, chunk: Uint8Array): void {
    if (chunk.length > copyBytes) {
      this.writer.layerDataHeader(BigInt(offset), chunk.length);
      this.flush();
      this.send(chunk);
      return;
    }
    this.writer.op({ op: "layerData", offset: BigInt(offset), data: chunk }, "apply");
    if (this.writer.length >= batchBytes) this.flush();
  }

  async drain(): Promise<void> {
    if (this.blocked && this.failure === undefined) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    if (this.failure !== undefined) throw this.failure;
  }

  async end(): Promise<ApplyResult> {
    this.flush();
    this.child.stdin.end();
    return this.ended;
  }

  async abort(error: unknown): Promise<unknown> {
    const early = this.failure;
    this.child.stdin.destroy();
    this.child.kill("SIGKILL");
    await this.ended.catch(() => undefined);
    return early ?? diskError(this.context, error);
  }

  private flush(): void {
    if (this.writer.length > 0) this.send(this.writer.take());
  }

  private send(bytes: Uint8Array): void {
    if (this.failure === undefined && !this.child.stdin.write(bytes)) this.blocked = true;
  }

  private unblock(): void {
    this.blocked = false;
    this.wake();
  }
}

function gather(stream: Readable): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    if (bytes < outputBytes) chunks.push(chunk);
    bytes += chunk.length;
  });
  return () => Buffer.concat(chunks).toString("utf8");
}
