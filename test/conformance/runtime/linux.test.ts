/** config-linux.md and runtime-linux.md. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  bundle,
  type Config,
  call,
  create,
  must,
  newId,
  output,
  refused,
  run,
  scratch,
  start,
  state,
  stopped,
  succeeded,
} from "./support.ts";

const namespaceFiles = {
  pid: "pid",
  network: "net",
  ipc: "ipc",
  uts: "uts",
  mount: "mnt",
  cgroup: "cgroup",
  time: "time",
};
const ownNamespace = (file: string) => fs.readlinkSync(`/proc/self/ns/${file}`);
const without = (config: Config, type: string) =>
  config.linux.namespaces.filter((namespace: Config) => namespace.type !== type);

must("runtime-linux.md#file-descriptors", "only the three standard streams are open", () => {
  const directory = bundle("ls /proc/self/fd", () => {});
  const id = newId();
  const leak = fs.openSync("/etc/passwd", "r");
  const answer = call(["run", "--bundle", directory, id]);
  fs.closeSync(leak);
  // ls has its own one to read the directory.
  assert.deepEqual(answer.stdout.trim().split("\n"), ["0", "1", "2", "3"]);
});

must("runtime-linux.md#dev-symbolic-links", "fd, stdin, stdout, stderr", () => {
  assert.equal(
    output("for name in fd stdin stdout stderr; do readlink /dev/$name; done"),
    "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2",
  );
});

must("config-linux.md#default-devices", "null zero full random urandom tty, and ptmx", () => {
  assert.equal(
    output("stat -c '%n %t:%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty"),
    ["null 1:3", "zero 1:5", "full 1:7", "random 1:8", "urandom 1:9", "tty 5:0"]
      .map((line) => `/dev/${line} 666`)
      .join("\n"),
  );
  output("test -c /dev/ptmx");
});

must("config-linux.md#default-filesystems", "/proc, /sys, /dev/pts and /dev/shm", () => {
  const types = output("for dir in /proc /sys /dev/pts /dev/shm; do stat -f -c %T $dir; done").split("\n");
  assert.equal(types.length, 4);
  assert.match(types[0]!, /proc|9fa0/i);
});

for (const [type, file] of Object.entries(namespaceFiles)) {
  if (!fs.existsSync(`/proc/self/ns/${file}`)) continue;
  must("config-linux.md#namespaces", `a new ${type} namespace`, () => {
    const found = output(`readlink /proc/self/ns/${file}`, (config) => {
      config.linux.namespaces = [...without(config, type), { type }];
    });
    assert.notEqual(found, ownNamespace(file));
  });
  if (type === "mount") continue;
  must("config-linux.md#namespaces", `without ${type} it is the runtime's`, () => {
    const found = output(`readlink /proc/self/ns/${file}`, (config) => {
      config.linux.namespaces = without(config, type);
      if (type === "uts") delete config.hostname;
      // sysfs shows a network namespace, and only its owner may mount it.
      if (type === "network") config.mounts = config.mounts.filter((mount: Config) => mount.type !== "sysfs");
    });
    assert.equal(found, ownNamespace(file));
  });
}

for (const type of ["pid", "network", "ipc", "uts"] as const) {
  must("config-linux.md#namespaces", `path: joins a ${type} namespace`, () => {
    const first = start(bundle("exec sleep 1000"));
    const at = `/proc/${state(first).pid}/ns/${namespaceFiles[type]}`;
    const expected = fs.readlinkSync(at);
    const found = output(`readlink /proc/self/ns/${namespaceFiles[type]}`, (config) => {
      config.linux.namespaces = [...without(config, type), { type, path: at }];
      if (type === "uts") delete config.hostname;
    });
    assert.equal(found, expected);
  });
}

must("config-linux.md#namespaces", "a path of another type is an error", () => {
  const id = newId();
  const directory = bundle("true", (config) => {
    config.linux.namespaces = [...without(config, "ipc"), { type: "ipc", path: "/proc/self/ns/uts" }];
  });
  refused(call(["create", "--bundle", directory, id]));
});

must("config-linux.md#namespaces", "a relative path is an error", () => {
  const id = newId();
  const directory = bundle("true", (config) => {
    config.linux.namespaces = [...without(config, "ipc"), { type: "ipc", path: "proc/self/ns/ipc" }];
  });
  refused(call(["create", "--bundle", directory, id]));
});

must("config-linux.md#namespaces", "a type given twice is an error", () => {
  const id = newId();
  const directory = bundle("true", (config) => {
    config.linux.namespaces.push({ type: "ipc" });
  });
  refused(call(["create", "--bundle", directory, id]));
});

must("config-linux.md#user-namespace-mappings", "ids are mapped", () => {
  const change = (config: Config, directory: string) => {
    config.linux.namespaces.push({ type: "user" });
    config.linux.uidMappings = [{ containerID: 0, hostID: 200000, size: 2000 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: 300000, size: 2000 }];
    const done = spawnSync("chown", ["-R", "200000:300000", path.join(directory, "rootfs")]);
    assert.equal(done.status, 0);
    for (let at = directory; at !== "/tmp" && at !== "/"; at = path.dirname(at)) fs.chmodSync(at, 0o755);
  };
  const found = output("cat /proc/self/uid_map /proc/self/gid_map; id -u", change).replace(/ +/g, " ");
  assert.match(found, /0 200000 2000\n 0 300000 2000\n0$/);
});

must("config-linux.md#offset-for-time-namespace", "offsets are those given", () => {
  const found = output("cat /proc/self/timens_offsets", (config) => {
    config.linux.namespaces.push({ type: "time" });
    config.linux.timeOffsets = { monotonic: { secs: 172800 }, boottime: { secs: 604800 } };
  });
  assert.match(found.replace(/ +/g, " "), /monotonic 172800 0\nboottime 604800 0/);
});

must("config-linux.md#devices", "are made with their type, numbers, mode and owner", () => {
  const found = output("stat -c '%t:%T %a %u:%g' /dev/own", (config) => {
    config.linux.devices = [
      { path: "/dev/own", type: "c", major: 1, minor: 5, fileMode: 0o640, uid: 7, gid: 8 },
    ];
  });
  assert.equal(found, "1:5 640 7:8");
});

must("config-linux.md#allowed-device-list", "a device that is not allowed cannot be opened", () => {
  const { status } = run("mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg > /dev/null 2>&1 && exit 5; exit 6");
  assert.equal(status, 6);
});

must("config-linux.md#allowed-device-list", "one that is allowed can", () => {
  const found = output("head -c 1 /dev/own | wc -c", (config) => {
    config.linux.devices = [{ path: "/dev/own", type: "c", major: 1, minor: 5 }];
    config.linux.resources.devices.push({ allow: true, type: "c", major: 1, minor: 5, access: "r" });
  });
  assert.equal(found, "1");
});

const v1 = fs.existsSync("/sys/fs/cgroup/pids");
/** Where the process is counted, by the controller: as a file of the host. */
function cgroupFile(pid: number, controller: string, file: string): string {
  const line = fs
    .readFileSync(`/proc/${pid}/cgroup`, "utf8")
    .split("\n")
    .find((each) => (v1 ? each.split(":")[1]?.split(",").includes(controller) : each.startsWith("0::")));
  const at = line?.split(":")[2] ?? "/";
  return fs.readFileSync(path.join("/sys/fs/cgroup", v1 ? controller : "", at, file), "utf8").trim();
}

