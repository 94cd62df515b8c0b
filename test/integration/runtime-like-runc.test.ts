/** What runc 1.5 does beyond the letter of the specification, and engines and its own suite expect (docs/runtime-conformance.md). */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import {
  bundle,
  type Config,
  call,
  create,
  newId,
  output,
  refused,
  run,
  scratch,
  start,
  state,
  succeeded,
  until,
} from "../conformance/runtime/support.ts";
import { cannotRun, isRoot, repository } from "./support.ts";

const directory = scratch();
const program = path.join(directory, "unix-socket");
const children: ChildProcess[] = [];
let count = 0;

before(() => {
  if (!isRoot) return;
  const source = path.join(repository, "test/support/unix-socket.c");
  const built = spawnSync("cc", ["-static", "-D_GNU_SOURCE", "-Wall", "-Werror", "-o", program, source], {
    encoding: "utf8",
  });
  assert.equal(built.status, 0, built.stderr);
});

after(() => {
  for (const child of children) child.kill("SIGKILL");
});

function asRoot(section: string, what: string, body: () => void | Promise<void>): void {
  test(`${section}: ${what}`, async (t) => {
    if (!isRoot) return cannotRun(t, "needs root");
    await body();
  });
}

/** A program at the other end of a socket, and what it has printed so far. */
async function listen(verb: "kill" | "read") {
  const socket = path.join(directory, `socket-${count++}`);
  const told = `${socket}.out`;
  children.push(spawn(program, [verb, socket], { stdio: ["ignore", fs.openSync(told, "w"), "inherit"] }));
  await until("the socket", () => fs.existsSync(socket));
  return { socket, told: () => fs.readFileSync(told, "utf8") };
}

// --- sockets ---

asRoot("runtime.md#create", "--pidfd-socket gets the pidfd of a container and of an exec", async () => {
  const first = await listen("kill");
  const id = newId();
  const place = bundle("sleep 100000");
  succeeded(call(["create", "--bundle", place, "--pidfd-socket", first.socket, id]));
  await until("the container's end", () => state(id).status === "stopped");
  assert.equal(first.told(), "standard\n");

  const second = await listen("kill");
  const running = start(bundle("sleep 100000"));
  const done = call(["exec", "--pidfd-socket", second.socket, running, "sleep", "100000"]);
  assert.equal(done.status, 137);
  assert.equal(second.told(), "setns\n");
  assert.equal(state(running).status, "running");
  refused(call(["exec", "--pidfd-socket", "/no/such/socket", running, "true"]));
});

const sayReady = (config: Config, place: string): void => {
  fs.copyFileSync(program, path.join(place, "rootfs/bin/unix-socket"));
  fs.chmodSync(path.join(place, "rootfs/bin/unix-socket"), 0o755);
  config.process.args[2] += '; unix-socket send "$NOTIFY_SOCKET" "STATUS=almost\nREADY=1"; sleep 100';
};

asRoot(
  "runtime.md#start",
  "NOTIFY_SOCKET: start waits for READY and says which process is the service",
  async () => {
    const manager = await listen("read");
    const before = `export NOTIFY_SOCKET=${manager.socket}`;
    const id = newId();
    const place = bundle("test $NOTIFY_SOCKET = /run/notify/notify.sock || exit 1", sayReady);
    succeeded(call(["create", "--bundle", place, id], { before }));
    assert.equal(manager.told(), "");
    succeeded(call(["start", id], { before }));
    assert.equal(manager.told(), `READY=1\nMAINPID=${state(id).pid}\nBARRIER=1\n`);
  },
);

asRoot(
  "runtime.md#start",
  "NOTIFY_SOCKET: run --detach as well, and a program that ends without a word",
  async () => {
    const manager = await listen("read");
    const before = `export NOTIFY_SOCKET=${manager.socket}`;
    const id = newId();
    succeeded(call(["run", "--detach", "--bundle", bundle(":", sayReady), id], { before }));
    assert.equal(manager.told(), `READY=1\nMAINPID=${state(id).pid}\nBARRIER=1\n`);
    const silent = newId();
    succeeded(call(["run", "--detach", "--bundle", bundle("exit 0"), silent], { before }));
    assert.equal(manager.told().match(/READY/g)?.length, 1);
  },
);

