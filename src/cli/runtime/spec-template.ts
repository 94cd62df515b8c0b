/** The config.json that `spec` writes: a shell with few rights, as runc's. */
import { runtimeSpecVersion } from "../../oci/mod.ts";

const capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const maskedPaths = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/sys/firmware",
  "/proc/scsi",
];

const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const safe = ["nosuid", "noexec", "nodev"];

/**
 * With `rootless` the ids of a user who maps himself alone. A cgroup namespace is of no use on cgroup v1, whose
 * mounts show the host's tree all the same.
 */
export function specTemplate(
  rootless: { readonly uid: number; readonly gid: number } | undefined,
  cgroupNamespace: boolean,
) {
  const own = rootless !== undefined;
  const namespaces = [
    "pid",
    ...(own ? [] : ["network"]),
    "ipc",
    "uts",
    "mount",
    ...(cgroupNamespace ? ["cgroup"] : []),
    ...(own ? ["user"] : []),
  ];
  return {
    ociVersion: runtimeSpecVersion,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
      cwd: "/",
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "vitrine",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
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
        // Group 5 is not mapped for a user alone.
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ...(own ? [] : ["gid=5"])],
      },
      {
        destination: "/dev/shm",
        type: "tmpfs",
        source: "shm",
        options: [...safe, "mode=1777", "size=65536k"],
      },
      { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: safe },
      own
        ? { destination: "/sys", type: "none", source: "/sys", options: ["rbind", ...safe, "ro"] }
        : { destination: "/sys", type: "sysfs", source: "sysfs", options: [...safe, "ro"] },
      {
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: [...safe, "relatime", "ro"],
      },
    ],
    linux: {
      ...(own
        ? {
            uidMappings: [{ containerID: 0, hostID: rootless.uid, size: 1 }],
            gidMappings: [{ containerID: 0, hostID: rootless.gid, size: 1 }],
          }
        : { resources: { devices: [{ allow: false, access: "rwm" }] } }),
      namespaces: namespaces.map((type) => ({ type })),
      maskedPaths,
      readonlyPaths,
    },
  };
}