const limited = (resources: Config): number =>
  state(
    create(
      bundle("true", (config) => {
        Object.assign(config.linux.resources, resources);
      }),
    ),
  ).pid;

must("config-linux.md#cgroups-path", "an absolute path is below the mount point", () => {
  const cgroup = `/vt-conform-${process.pid}/deep`;
  const id = create(
    bundle("true", (config) => {
      config.linux.cgroupsPath = cgroup;
    }),
  );
  assert.match(fs.readFileSync(`/proc/${state(id).pid}/cgroup`, "utf8"), new RegExp(`:${cgroup}\n`));
  call(["delete", "--force", id]);
  // The directory above it is nobody's: no runtime takes it away.
  removeEverywhere(path.dirname(cgroup));
});

function removeEverywhere(cgroup: string): void {
  for (const hierarchy of v1 ? fs.readdirSync("/sys/fs/cgroup") : [""]) {
    const directory = path.join("/sys/fs/cgroup", hierarchy, cgroup);
    if (fs.existsSync(directory)) fs.rmdirSync(directory);
  }
}

must("config-linux.md#cgroups-path", "the cgroup is gone after delete", () => {
  const cgroup = `/vt-conform-gone-${process.pid}`;
  const id = create(
    bundle("true", (config) => {
      config.linux.cgroupsPath = cgroup;
    }),
  );
  call(["delete", "--force", id]);
  assert.equal(fs.existsSync(path.join("/sys/fs/cgroup", v1 ? "pids" : "", cgroup)), false);
});

