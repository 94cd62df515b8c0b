/** Plans by hand, for the tests of the helper itself: a container around a root filesystem made of the probe fixture. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { Op, WireOp } from "../../src/kernel/mod.ts";
import * as kernel from "../../src/kernel/mod.ts";
import { fixtures, helper, isRoot, removeTree } from "../integration/support.ts";
import { assertRan } from "./spawned.ts";

/** The helper under test: `make helper-asan` and the build for old kernels run the same tests. */
export const testedHelper = process.env["VITRINE_TEST_HELPER"] ?? helper;

const host = (name: string) => ({ base: "host", path: name }) as const;
const root = (name: string) => ({ base: "root", path: name }) as const;

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A directory with an unpacked root filesystem and room for plans. */
export class Bench {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-helper-"));
  readonly rootfs = path.join(this.directory, "rootfs");
  readonly program: string;
  readonly #started: ChildProcess[] = [];
  #plans = 0;

  constructor(program: string = testedHelper) {
    this.program = program;
    fs.chmodSync(this.directory, 0o755);
    fs.mkdirSync(this.rootfs);
    const tar = spawnSync("tar", [
      "-xf",
      path.join(fixtures, "probe.tar"),
      "-C",
      this.rootfs,
      "--no-same-owner",
    ]);
    if (tar.status !== 0) throw new Error(`cannot unpack the probe fixture: ${tar.stderr}`);
  }

  close(): void {
    // Those of a test that failed: the file would not end before them.
    for (const child of this.#started) {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    }
    removeTree(this.directory);
  }

  write(ops: readonly WireOp[]): string {
    const file = path.join(this.directory, `plan-${this.#plans++}`);
    fs.writeFileSync(file, kernel.encodePlan({ ops }));
    return file;
  }

  run(ops: readonly WireOp[], input: string | Uint8Array = "", env: NodeJS.ProcessEnv = {}): Ended {
    const done = spawnSync(this.program, ["run", this.write(ops)], {
      input,
      env: { PATH: "/usr/bin:/bin", ASAN_OPTIONS: "detect_leaks=0", ...env },
      timeout: 120_000,
      maxBuffer: 64 * 1024 * 1024,
    });
    assertRan(done);
    const { status, signal } = done;
    return { status, signal, stdout: done.stdout.toString(), stderr: done.stderr.toString() };
  }

  start(ops: readonly WireOp[]) {
    const child = spawn(this.program, ["run", this.write(ops)], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { PATH: "/usr/bin:/bin", ASAN_OPTIONS: "detect_leaks=0" },
    });
    this.#started.push(child);
    return child;
  }
}

export interface ContainerParts {
  readonly argv: readonly string[];
  /** Ops of the monitor before clone. */
  readonly before?: readonly Op[];
  /** Ops of init between the mounts and execute. */
  readonly init?: readonly Op[];
  /** Ops of the monitor between clone and supervise. */
  readonly monitor?: readonly Op[];
  readonly cleanup?: readonly Op[];
  readonly reportFailure?: readonly string[];
  readonly supervise?: Partial<Extract<Op, { op: "supervise" }>>;
  readonly flags?: number;
  readonly rootfs?: string;
  readonly environment?: readonly string[];
}

/** Mount, pid, uts, ipc and net namespaces; a user namespace of one id where the test is not root. */
export function container(bench: Bench, parts: ContainerParts): WireOp[] {
  const ops: WireOp[] = [];
  const add = (stage: WireOp["stage"], list: readonly Op[]) => {
    for (const op of list) ops.push({ stage, tolerate: [], op });
  };
  const { CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS } = kernel;
  const flags = parts.flags ?? CLONE_NEWNS + CLONE_NEWPID + CLONE_NEWUTS + CLONE_NEWIPC + CLONE_NEWNET;
  const mapped = !isRoot || (flags & CLONE_NEWUSER) !== 0;
  const rootfs = parts.rootfs ?? bench.rootfs;
  if (parts.reportFailure !== undefined) add("monitor", [{ op: "reportFailure", argv: parts.reportFailure }]);
  add("monitor", parts.before ?? []);
  add("monitor", [
    { op: "clone", flags: BigInt(mapped ? flags | CLONE_NEWUSER : flags), dieWithMonitor: true },
  ]);
  if (mapped) {
    const one = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
    add("monitor", [
      {
        op: "idMap",
        uids: one(process.getuid?.() ?? 0),
        gids: one(process.getgid?.() ?? 0),
        denySetgroups: true,
        newuidmap: "",
        newgidmap: "",
      },
      { op: "barrier", id: 1 },
    ]);
    add("init", [{ op: "barrier", id: 1 }]);
  }
  add("init", [
    { op: "mountPropagation", path: host("/"), propagation: kernel.MS_SLAVE, recursive: true },
    {
      op: "bindMount",
      source: host(rootfs),
      target: host(rootfs),
      recursive: false,
      set: 0n,
      clear: 0n,
      recursiveAttributes: false,
      propagation: 0,
    },
    { op: "setRoot", path: host(rootfs) },
    mountOp("proc", "proc"),
    mountOp("tmpfs", "dev", ["mode=755"]),
    { op: "makeMountPoint", path: root("dev/pts"), file: false },
    mountOp("devpts", "dev/pts", ["newinstance", "ptmxmode=0666", "mode=0620"]),
    { op: "makeMountPoint", path: root("dev/null"), file: true },
    {
      op: "bindMount",
      source: host("/dev/null"),
      target: root("dev/null"),
      recursive: false,
      set: 0n,
      clear: 0n,
      recursiveAttributes: false,
      propagation: 0,
    },
    { op: "pivotRoot", noPivot: false },
    ...(parts.init ?? []),
    { op: "setUmask", mask: 0o22 },
    { op: "execute", argv: parts.argv, env: parts.environment ?? ["PATH=/bin"] },
  ]);
  add("monitor", parts.monitor ?? []);
  add("monitor", [
    {
      op: "supervise",
      exitFile: "",
      pidFile: "",
      forwardSignals: true,
      relayInput: false,
      cleanUp: true,
      ...parts.supervise,
    },
  ]);
  add("cleanup", parts.cleanup ?? []);
  return ops;
}

export function mountOp(fstype: string, target: string, options: readonly string[] = []): Op {
  return { op: "mountFilesystem", fstype, source: fstype, target: root(target), attributes: 0n, options };
}