asRoot("runtime.md#kill", "a created container ends of SIGTERM", async () => {
  const id = create(bundle("sleep 100000"));
  succeeded(call(["kill", id, "TERM"]));
  await until("its end", () => state(id).status === "stopped");
});

// --- mounts ---

const shown = (point: string) => `awk '$2 == "${point}" { print $4 }' /proc/self/mounts`;

/** Mount options of a bind mount whose source has `flags`. */
function flagsOf(
  flags: string,
  options: readonly string[],
  change: (config: Config) => void = () => {},
): string {
  const source = path.join(directory, `source-${count++}`);
  fs.mkdirSync(source);
  const mount = (...words: string[]) => assert.equal(spawnSync("mount", words).status, 0, words.join(" "));
  mount("-t", "tmpfs", "tmpfs", source);
  mount("-o", `remount,bind,${flags}`, source);
  const { status, stdout, stderr } = run(shown("/mnt"), (config) => {
    config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["bind", ...options] });
    change(config);
  });
  assert.equal(spawnSync("umount", ["-l", source]).status, 0);
  return status === 0 ? stdout.trim() : stderr;
}

const ownUsers = (config: Config): void => {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
  config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
};

asRoot(
  "config.md#linux-mount-options",
  "a bind mount has the flags that were asked for, or its source's",
  () => {
    assert.equal(flagsOf("ro,noexec", []), "ro,noexec,relatime");
    assert.equal(flagsOf("ro,noexec", ["dev"]), "rw,relatime");
    assert.equal(flagsOf("nosuid,nodev,noexec", ["ro"]), "ro,relatime");
    assert.equal(flagsOf("noatime", ["ro", "atime"]), "ro,noatime");
    assert.equal(flagsOf("noatime", ["nodiratime"]), "rw,nodiratime,relatime");
  },
);

asRoot(
  "config.md#linux-mount-options",
  "in a user namespace what is locked stays, unless it is to be cleared",
  () => {
    assert.equal(flagsOf("ro,nosuid,nosymfollow", ["nodev"], ownUsers), "ro,nosuid,nodev,relatime");
    assert.match(flagsOf("ro", ["rw"], ownUsers), /operation not permitted/);
    assert.match(flagsOf("noatime", ["strictatime"], ownUsers), /operation not permitted/);
  },
);

asRoot("config.md#mounts", "a tmpfs without mode= has the mode of the directory below it", () => {
  const mode = (options: readonly string[], exists: boolean) =>
    output("stat -c %a /over", (config, place) => {
      config.mounts.push({ destination: "/over", type: "tmpfs", source: "tmpfs", options });
      if (exists) fs.mkdirSync(path.join(place, "rootfs/over"));
      if (exists) fs.chmodSync(path.join(place, "rootfs/over"), 0o710);
    });
  assert.equal(mode([], true), "710");
  assert.equal(mode(["mode=1500"], true), "1500");
  assert.equal(mode([], false), "1777");
});

asRoot(
  "config.md#mounts",
  "a source that an earlier mount makes, and a destination told by the host's path",
  () => {
    const text = output("cat /copy/inner/file /single", (config, place) => {
      const source = path.join(place, "source/inner");
      fs.mkdirSync(source, { recursive: true });
      fs.writeFileSync(path.join(source, "file"), "inner\n");
      const root = fs.realpathSync(path.join(place, "rootfs"));
      const options = ["rbind"];
      config.mounts.push(
        { destination: "/first", type: "bind", source: path.join(place, "source"), options },
        { destination: `${root}/copy`, type: "bind", source: `${root}/first`, options },
        { destination: "/single", type: "bind", source: `${root}/first/inner/file`, options },
      );
    });
    assert.equal(text, "inner\ninner");
  },
);

asRoot("config-linux.md#masked-paths", "a path that is named twice is masked once", () => {
  const script = "grep -c ' /secret ' /proc/self/mounts";
  const change = (config: Config, place: string): void => {
    fs.mkdirSync(path.join(place, "rootfs/secret"));
    config.linux.maskedPaths = ["/secret", "/secret"];
  };
  assert.equal(output(script, change), "1");
});

