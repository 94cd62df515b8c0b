/**
 * What the runtime's conformance tests share: bundles, and any runtime with the command line of runc.
 *
 * `RUNTIME=runc make conformance` judges another one. What a runtime is known to do differently stands in
 * `exceptions.ts`: such a test must fail, so that the list stays true.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import {
  cannotRun,
  findProgram,
  fixtures,
  isRoot,
  removeTree,
  repository,
  slowness,
} from "../../integration/support.ts";
import { devMounts, sysMount } from "../../support/standard-mounts.ts";
import { exceptions } from "./exceptions.ts";

const own = path.join(repository, "dist/vitrine-runtime");
const named = process.env["RUNTIME"] ?? own;
export const runtime = named.includes("/") ? path.resolve(named) : (findProgram(named) ?? named);
export const runtimeName = path.basename(runtime);

const work = fs.mkdtempSync(path.join(os.tmpdir(), "vt-conform-"));
fs.chmodSync(work, 0o755);
export const root = path.join(work, "root");
const containers = new Set<string>();
let count = 0;

after(() => {
  for (const id of containers) call(["delete", "--force", id]);
  removeTree(work);
});

export interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** More global options: `RUNTIME_ARGS="--cgroup-manager=disabled"` for crun where v1 and v2 share the controllers. */
const globals = (process.env["RUNTIME_ARGS"] ?? "").split(" ").filter((word) => word !== "");

/** Streams are files: a container that goes on would keep a pipe open. `redirect`: what a shell adds (`4<file 5<&-`); `before`: what it does first. */
export function call(
  args: readonly string[],
  options: { cwd?: string; input?: string; redirect?: string; before?: string } = {},
): Answer {
  const out = path.join(work, `out-${count++}`);
  const line = [runtime, "--root", root, ...globals, ...args];
  const [stdout, stderr] = [fs.openSync(out, "w+"), fs.openSync(`${out}.err`, "w+")];
  const done = spawnSync(
    "sh",
    ["-c", `${options.before ?? ":"}; exec "$0" "$@" ${options.redirect ?? ""}`, ...line],
    {
      stdio: ["ignore", stdout, stderr],
      cwd: options.cwd ?? work,
      timeout: 120_000 * slowness,
    },
  );
  fs.closeSync(stdout);
  fs.closeSync(stderr);
  if (done.error !== undefined) throw done.error;
  return {
    status: done.status,
    stdout: fs.readFileSync(out, "utf8"),
    stderr: fs.readFileSync(`${out}.err`, "utf8"),
  };
}

export const newId = (): string => {
  const id = `vt-conf-${process.pid}-${count++}`;
  containers.add(id);
  return id;
};

/** A root filesystem of busybox, for this bundle alone. */
export function makeRoot(directory: string): void {
  fs.mkdirSync(directory, { recursive: true });
  const done = spawnSync("tar", ["-xf", path.join(fixtures, "probe.tar"), "-C", directory]);
  assert.equal(done.status, 0, "the probe fixture: scripts/fixtures.sh makes it");
}

// biome-ignore lint/suspicious/noExplicitAny: configs of the tests are wrong on purpose
export type Config = any;

const capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_MKNOD"];

export function baseConfig(script: string): Config {
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ["/bin/sh", "-c", script],
      env: ["PATH=/bin:/usr/bin", "HOME=/root"],
      cwd: "/",
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: false },
    hostname: "conform",
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }, ...devMounts(), sysMount()],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      resources: { devices: [{ allow: false, access: "rwm" }] },
    },
  };
}

/** A bundle that runs `script`; `change` edits its config. */
export function bundle(
  script: string,
  change: (config: Config, directory: string) => void = () => {},
): string {
  const directory = path.join(work, `bundle-${count++}`);
  makeRoot(path.join(directory, "rootfs"));
  const config = baseConfig(script);
  change(config, directory);
  fs.writeFileSync(path.join(directory, "config.json"), JSON.stringify(config));
  return directory;
}

/** Runs a bundle to its end in the foreground, and deletes it. */
export function runBundle(directory: string, args: readonly string[] = []): Answer {
  const id = newId();
  try {
    return call(["run", "--bundle", directory, ...args, id]);
  } finally {
    call(["delete", "--force", id]);
    containers.delete(id);
  }
}

export function run(script: string, change?: (config: Config, directory: string) => void): Answer {
  return runBundle(bundle(script, change));
}

/** The script's output; that it ended well is a part of it. */
export function output(script: string, change?: (config: Config, directory: string) => void): string {
  const { status, stdout, stderr } = run(script, change);
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  return stdout.trim();
}

export function refused(answer: Answer): void {
  assert.notEqual(answer.status, 0, "it was accepted");
  assert.notEqual(answer.stderr, "", "nothing was said");
}

export function succeeded(answer: Answer): Answer {
  assert.equal(answer.status, 0, answer.stderr);
  return answer;
}

export interface State {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: string;
  readonly pid: number;
  readonly bundle: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export const state = (id: string): State => JSON.parse(succeeded(call(["state", id])).stdout) as State;

export function create(directory: string): string {
  const id = newId();
  succeeded(call(["create", "--bundle", directory, id]));
  return id;
}

export function start(directory: string): string {
  const id = create(directory);
  succeeded(call(["start", id]));
  return id;
}

export async function until(what: string, done: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000 * slowness;
  while (!done()) {
    assert.ok(performance.now() < deadline, `waited for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const stopped = (id: string): Promise<void> => until("the end", () => state(id).status === "stopped");

/** One MUST, named by the file and anchor of the specification. */
export function must(section: string, what: string, body: () => void | Promise<void>): void {
  const name = `${section}: ${what}`;
  test(name, async (t) => {
    if (!isRoot) return cannotRun(t, "needs root");
    if (!fs.existsSync(runtime)) return cannotRun(t, `${runtime} is not there`);
    const reason = exceptions[runtimeName]?.[name];
    if (reason === undefined) return await body();
    // Only a failure is an exception's proof.
    await assert.rejects(async () => await body(), `it passes, though exceptions.ts says: ${reason}`);
    t.diagnostic(`known: ${reason}`);
  });
}

/** A directory for what a test's hooks and scripts leave on the host. */
export function scratch(): string {
  const directory = path.join(work, `scratch-${count++}`);
  fs.mkdirSync(directory, { mode: 0o777 });
  fs.chmodSync(directory, 0o777);
  return directory;
}
