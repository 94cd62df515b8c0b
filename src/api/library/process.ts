/** A program in a container, with its streams. */
import type { ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { VitrineError } from "../../base/mod.ts";

/** What a program left. */
export interface Output {
  /** The program's; 128 + N when signal N ended it. */
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** As UTF-8. */
  readonly stdoutText: string;
  readonly stderrText: string;
}

/** Most bytes of each stream that `output` and `exec` keep when nothing else is said: 64 MiB. */
export const defaultMostBytes = 64 * 1024 * 1024;

export type Input = string | Uint8Array | Readable;

/** A running program; its streams are those of a child process of node. */
export class ContainerProcess {
  readonly stdin: Writable | null;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /**
   * Its exit status, when it has ended and its streams are closed. Rejects with the reason where it could not be started: codes
   * `command-not-found`, `command-not-executable`, …
   */
  readonly exited: Promise<number>;
  readonly #child: ChildProcess;

  /** `failure` is asked when the helper itself failed. */
  constructor(child: ChildProcess, failure: () => VitrineError | undefined) {
    this.#child = child;
    this.stdin = child.stdin;
    // Both are pipes: see `spawnHelper`.
    this.stdout = child.stdout!;
    this.stderr = child.stderr!;
    this.exited = new Promise((resolve, reject) => {
      child.once("error", (cause) =>
        reject(
          new VitrineError("unavailable", "cannot start vitrine-helper", {
            code: "helper-not-started",
            cause,
          }),
        ),
      );
      child.once("close", (code, signal) => {
        const problem = failure();
        if (problem !== undefined) reject(problem);
        else resolve(code ?? 128 + signalNumbers[signal ?? "SIGKILL"]!);
      });
    });
    // Whoever never looks at it must not be ended by it.
    this.exited.catch(() => undefined);
    // A program that does not read its input is no error of ours.
    this.stdin?.on("error", () => undefined);
  }

  /** Sends a signal to the program. */
  kill(signal: "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGKILL" = "SIGTERM"): void {
    this.#child.kill(signal);
  }

  /** Sends the input, if there is some, and gathers what comes. Error: `output-too-large`, then the program is killed. */
  async collect(input: Input | undefined, mostBytes: number): Promise<Output> {
    this.#send(input);
    const [stdout, stderr, exitCode] = await Promise.all([
      this.#gather(this.stdout, mostBytes),
      this.#gather(this.stderr, mostBytes),
      this.exited,
    ]);
    return {
      exitCode,
      stdout,
      stderr,
      get stdoutText() {
        return stdout.toString("utf8");
      },
      get stderrText() {
        return stderr.toString("utf8");
      },
    };
  }

  #send(input: Input | undefined): void {
    if (this.stdin === null) return;
    if (input === undefined) this.stdin.end();
    else if (typeof input === "string" || input instanceof Uint8Array) this.stdin.end(input);
    else input.pipe(this.stdin);
  }

  async #gather(stream: Readable, mostBytes: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > mostBytes) {
        this.kill("SIGKILL");
        throw new VitrineError("invalid", `the program printed more than ${mostBytes} bytes`, {
          code: "output-too-large",
          hint: "raise mostBytes, or read the streams of spawn()",
        });
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }
}

const signalNumbers: Readonly<Record<string, number>> = process.getBuiltinModule("node:os").constants.signals;
