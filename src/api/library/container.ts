/** A container, as a program that uses the library holds it. */
import * as fs from "node:fs";
import { VitrineError } from "../../base/mod.ts";
import {
  attachSocket,
  type Container as ContainerRecord,
  type ContainerState,
  containerDirectory,
  findContainer,
  joinPlan,
  type LogEntry,
  LogReader,
  logFile,
  monitorLives,
  monitorOf,
  parseEnvironment,
  prepareExec,
  readConfig,
  removeContainer,
  runDirectory,
  runningProcess,
  signalContainer,
  stateOf,
} from "../../engine/mod.ts";
import { explainPlan, type PlanExplanation } from "../../explain/mod.ts";
import type { RuntimeConfig } from "../../oci/mod.ts";
import type { Machine } from "../machine/machine.ts";
import { treeRemover } from "../machine/trees.ts";
import { attempt, type Lifeline, spawnHelper } from "./launch.ts";
import { ContainerProcess, defaultMostBytes, type Input, type Output } from "./process.ts";

export interface ExecSettings {
  readonly env?: Readonly<Record<string, string>>;
  readonly workdir?: string;
  /** `USER[:GROUP]`; default: the container's. */
  readonly user?: string;
  /** All capabilities, no seccomp. */
  readonly privileged?: boolean;
  readonly tty?: boolean;
}

export interface CollectSettings {
  /** What the program reads; without it its input is empty. */
  readonly input?: Input;
  /** Most bytes of each stream; more is the error `output-too-large`. Default: 64 MiB. */
  readonly mostBytes?: number;
}

export interface LogSettings {
  /** Goes on until the container has ended. */
  readonly follow?: boolean;
  /** Only what was printed from this time on. */
  readonly since?: Date;
}

/** What is known of a container. */
export interface ContainerDescription {
  readonly id: string;
  readonly name: string;
  /** As it was asked for, and the digest of its config. */
  readonly image: string;
  readonly imageId: string;
  readonly created: Date;
  readonly command: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly state: ContainerState;
  /** What the kernel was asked for. */
  readonly config: RuntimeConfig;
}

/** How often is looked for what no event tells: the end of a container that this process does not own, and new log lines. */
const lookMilliseconds = 50;

export class Container {
  readonly id: string;
  readonly #machine: Machine;
  readonly #lifeline: Lifeline | undefined;
  #record: ContainerRecord;

  /** Not to be called: see `Engine.run` and `Engine.container`. */
  constructor(machine: Machine, record: ContainerRecord, lifeline?: Lifeline) {
    this.id = record.id;
    this.#machine = machine;
    this.#record = withoutUs(record);
    this.#lifeline = lifeline;
  }

  get name(): string {
    return this.#record.name;
  }

  /** Runs a program in it to its end. Errors: those of `spawn`, and `output-too-large`. */
  async exec(command: readonly string[], settings: ExecSettings & CollectSettings = {}): Promise<Output> {
    const started = await this.#start(command, settings, settings.input !== undefined);
    return started.collect(settings.input, settings.mostBytes ?? defaultMostBytes);
  }

  /**
   * Starts a program in it and gives its streams. Errors: `container-not-running`, `user-not-found`; those of its start come
   * from `exited`.
   */
  spawn(command: readonly string[], settings: ExecSettings = {}): Promise<ContainerProcess> {
    return this.#start(command, settings, true);
  }

