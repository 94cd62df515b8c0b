/** vitrine as a library: what a program does with images and containers, on this machine, without a daemon. */
import { VitrineError } from "../../base/mod.ts";
import {
  type Container as ContainerRecord,
  findContainer,
  leaveToMonitor,
  listContainers,
  type Manner,
  prepareRun,
  previewRun,
  type RunDeps,
  type RunOptions,
} from "../../engine/mod.ts";
import { explainPlan, type PlanExplanation } from "../../explain/mod.ts";
import type { Machine } from "../machine/machine.ts";
import { type PullPolicy, pullingResolver } from "../machine/pull-missing.ts";
import { runDeps } from "../machine/run-deps.ts";
import { sweep } from "../machine/trees.ts";
import { type CollectSettings, Container } from "./container.ts";
import { Images } from "./images.ts";
import { attempt, type Lifeline, spawnHelper, spawnOwned } from "./launch.ts";
import { type EngineOptions, libraryMachine } from "./machine.ts";
import { ContainerProcess, defaultMostBytes, type Output } from "./process.ts";
import { type RunSettings, runOptions } from "./settings.ts";

/** Opens an engine; nothing is read or made before a method is called. */
export function openEngine(options: EngineOptions = {}): Engine {
  return new Engine(libraryMachine(options));
}

export class Engine {
  readonly images: Images;
  readonly #machine: Machine;

  /** Not to be called: see `openEngine`. */
  constructor(machine: Machine) {
    this.#machine = machine;
    this.images = new Images(machine);
  }

  /**
   * Starts a container and returns when its program runs. Unless `keep` is set it is gone when it ends, when it is disposed of
   * (`await using`), and when this program ends, be it by SIGKILL. Without a command it runs the image's.
   * Errors: `invalid-flag-value`, `image-not-found`, those of a pull, `command-not-found`, `command-not-executable`; every op of the
   * plan that fails has a code of its own.
   */
  async run(image: string, command: readonly string[] = [], settings: RunSettings = {}): Promise<Container> {
    const { record, child, lifeline, failure } = await this.#launch(image, command, settings, {
      output: false,
    });
    const printed: Buffer[] = [];
    child.stderr?.on("data", (chunk: Buffer) => printed.push(chunk));
    child.stdout?.resume();
    // Not `close`: the lifeline stays open.
    const code = await new Promise<number>((resolve) =>
      child.once("exit", (status) => resolve(status ?? 125)),
    );
    const problem = failure();
    if (problem !== undefined || code !== 0) {
      lifeline?.cut();
      throw problem ?? startFailed(Buffer.concat(printed).toString("utf8"));
    }
    lifeline?.release();
    if (settings.keep === true) await leaveToMonitor(this.#machine.paths(), record.id, Date.now());
    return new Container(this.#machine, record, lifeline);
  }

  /** Runs a program in a new container to its end and gives what it printed. Errors: those of `run`, `output-too-large`. */
  async output(
    image: string,
    command: readonly string[] = [],
    settings: RunSettings & CollectSettings = {},
  ): Promise<Output> {
    const input = settings.input !== undefined;
    const { child, lifeline, failure } = await this.#launch(
      image,
      command,
      { ...settings, interactive: input },
      { output: true, input },
    );
    const started = new ContainerProcess(child, failure);
    try {
      return await started.collect(settings.input, settings.mostBytes ?? defaultMostBytes);
    } finally {
      // Nothing of it is left when this returns, nor runs on when its output was too much.
      lifeline?.cut();
      await lifeline?.ended();
    }
  }

  /** The plan of a run that does not happen: each kernel call, the field it comes from, and who asked for it. */
  async explain(
    image: string,
    command: readonly string[] = [],
    settings: RunSettings = {},
  ): Promise<PlanExplanation> {
    const deps = this.#deps(runDeps(this.#machine), settings.pull);
    return explainPlan((await previewRun(runOptions(image, command, settings), deps)).plan);
  }

  /** A container by name, id, or the beginning of one. Errors: `container-not-found`, `container-ambiguous`. */
  container(name: string): Container {
    return new Container(this.#machine, findContainer(this.#machine.paths(), name));
  }

  /** All of them, newest first, those that ended included. */
  async containers(): Promise<readonly Container[]> {
    await sweep(this.#machine);
    return [...listContainers(this.#machine.paths())]
      .sort((a, b) => b.created - a.created)
      .map((record) => new Container(this.#machine, record));
  }

  async #launch(
    image: string,
    command: readonly string[],
    settings: RunSettings,
    streams: { readonly output: boolean; readonly input?: boolean },
  ) {
    await sweep(this.#machine, 8);
    const tried = attempt(this.#machine);
    const options = runOptions(image, command, settings);
    const manner: Manner = {
      kind: "detached",
      announce: "",
      ...(streams.output ? { attach: { input: streams.input === true, detachKeys: new Uint8Array() } } : {}),
    };
    // Its output comes here, not into a log, and its stdin ends with ours.
    const wanted: RunOptions = streams.output
      ? { ...options, detach: false, log: { driver: "none", maxBytes: 0, files: 1 } }
      : options;
    const { run, planFile, discard } = await prepareRun(wanted, this.#deps(tried.deps, settings.pull), {
      manner,
    });
    const record = this.#recordOf(run.id);
    try {
      const stdin = streams.input === true ? "pipe" : "ignore";
      const started: { readonly child: ReturnType<typeof spawnHelper>; readonly lifeline?: Lifeline } =
        settings.keep === true
          ? { child: spawnHelper(this.#machine, ["run", planFile], stdin) }
          : spawnOwned(this.#machine, planFile, stdin);
      const failure = (): VitrineError | undefined => {
        const problem = tried.failure();
        tried.close();
        return problem;
      };
      return { ...started, lifeline: started.lifeline, record, failure };
    } catch (error) {
      await discard();
      throw error;
    }
  }

  #recordOf(id: string): ContainerRecord {
    return findContainer(this.#machine.paths(), id);
  }

  #deps(deps: RunDeps, policy: PullPolicy = "missing"): RunDeps {
    const resolveImage = pullingResolver(this.#machine, policy, async (store, reference, platform) => {
      const name = await this.images.pull(reference, {
        ...(platform === undefined ? {} : { platform: [platform.os, platform.architecture].join("/") }),
      });
      return store.resolve(name.name, platform);
    });
    return { ...deps, resolveImage };
  }
}

function startFailed(printed: string): VitrineError {
  const text = printed.trim();
  return new VitrineError("internal", text === "" ? "the container could not be started" : text, {
    code: "container-start-failed",
    hint: "run 'vitrine doctor'",
  });
}

// --- without an engine of one's own ---

/** `Engine.run` on the engine that the command line uses. */
export function run(image: string, command?: readonly string[], settings?: RunSettings): Promise<Container> {
  return openEngine().run(image, command, settings);
}

/** `Engine.output` on the engine that the command line uses. */
export function output(
  image: string,
  command?: readonly string[],
  settings?: RunSettings & CollectSettings,
): Promise<Output> {
  return openEngine().output(image, command, settings);
}
