/** Starting the helper from a program that stays: what it runs, who owns it, and how its failures come back. */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import type { Socket } from "node:net";
import { type ErrorKind, temporaryName, VitrineError } from "../../base/mod.ts";
import type { RunDeps } from "../../engine/mod.ts";
import { helperEnvironment } from "../../kernel/mod.ts";
import type { Machine } from "../machine/machine.ts";
import { runDeps } from "../machine/run-deps.ts";
import { failureProgram } from "./machine.ts";

/** A VitrineError on its way from failed.ts. */
export interface FailureReport {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly code: string;
  readonly operand: string | undefined;
  readonly hint: string | undefined;
}

/** Dependencies whose failures are written to a file of this one call. */
export interface Attempt {
  readonly deps: RunDeps;
  /** The error that was told, if one was. */
  failure(): VitrineError | undefined;
  /** When nothing can fail any more. */
  close(): void;
}

export function attempt(machine: Machine): Attempt {
  const { root, runroot } = machine.paths();
  const file = `${root}/tmp/${temporaryName("report")}`;
  const program = failureProgram();
  const failureCommand = (id: string): readonly string[] =>
    program.length === 0 ? [] : [...program, file, root, runroot, id];
  return {
    deps: { ...runDeps(machine), failureCommand, spawnsMonitor: true },
    failure() {
      const report = readReport(file);
      return report === undefined ? undefined : new VitrineError(report.kind, report.message, report);
    },
    close: () => fs.rmSync(file, { force: true }),
  };
}

function readReport(file: string): FailureReport | undefined {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8")) as FailureReport;
  } catch {
    return undefined;
  }
}

type Input = "ignore" | "pipe";

/** `vitrine-helper WORDS…` with pipes. */
export function spawnHelper(machine: Machine, words: readonly string[], stdin: Input): ChildProcess {
  return spawn(machine.helperPath(), words, {
    env: helperEnvironment(machine.environment),
    stdio: [stdin, "pipe", "pipe"],
  });
}

/**
 * The socket between a container's monitor and this process: the kernel closes it when the process ends, and the
 * container with it. The monitor writes the exit status there when all is cleaned up.
 */
export class Lifeline {
  readonly #ended: Promise<number | undefined>;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    let text = "";
    this.#ended = new Promise((resolve) => {
      const end = (): void => resolve(/^\d+\n$/.test(text) ? Number(text) : undefined);
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1").slice(0, 16);
      });
      socket.on("end", end);
      socket.on("close", end);
      socket.on("error", end);
    });
  }

  /** A container that runs does not keep this process from ending by itself. */
  release(): void {
    this.#socket.unref();
  }

  /**
   * Waits for the end, all cleaned up. The container's exit status (128 + N: signal N); undefined when the monitor was killed and
   * did not say.
   */
  async ended(): Promise<number | undefined> {
    this.#socket.ref();
    try {
      return await this.#ended;
    } finally {
      this.#socket.unref();
    }
  }

  /** Ends the container: `ended` tells when all is cleaned up. */
  cut(): void {
    this.#socket.end();
  }
}

/** `vitrine-helper run --lifeline PLAN`. */
export function spawnOwned(
  machine: Machine,
  planFile: string,
  stdin: Input,
): { readonly child: ChildProcess; readonly lifeline: Lifeline } {
  const child = spawn(machine.helperPath(), ["run", "--lifeline", planFile], {
    env: helperEnvironment(machine.environment),
    stdio: [stdin, "pipe", "pipe", "pipe"],
  });
  return { child, lifeline: new Lifeline(child.stdio[3] as unknown as Socket) };
}