  async #start(
    command: readonly string[],
    settings: ExecSettings,
    input: boolean,
  ): Promise<ContainerProcess> {
    const { env = {}, workdir, user, privileged = false, tty = false } = settings;
    const tried = attempt(this.#machine);
    const { planFile } = await prepareExec(
      this.#record,
      {
        command,
        interactive: input,
        tty,
        detach: false,
        detachKeys: new Uint8Array(),
        environment: Object.entries(env).flatMap(([name, value]) =>
          parseEnvironment("--env", `${name}=${value}`, {}),
        ),
        user,
        workdir,
        privileged,
      },
      tried.deps,
    );
    const child = spawnHelper(this.#machine, ["run", planFile], input ? "pipe" : "ignore");
    return new ContainerProcess(child, () => {
      const failure = tried.failure();
      tried.close();
      return failure;
    });
  }

  /** Its own program's streams from now on; stdin only of a container made with `interactive`. */
  attach(): ContainerProcess {
    const socket = attachSocket(this.#machine.paths(), this.id);
    const child = spawnHelper(this.#machine, ["attach", "--no-signals", socket], "pipe");
    return new ContainerProcess(child, () => undefined);
  }

  /** What it printed. A container made without `keep` has a log for as long as it is there. */
  async *logs(settings: LogSettings = {}): AsyncGenerator<LogEntry & { readonly line: string }, void> {
    const from = settings.since === undefined ? "" : settings.since.toISOString().slice(0, -1);
    const reader = new LogReader(logFile(this.#machine.paths(), this.id));
    const decoder = new TextDecoder();
    try {
      for (;;) {
        // Looked at before the log: what it wrote last is then read all the same.
        const lives = settings.follow === true && this.#lives();
        for (const entry of reader.read()) {
          if (entry.time < from) continue;
          yield { ...entry, line: decoder.decode(entry.text) };
        }
        if (!lives) return;
        await look();
      }
    } finally {
      reader.close();
    }
  }

  /** Error: `container-not-found`. */
  state(): ContainerState {
    this.#refresh();
    return stateOf(this.#machine.paths(), this.#record);
  }

  /** Error: `container-not-found`. */
  inspect(): ContainerDescription {
    const state = this.state();
    const { id, name, image, imageId, created, command, labels } = this.#record;
    const config = readConfig(this.#machine.paths(), id);
    return { id, name, image, imageId, created: new Date(created), command, labels, state, config };
  }

  /** Pid of its first process, as the machine counts; undefined where it does not run. */
  get pid(): number | undefined {
    return runningProcess(this.#machine.paths(), this.#record)?.pid;
  }

  /** The plan that it was started by. Error: `container-not-running`. */
  explain(): PlanExplanation {
    const directory = runDirectory(this.#machine.paths(), this.id);
    try {
      const plan = fs.readFileSync(`${directory}/plan`);
      return explainPlan(joinPlan(plan, fs.readFileSync(`${directory}/reasons.json`, "utf8")));
    } catch (cause) {
      throw new VitrineError("invalid", `container ${this.name} is not running: its plan is gone`, {
        code: "container-not-running",
        operand: this.name,
        cause,
      });
    }
  }

  /**
   * Waits until it has ended and all is cleaned up; its exit status. Undefined: it was killed in a way that left none, or it is a
   * container of `--rm` that this process does not own.
   */
  async wait(): Promise<number | undefined> {
    if (this.#lifeline !== undefined) return this.#lifeline.ended();
    while (this.#lives()) await look();
    const state = stateOf(this.#machine.paths(), this.#record);
    return state.status === "exited" ? state.code : undefined;
  }

  /** Errors: `container-not-running`, `signal-denied`. */
  kill(signal = "SIGKILL"): void {
    signalContainer(this.#record, signal, this.#ends());
  }

  /** Its stop signal, and SIGKILL when it has not ended after `seconds`. Returns when it has. */
  async stop(seconds = this.#record.stopTimeoutSeconds): Promise<void> {
    if (this.pid === undefined) return;
    this.kill(this.#record.stopSignal);
    const deadline = Date.now() + seconds * 1000;
    while (this.#lives() && Date.now() < deadline) await look(5);
    if (this.pid !== undefined) this.kill();
    await this.wait();
  }

  /** Kills it if it runs, and removes what there is of it. */
  async remove(): Promise<void> {
    const paths = this.#machine.paths();
    if (this.#lifeline !== undefined) {
      // Its monitor does the rest, and says when it has.
      this.#lifeline.cut();
      await this.#lifeline.ended();
      if (!fs.existsSync(containerDirectory(paths, this.id))) return;
    }
    await removeContainer(paths, this.#record, { force: true }, treeRemover(this.#machine));
  }

  /** `await using container = await run(…)`: see `remove`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  #ends() {
    return { paths: this.#machine.paths(), helperPath: this.#machine.helperPath() };
  }

  #lives(): boolean {
    return monitorOf(this.#machine.paths(), this.#record) !== undefined
      ? monitorLives(this.#machine.paths(), this.#record)
      : false;
  }

  #refresh(): void {
    this.#record = withoutUs(findContainer(this.#machine.paths(), this.id));
  }
}

/** The record names whoever wrote it, this process: from the start on its monitor holds the container. */
function withoutUs(record: ContainerRecord): ContainerRecord {
  if (record.monitor?.pid !== process.pid) return record;
  const { monitor: _, ...rest } = record;
  return rest;
}

function look(milliseconds = lookMilliseconds): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