must("config-linux.md#memory", "limit", () => {
  const pid = limited({ memory: { limit: 67108864 } });
  assert.equal(cgroupFile(pid, "memory", v1 ? "memory.limit_in_bytes" : "memory.max"), "67108864");
});

must("config-linux.md#cpu", "shares, quota and period", () => {
  const pid = limited({ cpu: { shares: 512, quota: 50000, period: 100000 } });
  if (v1) {
    const values = ["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us"].map((file) =>
      cgroupFile(pid, "cpu", file),
    );
    assert.deepEqual(values, ["512", "50000", "100000"]);
  } else {
    assert.equal(cgroupFile(pid, "cpu", "cpu.max"), "50000 100000");
  }
});

must("config-linux.md#cpu", "cpus and mems", () => {
  const pid = limited({ cpu: { cpus: "0", mems: "0" } });
  assert.equal(cgroupFile(pid, "cpuset", "cpuset.cpus"), "0");
});

must("config-linux.md#pids", "limit", () => {
  const pid = limited({ pids: { limit: 17 } });
  assert.equal(cgroupFile(pid, "pids", "pids.max"), "17");
});

must("config-linux.md#sysctl", "values of the container's namespaces", () => {
  assert.equal(
    output("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni", (config) => {
      config.linux.sysctl = { "net.ipv4.ip_forward": "1", "kernel.shmmni": "1234" };
    }),
    "1\n1234",
  );
});

must("config-linux.md#sysctl", "of the host is an error", () => {
  const id = newId();
  const directory = bundle("true", (config) => {
    config.linux.sysctl = { "kernel.panic": "10" };
  });
  refused(call(["create", "--bundle", directory, id]));
});

const filter = (action: string, names: readonly string[], more: Config = {}) => ({
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [{ names, action, ...more }],
});

must("config-linux.md#seccomp", "a call is refused with EPERM", () => {
  const { status } = run("mkdir /made 2>/dev/null && exit 5; exit 6", (config) => {
    config.linux.seccomp = filter("SCMP_ACT_ERRNO", ["mkdir", "mkdirat"]);
  });
  assert.equal(status, 6);
});

must("config-linux.md#seccomp", "errnoRet", () => {
  const { stdout } = run("mkdir /made 2>&1; true", (config) => {
    config.linux.seccomp = filter("SCMP_ACT_ERRNO", ["mkdir", "mkdirat"], { errnoRet: 28 });
  });
  assert.match(stdout, /No space left/);
});

must("config-linux.md#seccomp", "args", () => {
  const found = output("kill -0 $$ && echo signal0; kill -CONT $$ 2>/dev/null || echo refused", (config) => {
    config.linux.seccomp = filter("SCMP_ACT_ERRNO", ["kill"], {
      args: [{ index: 1, value: 18, op: "SCMP_CMP_EQ" }],
    });
  });
  assert.equal(found, "signal0\nrefused");
});

must("config-linux.md#seccomp", "without noNewPrivileges as well", () => {
  const { status } = run("mkdir /made 2>/dev/null && exit 5; exit 6", (config) => {
    config.process.noNewPrivileges = false;
    config.linux.seccomp = filter("SCMP_ACT_ERRNO", ["mkdir", "mkdirat"]);
  });
  assert.equal(status, 6);
});

must("config-linux.md#seccomp", "an unknown action is an error", () => {
  const id = newId();
  const directory = bundle("true", (config) => {
    config.linux.seccomp = { defaultAction: "SCMP_ACT_NONSENSE" };
  });
  refused(call(["create", "--bundle", directory, id]));
});