asRoot("config.md#root", "--no-pivot leaves no whole procfs that would allow another one", () => {
  const id = newId();
  const place = bundle("unshare -mrpf mount -t proc none /mnt", (config, at) => {
    fs.mkdirSync(path.join(at, "rootfs/mnt"), { recursive: true });
    config.linux.maskedPaths = ["/proc/meminfo"];
    config.process.noNewPrivileges = false;
    for (const set of ["bounding", "effective", "permitted"])
      config.process.capabilities[set].push("CAP_SETFCAP");
  });
  const { status, stderr } = call(["run", "--no-pivot", "--bundle", place, id]);
  assert.notEqual(status, 0);
  assert.match(stderr, /permission denied|not permitted/i);
});

// --- cgroups and limits ---

asRoot(
  "config-linux.md#cgroups-path",
  "a container is in its cgroup in every hierarchy, and so is an exec",
  () => {
    const own = `/vt-like-runc-${process.pid}`;
    const id = start(
      bundle("sleep 100000", (config) => {
        config.linux.cgroupsPath = own;
      }),
    );
    const lines = fs
      .readFileSync(`/proc/${state(id).pid}/cgroup`, "utf8")
      .trim()
      .split("\n");
    const there = succeeded(call(["exec", id, "cat", "/proc/self/cgroup"]))
      .stdout.trim()
      .split("\n");
    const paths = (all: readonly string[]) => all.map((line) => line.replace(/^\d+:[^:]*:/, ""));
    // Where v1 and v2 are mounted at all; a cgroup namespace is not asked for.
    assert.deepEqual([...new Set(paths(lines))], [own]);
    assert.deepEqual([...new Set(paths(there))], [own]);
    assert.match(call(["exec", "--cgroup", "nonexistent", id, "true"]).stderr, / adding pid .*no such file/);
  },
);

const limit = (file: string, v2: string) =>
  `cat /sys/fs/cgroup/*/vt-limits-${process.pid}/${file} /sys/fs/cgroup/vt-limits-${process.pid}/${v2} 2>/dev/null`;
const read = (file: string, v2 = file) =>
  spawnSync("sh", ["-c", limit(file, v2)], { encoding: "utf8" }).stdout.trim();

asRoot("config-linux.md#pids", "a limit of 0 processes, no burst and no memory limit by update", () => {
  const id = start(
    bundle("sleep 100000", (config) => {
      config.linux.cgroupsPath = `/vt-limits-${process.pid}`;
      config.linux.resources.memory = { limit: 64 << 20, swap: 96 << 20 };
      config.linux.resources.pids = { limit: 20 };
    }),
  );
  succeeded(call(["update", "--pids-limit", "0", id]));
  assert.equal(read("pids.max"), "1");
  succeeded(call(["update", "--memory", "-1", id]));
  assert.match(read("memory.limit_in_bytes", "memory.max"), /^(max|9223372036854771712)$/);
  succeeded(call(["update", "--cpu-period", "90000", "--cpu-quota", "50000", "--cpu-burst", "20000", id]));
  succeeded(call(["update", "--cpu-burst", "0", id]));
  assert.equal(read("cpu.cfs_burst_us", "cpu.max.burst"), "0");
  succeeded(call(["update", "--cpu-share", "512", id]));
  succeeded(call(["update", "--cpu-idle", "1", id]));
  assert.equal(read("cpu.idle"), "1");
});

// --- the command line ---

asRoot("runtime.md#query-state", "list of a --root that is not there is an error", () => {
  refused(call(["--root", path.join(directory, "no-such-root"), "list"]));
});

asRoot("config.md#process", "a process.json that comes through a pipe, each time", () => {
  const id = start(bundle("sleep 100000"));
  // A shell's here-document is a pipe.
  const json = JSON.stringify({ args: ["echo", "told"], cwd: "/", env: ["PATH=/bin"] });
  for (let turn = 0; turn < 6; turn++) {
    const answer = call(["exec", "--process", "/dev/fd/9", id], { redirect: `9<<'END'\n${json}\nEND\n` });
    assert.equal(succeeded(answer).stdout, "told\n", `turn ${turn}`);
  }
});

