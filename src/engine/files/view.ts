/**
 * A container's files, by a helper that sees its root: of one that runs in its own namespaces, of another as a start would
 * mount it, in a mount namespace of the helper's own. Nothing of the container is ever executed or loaded there
 * (CVE-2019-14271), and every path is resolved beneath the root by descriptor (CVE-2018-15664).
 */
import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { VitrineError } from "../../base/mod.ts";
import { ApplySession, FileReader, type Op } from "../../kernel/mod.ts";
import type { RuntimeConfig } from "../../oci/mod.ts";
import { foreignNamespaces, isAlive, type RunningProcess } from "../../runtime/mod.ts";
import { applyOptions } from "../../store/mod.ts";
import { type Container, type EnginePaths, runDirectory } from "../containers/record.ts";
import { runningProcess } from "../containers/state.ts";
import { readConfig } from "../exec-container.ts";
import { readLaunch } from "../read-launch.ts";
import type { BeneathSource } from "../spec/user-mounts.ts";
import { stageImage } from "../volumes/image-mount.ts";
import { claimState } from "../write-state.ts";

export interface FileDeps {
  readonly paths: EnginePaths;
  readonly helperPath: string;
}

export interface RootView {
  readonly session: ApplySession;
  readonly reader: FileReader;
  /** Names, as readTree has them for a tree at `/`, of what the kernel makes up: not to be copied with the rest. */
  readonly madeUp: readonly string[];
  /** The end of all that was asked. Error: `apply-failed`. */
  finish(): Promise<void>;
  /** Ends the helper; its own failure, when that came before. */
  abort(): Promise<unknown>;
}

/**
 * - `write`: what it writes stays; a stopped container is held meanwhile, so that it is not started.
 * - `view`: `whole` with volumes, binds and what is mounted in it now; `layers` only what its image and itself wrote.
 */
export interface ViewOptions {
  readonly write: boolean;
  readonly view: "whole" | "layers";
  /** The input of another session: see `ApplyOutputs`. */
  readonly copyTo?: number;
  /** Somebody else of this command holds it, and writes. */
  readonly beside?: boolean;
}

/** Errors: `container-busy`, `container-record-invalid`, `apply-failed`. */
export async function openRoot(
  container: Container,
  options: ViewOptions,
  deps: FileDeps,
): Promise<RootView> {
  const running = runningProcess(deps.paths, container);
  if (running !== undefined) return await openRunning(container, running, options, deps);
  const held = (options.write || options.view === "whole") && options.beside !== true;
  if (held) await hold(container, deps);
  try {
    return openStopped(container, options, deps, held);
  } catch (error) {
    if (held) release(container, deps);
    throw error;
  }
}

// --- of one that runs ---

const rootPath = { base: "root", path: "/" } as const;
const typeBits = { user: 0x10000000, mount: 0x00020000 } as const;

async function openRunning(
  container: Container,
  running: RunningProcess,
  options: ViewOptions,
  { helperPath, paths }: FileDeps,
): Promise<RootView> {
  const session = new ApplySession({ helperPath }, { answers: true, copyTo: options.copyTo });
  const foreign = foreignNamespaces(running.pid);
  const join = (type: "user" | "mount", file: string): void => {
    if (!foreign.includes(type)) return;
    const path = { base: "host", path: `/proc/${running.pid}/ns/${file}` } as const;
    session.op({ op: "joinNamespace", path, type: typeBits[type] });
  };
  join("user", "user");
  join("mount", "mnt");
  session.op({ op: "setRoot", path: { base: "host", path: "/" } });
  if (options.view === "layers") session.op({ op: "detachRoot" });
  session.op({ op: "setWork", path: rootPath });
  const madeUp = options.view === "layers" ? [] : kernelMounts(readConfig(paths, container.id));
  const view = viewOf(session, madeUp, () => {});
  // Once it has joined: as long as the process has its start time, its pid was never another's.
  await view.reader.entry(rootPath, false);
  if (foreign.includes("mount") && isAlive(running)) return view;
  await view.abort();
  throw gone(container);
}

function gone({ name }: Container): VitrineError {
  return new VitrineError("unavailable", `container ${name} ended meanwhile`, {
    code: "container-busy",
    operand: name,
    hint: "try again",
  });
}

/** /proc, /sys and their like, and /dev with its devices. */
function kernelMounts(config: RuntimeConfig): readonly string[] {
  const types = ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"];
  return (config.mounts ?? [])
    .filter(({ type = "", destination }) => types.includes(type) || destination === "/dev")
    .map(({ destination }) => destination.replace(/^\/+|\/+$/g, ""));
}

// --- of one that does not ---

const msPrivate = 1 << 18;
const mountReadOnly = 1n;