for (const [word, pattern] of [
  ["private", /^[^:]*$/],
  ["slave", /^(?!.*shared:)/],
  ["rslave", /^(?!.*shared:)/],
] as const) {
  must("config-linux.md#rootfs-mount-propagation", word, () => {
    const line = output("grep ' / / \\| / rw\\| / ro' /proc/self/mountinfo | head -n 1", (config) => {
      config.linux.rootfsPropagation = word;
    });
    const optional = line.split(" ").slice(6);
    assert.match(optional.slice(0, optional.indexOf("-")).join(" "), pattern);
  });
}

must("config-linux.md#masked-paths", "a file reads as empty, a directory too", () => {
  const found = output("cat /proc/kcore | wc -c; ls /proc/bus | wc -l", (config) => {
    config.linux.maskedPaths = ["/proc/kcore", "/proc/bus", "/proc/not-there"];
  });
  assert.equal(found, "0\n0");
});

must("config-linux.md#readonly-paths", "cannot be written", () => {
  const { status } = run("echo x > /tmp/file 2>/dev/null && exit 5; exit 6", (config) => {
    config.linux.readonlyPaths = ["/tmp", "/not-there"];
  });
  assert.equal(status, 6);
});

must("config-linux.md#personality", "LINUX32", () => {
  const found = output("uname -m", (config) => {
    config.process.args = ["/bin/busybox", "uname", "-m"];
    config.linux.personality = { domain: "LINUX32" };
  });
  assert.match(found, /^i[3-6]86$|^armv/);
});

must("config-linux.md#mount-label", "recursive attributes: rro makes what is below read-only", () => {
  const source = scratch();
  const { status } = run("echo x > /data/file 2>/dev/null && exit 5; exit 6", (config) => {
    config.mounts.push({ destination: "/data", type: "bind", source, options: ["rbind", "rro"] });
  });
  assert.equal(status, 6);
});

must("config.md#linux-mount-options", "tmpcopyup", () => {
  assert.equal(
    output("cat /etc/passwd | head -n 1; stat -f -c %T /etc", (config) => {
      config.mounts.push({ destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] });
    }),
    "root:x:0:0:root:/root:/bin/sh\ntmpfs",
  );
});

// --- exec: no operation of the specification, but of every runtime's command line ---

must("runtime.md#operations", "exec: joins the container, with its own user, directory and status", () => {
  const id = start(bundle("exec sleep 1000"));
  const file = path.join(scratch(), "process.json");
  fs.writeFileSync(
    file,
    JSON.stringify({
      user: { uid: 1000, gid: 1000 },
      args: ["/bin/sh", "-c", "id -u; pwd; hostname; echo $WORD; exit 9"],
      env: ["PATH=/bin", "WORD=given"],
      cwd: "/tmp",
    }),
  );
  const answer = call(["exec", "--process", file, id]);
  assert.deepEqual([answer.status, answer.stdout], [9, "1000\n/tmp\nconform\ngiven\n"]);
});

must("runtime.md#operations", "exec: in a stopped container is an error", async () => {
  const id = start(bundle("exec sleep 1000"));
  succeeded(call(["kill", id, "KILL"]));
  await stopped(id);
  refused(call(["exec", id, "/bin/true"]));
});

must("runtime.md#operations", "exec: is counted in the container's cgroup", () => {
  const id = start(bundle("exec sleep 1000"));
  const answer = call(["exec", id, "/bin/cat", "/proc/self/cgroup"]);
  const mine = fs.readFileSync(`/proc/${state(id).pid}/cgroup`, "utf8");
  const pick = (text: string) =>
    text.split("\n").find((line) => (v1 ? line.includes(":pids:") : line.startsWith("0::")));
  assert.equal(pick(answer.stdout), pick(mine));
});

must("runtime.md#operations", "pause and resume", () => {
  const id = start(bundle("exec sleep 1000"));
  assert.equal(call(["pause", id]).status, 0);
  assert.equal(state(id).status, "paused");
  assert.equal(call(["resume", id]).status, 0);
  assert.equal(state(id).status, "running");
});
