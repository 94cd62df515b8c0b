/** Hosts, images and options for the tests of this folder: written by hand, no machine is asked. */
import type { HostFacts } from "../kernel/mod.ts";
import type { ImageConfig, LinuxSeccomp } from "../oci/mod.ts";
import { chooseIds } from "./id-maps.ts";
import type { RunOptions } from "./options.ts";
import type { SpecInput } from "./spec/input.ts";
import type { SeccompSources } from "./spec/security.ts";

/** Root with all capabilities on cgroup v2. */
export const rootHost: HostFacts = {
  kernel: { text: "6.18.0", major: 6, minor: 18, patch: 0 },
  arch: "x86_64",
  identity: { uid: 0, gid: 0, euid: 0, egid: 0, groups: [0], userName: "root" },
  capabilities: { effective: 0x1ffffffffffn, permitted: 0x1ffffffffffn, bounding: 0x1ffffffffffn },
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
  limits: { nofile: { soft: 20000n, hard: 20000n }, nproc: { soft: 96365n, hard: 96365n } },
  securityModules: { enabled: ["capability"], apparmor: false, apparmorProfiles: undefined, selinux: false },
  seccomp: { available: true, actions: ["kill_process", "errno", "allow"] },
  bpf: true,
  overlay: { registered: true, userxattr: true },
  filesystems: ["overlay", "tmpfs", "proc", "sysfs", "mqueue"],
  mqueue: true,
  cpus: 2,
  thermalThrottlePaths: ["/sys/devices/system/cpu/cpu0/thermal_throttle"],
  presentPaths: [],
};

/** User 1000 with a range of subordinate ids. */
export const userHost: HostFacts = {
  ...rootHost,
  identity: { uid: 1000, gid: 1000, euid: 1000, egid: 1000, groups: [1000], userName: "ann" },
  capabilities: { effective: 0n, permitted: 0n, bounding: 0x1ffffffffffn },
  subordinateIds: {
    uids: [{ start: 100000, count: 65536 }],
    gids: [{ start: 100000, count: 65536 }],
    newuidmap: "/usr/bin/newuidmap",
    newgidmap: "/usr/bin/newgidmap",
  },
};

/** User 1000 without any. */
export const bareUserHost: HostFacts = {
  ...userHost,
  subordinateIds: { uids: [], gids: [], newuidmap: "", newgidmap: "" },
};

export const id = "0123456789abcdef".repeat(4);

export const image: ImageConfig = {
  architecture: "amd64",
  os: "linux",
  config: {
    Env: ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"],
    Entrypoint: ["/entry"],
    Cmd: ["serve"],
    WorkingDir: "/srv",
    StopSignal: "SIGINT",
    Labels: { "org.example.team": "glass" },
  },
  rootfs: { type: "layers", diff_ids: [] },
};

const options: RunOptions = {
  image: "alpine",
  rootfs: false,
  command: [],
  interactive: false,
  tty: false,
  remove: true,
  quiet: false,
  environment: [],
  unsetEnvironment: false,
  hostEnvironment: false,
  httpProxy: false,
  groups: [],
  init: false,
  passSignals: true,
  rlimits: [],
  hostRlimits: false,
  passwd: true,
  mounts: [],
  readOnly: false,
  readOnlyTmpfs: true,
  imageVolumes: "anonymous",
  hostsFile: true,
  hostnameFile: true,
  addHosts: [],
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  capAdd: [],
  capDrop: [],
  privileged: false,
  security: { label: [], mask: [], unmask: [], procOptions: [] },
  devices: [],
  sysctls: new Map(),
  resources: { deviceRules: [] },
  cgroups: true,
  labels: new Map(),
  annotations: new Map(),
};

export const passwd = [
  "root:x:0:0:root:/root:/bin/sh",
  "daemon:x:1:1:daemon:/usr/sbin:/sbin/nologin",
  "app:x:1000:1001:App:/home/app:/bin/sh",
  "",
].join("\n");

export const group = ["root:x:0:", "wheel:x:10:root,app", "app:x:1001:", "audio:x:29:app", ""].join("\n");

const files: Readonly<Record<string, string>> = { "/etc/passwd": passwd, "/etc/group": group };

/** The specification's input for these options, on this host. */
export function specInput(
  asked: Partial<RunOptions> = {},
  more: Partial<Omit<SpecInput, "options">> = {},
): SpecInput {
  const all = { ...options, ...asked };
  const host = more.host ?? rootHost;
  return {
    id,
    name: "clear_fresnel",
    options: all,
    image,
    imageFilesKnown: true,
    host,
    idChoice: chooseIds(host, all.userns),
    cgroup:
      host.identity.euid === 0
        ? { mode: "v2", root: "/sys/fs/cgroup", path: `/vitrine/${id}` }
        : { mode: "none", reason: "an unprivileged user has no cgroup to divide" },
    rootPath: "/var/lib/vitrine/containers/ID/merged",
    directory: "/var/lib/vitrine/containers/ID",
    volumesDirectory: "/var/lib/vitrine/volumes",
    runDirectory: "/run/vitrine/containers/ID",
    environment: { HOME: "/home/caller", http_proxy: "http://proxy:3128", SECRET: "s3cret" },
    hostname: "machine",
    readRootFile: (path) => (files[path] === undefined ? undefined : new TextEncoder().encode(files[path])),
    readHostFile: (path) => hostFiles[path],
    readHostBytes: (path) =>
      hostFiles[path] === undefined ? undefined : new TextEncoder().encode(hostFiles[path]),
    hostExists: () => true,
    hostDevices: (path) =>
      path === "/dev/fuse"
        ? [{ path, type: "c", major: 10, minor: 229, mode: 0o666, uid: 0, gid: 0 }]
        : path === "/dev"
          ? [
              { path: "/dev/null", type: "c", major: 1, minor: 3, mode: 0o666, uid: 0, gid: 0 },
              { path: "/dev/fuse", type: "c", major: 10, minor: 229, mode: 0o666, uid: 0, gid: 0 },
              { path: "/dev/tty1", type: "c", major: 4, minor: 1, mode: 0o620, uid: 0, gid: 5 },
            ]
          : [],
    callerOpenFiles: 1024n,
    ...more,
  };
}

const hostFiles: Readonly<Record<string, string>> = {
  "/proc/self/timens_offsets": "monotonic 0 0\n",
  "/etc/hosts": "127.0.0.1 localhost\n10.0.0.9 build.example\n",
  "/usr/share/zoneinfo/Europe/Berlin": "TZif2\0",
  "/etc/resolv.conf": "nameserver 10.0.0.1\nsearch example.com\n",
};

/** A profile that says for which capabilities it was asked, in place of hundreds of rules. */
export const seccomp: SeccompSources = {
  standard: (capabilities) => named(`standard for ${capabilities.length}`),
  file: (path) => named(path),
};

function named(name: string): LinuxSeccomp {
  return { defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names: [name], action: "SCMP_ACT_ALLOW" }] };
}
