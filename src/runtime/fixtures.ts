/** Hosts, configs and placements for the tests of this folder: written by hand, no machine is asked. */
import type { HostFacts, SeccompFilter } from "../kernel/mod.ts";
import type { Linux, Mount, NamespaceType, Process, RuntimeConfig } from "../oci/mod.ts";
import type { CompileInput, ContainerPlacement } from "./types.ts";

const v1 = (controllers: readonly string[]) => ({
  controllers,
  name: "",
  mountPoint: `/sys/fs/cgroup/${controllers.join(",")}`,
  ownPath: "/",
  ownDirectory: `/sys/fs/cgroup/${controllers.join(",")}`,
  writable: true,
});

/** Root on a machine with cgroup v1, all capabilities but CAP_SYS_RESOURCE. */
export const rootHost: HostFacts = {
  kernel: { text: "6.18.0", major: 6, minor: 18, patch: 0 },
  arch: "x86_64",
  identity: { uid: 0, gid: 0, euid: 0, egid: 0, groups: [0], userName: "root" },
  capabilities: { effective: 0x1fffeffffffn, permitted: 0x1fffeffffffn, bounding: 0x1fffeffffffn },
  lastCapability: 40,
  userNamespace: {
    initial: true,
    uidMap: [{ containerID: 0, hostID: 0, size: 4294967295 }],
    gidMap: [{ containerID: 0, hostID: 0, size: 4294967295 }],
    setgroupsDenied: false,
    supported: true,
    maximum: 100000,
    unprivilegedClone: undefined,
    apparmorRestricted: false,
    unprivilegedAllowed: true,
  },
  subordinateIds: { uids: [], gids: [], newuidmap: "", newgidmap: "" },
  cgroup: {
    mode: "hybrid",
    hierarchies: ["cpu,cpuacct", "cpuset", "memory", "devices", "blkio", "pids"].map((names) =>
      v1(names.split(",")),
    ),
    unified: undefined,
  },
  limits: { nofile: { soft: 1024n, hard: 20000n }, nproc: { soft: 96365n, hard: 96365n } },
  securityModules: { enabled: ["capability"], apparmor: false, apparmorProfiles: undefined, selinux: false },
  seccomp: { available: true, actions: ["kill_process", "errno", "allow"] },
  bpf: true,
  overlay: { registered: true, userxattr: true },
  filesystems: ["overlay", "tmpfs", "proc", "sysfs"],
  mqueue: true,
  cpus: 2,
  thermalThrottlePaths: [],
  presentPaths: ["/proc/kcore", "/proc/keys"],
};

export const v2Host: HostFacts = {
  ...rootHost,
  cgroup: {
    mode: "v2",
    hierarchies: [],
    unified: {
      mountPoint: "/sys/fs/cgroup",
      ownPath: "/",
      ownDirectory: "/sys/fs/cgroup",
      controllers: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"],
      writable: true,
      delegated: true,
      division: {
        directory: "/sys/fs/cgroup",
        controllers: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"],
        occupied: false,
      },
    },
  },
};

/** User 1000 with a range of subordinate ids. */
export const userHost: HostFacts = {
  ...rootHost,
  identity: { uid: 1000, gid: 1000, euid: 1000, egid: 1000, groups: [1000], userName: "ann" },
  capabilities: { effective: 0n, permitted: 0n, bounding: 0x1fffeffffffn },
  subordinateIds: {
    uids: [{ start: 100000, count: 65536 }],
    gids: [{ start: 100000, count: 65536 }],
    newuidmap: "/usr/bin/newuidmap",
    newgidmap: "/usr/bin/newgidmap",
  },
};

const capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"];

export const process: Process = {
  user: { uid: 0, gid: 0, additionalGids: [10] },
  args: ["/bin/sh", "-c", "true"],
  env: ["PATH=/bin", "HOME=/root"],
  cwd: "/",
  capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
  noNewPrivileges: true,
};

const mounts: readonly Mount[] = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
  },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
  },
  {
    destination: "/dev/mqueue",
    type: "mqueue",
    source: "mqueue",
    options: ["nosuid", "noexec", "nodev"],
  },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["nosuid", "noexec", "nodev", "ro"],
  },
];

