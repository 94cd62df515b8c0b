/**
 * What integration tests share: the built executable run as root and as an unprivileged user, the fixtures, and a
 * census of what a command may leave behind.
 *
 * The lanes: `VITRINE_TEST_LANE=root|user` is set by scripts/test.sh, which runs every file once as each. A test
 * that cannot run in a lane calls `cannotRun(t, reason)`: it is counted and named at the end, never hidden.
 */
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { TestContext } from "node:test";
import { assertRan } from "../support/spawned.ts";

export const repository = path.resolve(import.meta.dirname, "../..");
export const vitrine = path.join(repository, "dist/vitrine");
export const helper = path.join(repository, "dist/vitrine-helper");
export const isRoot = process.getuid?.() === 0;
/** Fixtures made once by scripts/fixtures.sh: alpine-like and Debian root filesystems, archives, the probe. */
export const fixtures = process.env["VITRINE_TEST_FIXTURES"] ?? path.join(repository, "build/fixtures");

/** How much longer than elsewhere things may take: a machine under emulation sets it. */
export const slowness = Number(process.env["VITRINE_TEST_SLOWNESS"] ?? "1");

export interface Result {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface World extends AsyncDisposable {
  /** The directory that holds everything of this world. */
  readonly directory: string;
  readonly root: string;
  readonly runroot: string;
  readonly env: NodeJS.ProcessEnv;
  /** Runs the built vitrine on this world's own store. */
  run(args: readonly string[], options?: RunOptions): Result;
  /** The same, but does not wait: for signals, kill -9 and terminals. */
  start(args: readonly string[], options?: RunOptions): ReturnType<typeof spawn>;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly timeout?: number;
}

/** A store of its own for one test file: made empty, removed at the end with everything in it. */
export function makeWorld(name: string): World {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `vt-${name}-`));
  const root = path.join(directory, "root");
  const runroot = path.join(directory, "run");
  const env: NodeJS.ProcessEnv = {
    PATH: process.env["PATH"],
    HOME: path.join(directory, "home"),
    VITRINE_ROOT: root,
    VITRINE_RUNROOT: runroot,
    LANG: "C.UTF-8",
  };
  fs.mkdirSync(env["HOME"]!, { recursive: true });
  const run = (args: readonly string[], options: RunOptions = {}): Result => {
    const done = spawnSync(vitrine, args, {
      input: options.input ?? "",
      env: { ...env, ...options.env },
      cwd: options.cwd ?? directory,
      timeout: options.timeout ?? 120_000 * slowness,
      maxBuffer: 256 * 1024 * 1024,
    });
    assertRan(done);
    return {
      status: done.status,
      signal: done.signal,
      stdout: done.stdout.toString("utf8"),
      stderr: done.stderr.toString("utf8"),
    };
  };
  const start = (args: readonly string[], options: RunOptions = {}) =>
    spawn(vitrine, args, { env: { ...env, ...options.env }, cwd: options.cwd ?? directory });
  return {
    directory,
    root,
    runroot,
    env,
    run,
    start,
    async [Symbol.asyncDispose]() {
      removeTree(directory);
    },
  };
}

/**
 * Removes a test's directory. An unprivileged user's store holds files of mapped ids, which only a process in that
 * user namespace may remove, so the helper does it.
 */
export function removeTree(directory: string): void {
  try {
    // Again where somebody who was not waited for still put something into it.
    fs.rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  } catch (error) {
    const done = spawnSync("unshare", ["--map-auto", "--map-root-user", "rm", "-rf", directory]);
    if (done.status !== 0) throw error;
  }
}

/** What containers of one test directory hold of the machine, and may leave behind. */
export interface Census {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly processes: readonly string[];
}

/**
 * Looks at what belongs to `directory` alone, a name that no other test has, because other tests run at the same time:
 * mounts of it, cgroups of the containers that its store knew or that are called as its entries are, and our processes that
 * were told of it, live in it or see it mounted.
 */
export function census(directory: string): Census {
  const mounts = read("/proc/self/mountinfo")
    .split("\n")
    .filter((line) => line.includes(directory));
  const processes: string[] = [];
  for (const pid of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const comm = read(`/proc/${pid}/comm`).trim();
    // What waits for pid 1 to reap it has nothing left but its number.
    if (!comm.startsWith("vitrine-") || /\) Z /.test(read(`/proc/${pid}/stat`))) continue;
    const told = ["cmdline", "environ", "mountinfo"].map((name) => read(`/proc/${pid}/${name}`));
    if (told.some((text) => text.includes(directory)) || workingDirectory(pid).startsWith(directory))
      processes.push(`${pid} ${comm}`);
  }
  return { mounts, cgroups: cgroupsOf(directory), processes };
}

function cgroupsOf(directory: string): readonly string[] {
  const events = ["events.1", "events"].map((name) => read(path.join(directory, "root", name))).join("");
  const ids = new Set([...events.matchAll(/"type":"container","id":"([0-9a-f]{64})"/g)].map(([, id]) => id!));
  const named = new Set(fs.existsSync(directory) ? fs.readdirSync(directory) : []);
  const found: string[] = [];
  for (const line of read("/proc/self/mounts").split("\n")) {
    const [, point, type] = line.split(" ");
    if (point === undefined || (type !== "cgroup" && type !== "cgroup2")) continue;
    const base = path.join(point, "vitrine");
    for (const entry of directoryEntries(base)) {
      if (entry.isDirectory() && (ids.has(entry.name) || named.has(entry.name)))
        found.push(path.join(base, entry.name));
    }
  }
  return found;
}

/** None where it is not there, or goes meanwhile. */
function directoryEntries(directory: string): readonly fs.Dirent[] {
  try {
    return fs.readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** Empty where the file is not there, not ours to read, or of a process that ended meanwhile. */
function read(file: string): string {
  try {
    return fs.readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

function workingDirectory(pid: string): string {
  try {
    return fs.readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

/** Waits until nothing of `directory` is there; returns what still is after `milliseconds`. */
export async function leftBehind(directory: string, milliseconds = 60_000 * slowness): Promise<Census> {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const left = census(directory);
    const count = left.mounts.length + left.cgroups.length + left.processes.length;
    if (count === 0 || Date.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const nothing: Census = { mounts: [], cgroups: [], processes: [] };

/** A test that this lane or machine cannot run: named, counted by the runner, and printed in the summary. */
export function cannotRun(t: TestContext, reason: string): void {
  t.skip(`cannot run here: ${reason}`);
}

/** The path of a program, or undefined. */
export function findProgram(name: string): string | undefined {
  for (const directory of (process.env["PATH"] ?? "").split(":").concat("/usr/sbin", "/sbin")) {
    const candidate = path.join(directory, name);
    if (fs.existsSync(candidate)) return candidate;
  }
  return undefined;
}