// --- what is said ---

asRoot("config.md#linux-process", "an ambient capability that cannot be is a warning", () => {
  const { status, stderr } = run("true", (config) => {
    config.process.capabilities.inheritable = ["CAP_KILL"];
    config.process.capabilities.ambient = ["CAP_KILL", "CAP_CHOWN"];
  });
  assert.equal(status, 0);
  assert.match(stderr, /level=warning .*can't raise ambient capability CAP_CHOWN: /);
});

asRoot(
  "config.md#startcontainer-hooks",
  "a hook that a filter kills is told as such; what one says on the terminal is shown",
  () => {
    const killed = run("true", (config) => {
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_KILL" }],
      };
      config.hooks = { startContainer: [{ path: "/bin/sh", args: ["sh", "-c", "mkdir /x"] }] };
    });
    assert.match(killed.stderr, /error running startContainer hook.*bad system call/);
    const place = bundle("true", (config) => {
      config.process.terminal = true;
      config.hooks = { startContainer: [{ path: "/bin/busybox", args: ["cat", "/nosuchfile"] }] };
    });
    const { status, stdout } = call(["run", "--bundle", place, newId()]);
    assert.notEqual(status, 0);
    assert.match(stdout, /can't open '\/nosuchfile'/);
  },
);

asRoot(
  "config-linux.md#namespaces",
  "a network namespace that does not belong to the user namespace beside it",
  () => {
    const target = start(bundle("sleep 100000", ownUsers));
    const joins = (config: Config): void => {
      config.mounts = config.mounts.filter(({ type }: { type: string }) => type !== "sysfs");
      config.linux.namespaces = config.linux.namespaces
        .filter(({ type }: { type: string }) => type !== "network")
        .concat(
          { type: "user", path: `/proc/${state(target).pid}/ns/user` },
          { type: "network", path: "/proc/self/ns/net" },
        );
    };
    const own = fs.readlinkSync("/proc/self/ns/net");
    const id = start(bundle("sleep 100000", joins));
    assert.equal(fs.readlinkSync(`/proc/${state(id).pid}/ns/net`), own);
    assert.equal(succeeded(call(["exec", id, "readlink", "/proc/self/ns/net"])).stdout.trim(), own);
  },
);

// --- words and statuses ---

asRoot(
  "the command line",
  "a word that is no verb is 3, and a hook that takes too long is told as such",
  () => {
    assert.equal(call(["nonsense"]).status, 3);
    const late = bundle("true", (config) => {
      config.hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "100000"], timeout: 1 }] };
    });
    const done = call(["create", "--bundle", late, newId()]);
    refused(done);
    assert.match(done.stderr, /createRuntime hook #0: hook ran past specified timeout of 1s: \/bin\/sleep/);
  },
);

asRoot("kill", "--regex reaches all whose ids match, and passes over those that have ended", async () => {
  const prefix = newId();
  const [ended, first, second] = ["ended", "first", "second"].map((name) => `${prefix}-${name}`) as [
    string,
    string,
    string,
  ];
  for (const id of [ended, first, second]) {
    succeeded(call(["create", "--bundle", bundle("sleep 100000"), id]));
    succeeded(call(["start", id]));
  }
  try {
    succeeded(call(["kill", ended, "KILL"]));
    await until("its end", () => state(ended).status === "stopped");
    succeeded(call(["kill", "--regex", `^${prefix}-`, "KILL"]));
    for (const id of [first, second]) await until("its end", () => state(id).status === "stopped");
    refused(call(["kill", "--regex", "(", "KILL"]));
  } finally {
    succeeded(call(["delete", "--force", "--regex", `^${prefix}-`]));
  }
});

asRoot("update", "a share of the cache needs resctrl", (): void => {
  const id = start(bundle("sleep 100000"));
  const done = call(["update", "--l3-cache-schema", "L3:0=f", id]);
  refused(done);
  assert.match(done.stderr, /resctrl is not mounted|is in no group of resctrl/);
});