export function namespaces(...types: readonly NamespaceType[]): { readonly type: NamespaceType }[] {
  return types.map((type) => ({ type }));
}

const linux: Linux = {
  namespaces: namespaces("pid", "network", "ipc", "uts", "mount", "cgroup"),
  cgroupsPath: "/vitrine/abc",
  resources: { pids: { limit: 2048n }, devices: [{ allow: false, access: "rwm" }] },
  sysctl: { "net.ipv4.ping_group_range": "0 0" },
  maskedPaths: ["/proc/kcore", "/proc/keys"],
  readonlyPaths: ["/proc/bus", "/proc/sys"],
  rootfsPropagation: "rprivate",
  seccomp: { defaultAction: "SCMP_ACT_ALLOW" },
};

const rootConfig: RuntimeConfig = {
  ociVersion: "1.3.0",
  process,
  root: { path: "/run/vitrine/containers/abc/root" },
  hostname: "abc",
  mounts,
  linux,
};

const identityMap = (hostID: number) => [
  { containerID: 0, hostID, size: 1 },
  { containerID: 1, hostID: 100000, size: 65536 },
];

/** As the engine makes it for user 1000: a user namespace, no cgroup. */
const userConfig: RuntimeConfig = {
  ...rootConfig,
  linux: {
    ...linux,
    namespaces: namespaces("user", "pid", "network", "ipc", "uts", "mount", "cgroup"),
    uidMappings: identityMap(1000),
    gidMappings: identityMap(1000),
    cgroupsPath: undefined,
    resources: undefined,
  },
};

/** Two instructions: return SECCOMP_RET_ALLOW. */
const allowFilter: SeccompFilter = {
  program: new Uint8Array([6, 0, 0, 0, 0, 0, 255, 127]),
  flags: 0,
  warnings: [],
};

const placement: ContainerPlacement = {
  id: "abc",
  bundle: "/var/lib/vitrine/containers/abc",
  stateDirectory: "/run/vitrine/containers/abc",
  root: {
    type: "overlay",
    target: "/run/vitrine/containers/abc/root",
    lowers: ["/var/lib/vitrine/layers/0/bb/fs", "/var/lib/vitrine/layers/0/aa/fs"],
    upper: "/var/lib/vitrine/containers/abc/upper",
    work: "/var/lib/vitrine/containers/abc/work",
    userxattr: false,
  },
  cgroup: { mode: "v1", path: "/vitrine/abc" },
  stdin: "null",
  init: false,
  dieWithMonitor: true,
  forwardSignals: true,
  pidFile: "/run/vitrine/containers/abc/pid",
  exitFile: "/run/vitrine/containers/abc/exit",
  reportFailure: ["/usr/bin/vitrine", "explain-failure", "/run/vitrine/containers/abc"],
  removeTrees: ["/run/vitrine/containers/abc", "/var/lib/vitrine/containers/abc"],
};

export const rootInput: CompileInput = {
  config: rootConfig,
  origins: new Map([
    ["", { by: "default" }],
    ["/process/args", { by: "image", field: "Cmd" }],
    ["/hostname", { by: "flag", flag: "--hostname" }],
  ]),
  host: rootHost,
  container: placement,
  sourceKinds: new Map(),
  seccompFilter: allowFilter,
};

export const userInput: CompileInput = {
  ...rootInput,
  config: userConfig,
  host: userHost,
  container: {
    ...placement,
    root: { ...placement.root, userxattr: true } as ContainerPlacement["root"],
    cgroup: { mode: "none", reason: "an unprivileged user has no cgroup to divide" },
    idMapTools: { newuidmap: "/usr/bin/newuidmap", newgidmap: "/usr/bin/newgidmap" },
    helper: "/usr/lib/vitrine/vitrine-helper",
  },
};

/** A shallow change of the input's config. */
export function withConfig(
  input: CompileInput,
  change: Partial<RuntimeConfig> & { readonly linux?: Linux },
): CompileInput {
  return {
    ...input,
    config: {
      ...input.config,
      ...change,
      ...(change.linux === undefined ? {} : { linux: { ...input.config.linux, ...change.linux } }),
    },
  };
}
