/**
 * A container's command run again in a throw-away container of the same image and config.json, with changes: for `why`.
 * The one that is there is not touched, and its volumes and binds are read-only unless the caller allows writes.
 */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import type { Socket } from "node:net";
import { VitrineError } from "../base/mod.ts";
import { helperEnvironment } from "../kernel/mod.ts";
import type { Mount, RuntimeConfig } from "../oci/mod.ts";
import { configText } from "./config-text.ts";
import { type Container, containerDirectory, readContainer, runDirectory } from "./containers/record.ts";
import { type RemoveTree, removeContainerFiles } from "./containers/sweep.ts";
import { hostDevices } from "./host-files.ts";
import { type Launch, writeLaunch } from "./launch.ts";
import type { RunOptions } from "./options.ts";
import { prepareRun, type RunDeps } from "./prepare-run.ts";
import { readLaunch } from "./read-launch.ts";
import type { HostDevice } from "./spec/input.ts";
import { prepareStart } from "./start-container.ts";
import { own } from "./volumes/image-mount.ts";

export interface ProbeSubject {
  readonly container: Container;
  /** What it is started by, the paths still its own. */
  readonly config: RuntimeConfig;
  /** The seccomp profile is the default one. */
  readonly defaultSeccomp: boolean;
  /** Mounts whose files are the user's. */
  readonly isUsers: (mount: Mount) => boolean;
}

export interface ProbeRequest {
  /** `subject.config`, changed. */
  readonly config: RuntimeConfig;
  readonly allowWrites: boolean;
  readonly timeoutMilliseconds: number;
}

