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
      timeout: options.timeout ?? 120_000,
      maxBuffer: 256 * 1024 * 1024,
    });
    if (done.error) throw done.error;
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
    fs.rmSync(directory, { recursive: true, force: true });
  } catch (error) {
    const done = spawnSync("unshare", ["--map-auto", "--map-root-user", "rm", "-rf", directory]);
    if (done.status !== 0) throw error;
  }
}

/** What a machine holds that a container may leave behind. Two of these are compared around a test. */
export interface Census {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly processes: readonly string[];
}

export function census(): Census {
  const mounts = fs
    .readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => /vitrine|\/vt-/.test(line));
  const cgroups: string[] = [];
  for (const line of fs.readFileSync("/proc/self/mounts", "utf8").split("\n")) {
    const [, point, type] = line.split(" ");
    if (point === undefined || (type !== "cgroup" && type !== "cgroup2")) continue;
    const base = path.join(point, "vitrine");
    if (!fs.existsSync(base)) continue;
    for (const entry of fs.readdirSync(base, { withFileTypes: true })) {
      if (entry.isDirectory()) cgroups.push(path.join(base, entry.name));
    }
  }
  const processes: string[] = [];
  for (const pid of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const comm = fs.readFileSync(`/proc/${pid}/comm`, "utf8").trim();
      // What waits for pid 1 to reap it has nothing left but its number.
      const zombie = /\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, "latin1"));
      if (comm.startsWith("vitrine-") && !zombie) processes.push(`${pid} ${comm}`);
    } catch {
      // The process ended between the listing and the read.
    }
  }
  return { mounts, cgroups, processes };
}

/** Waits until nothing is there that was not before; returns what still is after `milliseconds`. */
export async function leftBehind(before: Census, milliseconds = 3000 * slowness): Promise<Census> {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const now = census();
    const left: Census = {
      mounts: now.mounts.filter((line) => !before.mounts.includes(line)),
      cgroups: now.cgroups.filter((line) => !before.cgroups.includes(line)),
      processes: now.processes.filter((line) => !before.processes.includes(line)),
    };
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