function openStopped(
  container: Container,
  options: ViewOptions,
  { paths, helperPath }: FileDeps,
  held: boolean,
): RootView {
  const { launch, config } = readLaunch(paths, container.id);
  const { root } = launch;
  if (root.type === "overlay") fs.mkdirSync(root.target, { recursive: true, mode: 0o755 });
  const session = new ApplySession(applyOptions(helperPath, container.ids), {
    answers: true,
    copyTo: options.copyTo,
  });
  const ops: Op[] = [];
  // A user namespace comes with one.
  if (container.ids.kind === "none") ops.push({ op: "unshareNamespaces", flags: BigInt(typeBits.mount) });
  ops.push({
    op: "mountPropagation",
    path: { base: "host", path: "/" },
    propagation: msPrivate,
    recursive: true,
  });
  if (root.type === "overlay") {
    // Only read, the container's own layer is one more lower one: no work directory is touched, and nothing is locked.
    const layers = held
      ? [
          ...root.lowers.map((lower) => `lowerdir+=${lower}`),
          `upperdir=${root.upper}`,
          `workdir=${root.work}`,
        ]
      : [root.upper, ...root.lowers].map((lower) => `lowerdir+=${lower}`);
    ops.push({
      op: "mountFilesystem",
      fstype: "overlay",
      source: "overlay",
      target: { base: "host", path: root.target },
      attributes: 0n,
      options: [...layers, ...(root.userxattr ? ["userxattr"] : [])],
    });
  }
  ops.push({
    op: "setRoot",
    path: { base: "host", path: root.type === "overlay" ? root.target : root.path },
  });
  if (options.view === "whole") {
    // Images that are mounted are mounted again, where only the helper sees them.
    for (const { at } of launch.images ?? []) fs.mkdirSync(at, { recursive: true, mode: 0o755 });
    ops.push(...(launch.images ?? []).map(stageImage));
    ops.push(...volumeOps(config, paths, launch.beneath ?? []));
  }
  if (config.root?.readonly === true && root.type === "overlay") {
    ops.push({ op: "mountAttributes", path: rootPath, set: mountReadOnly, clear: 0n, recursive: false });
  }
  ops.push({ op: "setWork", path: rootPath });
  for (const op of ops) session.op(op);
  return viewOf(session, [], () => {
    if (held) release(container, { paths });
  });
}

/** What the user mounted, where its source is there. Files that a start makes, and mounts of other containers, are not. */
function volumeOps(
  config: RuntimeConfig,
  paths: EnginePaths,
  parts: readonly BeneathSource[],
): readonly Op[] {
  const ops: Op[] = [];
  for (const { type, source, destination, options = [] } of config.mounts ?? []) {
    const bind = type === "bind" || options.includes("bind") || options.includes("rbind");
    if (!bind || source === undefined || source.startsWith(`${paths.runroot}/containers/`)) continue;
    const stat = fs.statSync(source, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    const readOnly = options.includes("ro") || options.includes("rro");
    const target = { base: "root", path: destination } as const;
    // A part of a volume is looked up in it: a link there leads nowhere else.
    const part = parts.find((one) => one.source === source);
    if (part !== undefined) ops.push({ op: "setWork", path: { base: "host", path: part.root } });
    ops.push({ op: "makeMountPoint", path: target, file: !stat.isDirectory() });
    ops.push({
      op: "bindMount",
      source: part === undefined ? { base: "host", path: source } : { base: "work", path: part.path },
      target,
      recursive: true,
      set: readOnly ? mountReadOnly : 0n,
      clear: 0n,
      recursiveAttributes: false,
      propagation: 0,
    });
  }
  return ops;
}

const patienceMilliseconds = 20_000;

/** Held like one that is being started: by the directory of its state. */
async function hold(container: Container, { paths }: FileDeps): Promise<void> {
  const deadline = performance.now() + patienceMilliseconds;
  while (!claimState(paths, container.id, "copying")) {
    if (performance.now() > deadline || runningProcess(paths, container) !== undefined) {
      throw new VitrineError("unavailable", `container ${container.name} is in use by another command`, {
        code: "container-busy",
        operand: container.name,
        hint: "try again when it is done",
      });
    }
    await sleep(20);
  }
}

function release({ id }: Container, { paths }: Pick<FileDeps, "paths">): void {
  fs.rmSync(runDirectory(paths, id), { recursive: true, force: true });
}

// --- of the host ---

/** The caller's own files, for the other side of a copy. */
export function openHost(deps: FileDeps, copyTo?: number): RootView {
  return viewOf(new ApplySession({ helperPath: deps.helperPath }, { answers: true, copyTo }), [], () => {});
}

function viewOf(session: ApplySession, madeUp: readonly string[], release: () => void): RootView {
  const reader = new FileReader(session);
  const closed = async <T>(end: Promise<T>): Promise<T> => {
    try {
      return await end;
    } finally {
      reader.close();
      release();
    }
  };
  return {
    session,
    reader,
    madeUp,
    finish: async () => {
      await closed(session.end());
    },
    abort: () => closed(session.abort()),
  };
}