export interface ProbeResult {
  readonly exitCode: number;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProbeDeps extends RunDeps {
  readonly removeTree: RemoveTree;
  /** Of a run with no flags of this image. */
  readonly plainOptions: (image: string) => RunOptions;
}

/** Errors: `container-record-invalid`, `probe-needs-image`. */
export function probeSubject(container: Container, deps: ProbeDeps): ProbeSubject {
  if (container.imageId === "") {
    throw new VitrineError(
      "unsupported",
      `container ${container.name} has no image, but a directory of the host`,
      {
        code: "probe-needs-image",
        operand: container.name,
        hint: "its command would write there; see 'vitrine explain' of it instead",
      },
    );
  }
  const { config, origins } = readLaunch(deps.paths, container.id);
  const own = [containerDirectory(deps.paths, container.id), runDirectory(deps.paths, container.id)];
  const isUsers = ({ type, options = [], source = "" }: Mount): boolean =>
    (type === "bind" || options.includes("bind") || options.includes("rbind")) &&
    source.startsWith("/") &&
    !source.startsWith("/dev/") &&
    source !== "/sys" &&
    !own.some((directory) => source.startsWith(`${directory}/`));
  const origin = origins.get("/linux/seccomp")?.by;
  return { container, config, isUsers, defaultSeccomp: origin === undefined || origin === "default" };
}

/** Nodes of the host's /dev that a container does not have by itself; many of a kind (loop, tty, ram) are left out. */
export function probeDevices(): readonly HostDevice[] {
  return hostDevices("/dev").filter(
    ({ path }) =>
      !/^\/dev\/(?:tty|vcs|loop\d|ram|pts\/|null$|zero$|full$|random$|urandom$|console$|ptmx$|shm\/|mqueue\/)/.test(
        path,
      ),
  );
}

/** Makes the container, runs it, takes it away again. */
export async function probeContainer(
  subject: ProbeSubject,
  request: ProbeRequest,
  deps: ProbeDeps,
): Promise<ProbeResult> {
  const { container } = subject;
  const { paths } = deps;
  const options = deps.plainOptions(container.imageId);
  const idChoice = { ids: container.ids, warnings: [] };
  const { run } = await prepareRun(options, deps, { starts: false, owned: true, idChoice });
  const made = readContainer(paths, run.id);
  if (made === undefined) {
    throw new VitrineError("internal", "the container of a probe is not there", { code: "probe-lost" });
  }
  try {
    const { launch, origins } = readLaunch(paths, container.id);
    const renamed = (text: string): string => text.replaceAll(container.id, run.id);
    const config = JSON.parse(renamed(configText(probeConfig(subject, request))));
    fs.writeFileSync(`${containerDirectory(paths, run.id)}/config.json`, JSON.stringify(config), {
      mode: 0o600,
    });
    await makeOwnImages(container, launch, renamed, deps);
    writeLaunch(paths, run.id, JSON.parse(renamed(JSON.stringify(probeLaunch(launch, request)))), origins);
    const { planFile, discard } = await prepareStart(made, { kind: "foreground" }, deps);
    try {
      return await runHelper(planFile, request.timeoutMilliseconds, deps);
    } finally {
      discard();
    }
  } finally {
    const left = readContainer(paths, run.id);
    if (left !== undefined) await removeContainerFiles(paths, left, deps.removeTree, false);
  }
}

function probeConfig({ isUsers }: ProbeSubject, { config, allowWrites }: ProbeRequest): RuntimeConfig {
  const { process } = config;
  const mounts = config.mounts?.map((mount) => (!allowWrites && isUsers(mount) ? readOnly(mount) : mount));
  return {
    ...config,
    ...(mounts === undefined ? {} : { mounts }),
    ...(process === undefined ? {} : { process: { ...process, terminal: false } }),
  };
}

function readOnly(mount: Mount): Mount {
  return { ...mount, options: [...(mount.options ?? []).filter((option) => option !== "rw"), "ro"] };
}

/** Writable images of `--mount type=image` have layers of the container's own: the probe gets new ones. */
async function makeOwnImages(
  { mounts = [], mountedImages = [], ids }: Container,
  { images = [] }: Launch,
  renamed: (path: string) => string,
  deps: ProbeDeps,
): Promise<void> {
  const mounted = mounts.filter((mount) => mount.kind === "image");
  // As findMounted has them: each image once, in the order of the mounts.
  const references = [...new Set(mounted.map(({ image }) => image))];
  const writable = images.filter(({ target }) => mounted.find((mount) => mount.target === target)?.writable);
  if (writable.length === 0) return;
  const store = await deps.openStore(ids);
  for (const { at, target } of writable) {
    const reference = mounted.find((mount) => mount.target === target)!.image;
    const id = mountedImages[references.indexOf(reference)]?.imageId ?? reference;
    const directory = own(renamed(at));
    fs.mkdirSync(directory, { recursive: true, mode: 0o755 });
    store.snapshot(await deps.resolveImage(store, id, undefined), directory);
  }
}

/** Volumes are bound as they are: none is filled, and none goes with this container. */
function probeLaunch(launch: Launch, { allowWrites }: ProbeRequest): Launch {
  const { restart, health, chown, ...others } = launch;
  void restart;
  void health;
  return {
    ...others,
    ...(chown === undefined || !allowWrites ? {} : { chown }),
    interactive: false,
    remove: true,
    log: { driver: "none", maxBytes: 0, files: 1 },
    volumes: [],
  };
}

const mostOutput = 64 * 1024;

/** The lifeline ends it with this process, however that ends, and when its time is over. */
async function runHelper(
  planFile: string,
  milliseconds: number,
  { helperPath, environment }: ProbeDeps,
): Promise<ProbeResult> {
  const child = spawn(helperPath, ["run", "--lifeline", planFile], {
    env: helperEnvironment(environment),
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const texts = { stdout: "", stderr: "" };
  for (const [name, stream] of [
    ["stdout", child.stdout],
    ["stderr", child.stderr],
  ] as const) {
    stream?.on("data", (chunk: Buffer) => {
      texts[name] = (texts[name] + chunk.toString("utf8")).slice(-mostOutput);
    });
  }
  const lifeline = child.stdio[3] as unknown as Socket;
  lifeline.resume();
  // It may be closed on the other side first.
  lifeline.on("error", () => {});
  const ended = new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 137));
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    lifeline.end();
  }, milliseconds);
  try {
    const exitCode = await ended;
    return { exitCode, timedOut, ...texts };
  } finally {
    clearTimeout(timer);
  }
}
