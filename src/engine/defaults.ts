/**
 * Every default of `run`, in one place. Docker and podman differ in about half of these; of the two the safer one is
 * taken where nothing breaks that users run. `spec/` applies the values and marks what came from here with the origin
 * "default", `vitrine explain run --defaults` lists it, and the flags in `override` switch it.
 */
import type { CapabilityName } from "../kernel/mod.ts";
import type { LinuxDeviceRule, NamespaceType } from "../oci/mod.ts";

/** One row: what is done when nobody asks. */
export interface Default<T> {
  /** Whose default it is. `own`: neither's, see `why`. */
  readonly as: "docker" | "podman" | "both" | "own";
  readonly why: string;
  /** The flags that change it. */
  readonly override: string;
  readonly value: T;
}

const row = <const T>(as: Default<T>["as"], override: string, value: T, why: string): Default<T> => ({
  as,
  why,
  override,
  value,
});

const standardMountFlags = ["nosuid", "noexec", "nodev"] as const;

export const defaults = {
  // --- namespaces ---
  namespaces: row(
    "docker",
    "--pid --network --ipc --uts --cgroupns --timens",
    ["pid", "network", "ipc", "uts", "mount", "cgroup", "time"] as const satisfies readonly NamespaceType[],
    "a time namespace without offsets changes nothing that programs see and closes clock side channels; podman makes none",
  ),
  userNamespace: row(
    "both",
    "--userns",
    { root: false, unprivileged: true },
    "root gets one only on demand, since files of mapped ids need layers unpacked for the map; without privilege nothing works without one",
  ),
  rootIds: row(
    "podman",
    "--userns --uidmap --subuidname",
    { owner: "containers", start: 1_879_048_192, count: 268_369_920, slot: 65_536 },
    "root's user namespaces get slots of the entry `owner` in /etc/subuid and /etc/subgid; without one, of ids that stay below 2^31 and above those systemd gives away, where no other entry is",
  ),
  userAutoIds: row(
    "podman",
    "--userns=auto:size=N",
    1024,
    "what a user other than root gets by auto: most have 65536 in all",
  ),
  network: row(
    "own",
    "--network",
    "none" as const,
    "bridge networks are not there yet; no network is the safe end of what is",
  ),

  // --- privileges ---
  capabilities: row(
    "podman",
    "--cap-add --cap-drop --privileged",
    [
      "CAP_CHOWN",
      "CAP_DAC_OVERRIDE",
      "CAP_FOWNER",
      "CAP_FSETID",
      "CAP_KILL",
      "CAP_NET_BIND_SERVICE",
      "CAP_SETFCAP",
      "CAP_SETGID",
      "CAP_SETPCAP",
      "CAP_SETUID",
      "CAP_SYS_CHROOT",
    ] as const satisfies readonly CapabilityName[],
    "Docker's less MKNOD, NET_RAW and AUDIT_WRITE: podman's users live without them, and ping works by ping_group_range",
  ),
  capabilitiesOfOtherUsers: row(
    "podman",
    "--cap-add",
    "only what --cap-add names, ambient as well" as const,
    "a user other than root loses Docker's at execve, so --cap-add does nothing there; podman's are what was asked for",
  ),
  noNewPrivileges: row(
    "both",
    "--security-opt no-new-privileges",
    false,
    "sudo, su and ping with file capabilities are in images that users run",
  ),
  seccomp: row(
    "own",
    "--security-opt seccomp=",
    "default" as const,
    "vitrine's own profile: what Docker's and podman's both allow",
  ),
  apparmor: row(
    "both",
    "--security-opt apparmor=",
    "vitrine-default",
    "loaded by root where the host has AppArmor and its parser; applied to root's containers, and to users' once it is loaded",
  ),
  maskedPaths: row(
    "own",
    "--security-opt mask= unmask=",
    [
      "/proc/acpi",
      "/proc/asound",
      "/proc/interrupts",
      "/proc/kcore",
      "/proc/keys",
      "/proc/latency_stats",
      "/proc/sched_debug",
      "/proc/scsi",
      "/proc/timer_list",
      "/proc/timer_stats",
      "/sys/devices/virtual/powercap",
      "/sys/firmware",
      "/sys/fs/selinux",
      // and /sys/devices/system/cpu/cpuN/thermal_throttle of each CPU of the host
    ],
    "Docker's and podman's together: all of them tell about the host, none is read by what users run",
  ),
  readonlyPaths: row(
    "both",
    "--security-opt unmask=",
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    "the switches of the host's kernel; podman's /proc/asound is masked here",
  ),

  // --- filesystem ---
  proc: row("both", "--security-opt proc-opts=", standardMountFlags, "the same in both"),
  dev: row(
    "both",
    "--mount type=tmpfs,target=/dev",
    ["nosuid", "strictatime", "mode=755", "size=65536k"],
    "the same in both; devices are wanted here, so not nodev",
  ),
  devpts: row(
    "both",
    "-v",
    ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    "the same in both; gid=5 (tty) only where the container has that id",
  ),
  shm: row("both", "--shm-size --ipc", ["nosuid", "noexec", "nodev", "mode=1777"], "the same in both"),
  shmBytes: row("both", "--shm-size", 65_536n * 1024n, "64 MiB in both"),
  mqueue: row("podman", "--ipc", standardMountFlags, "left out where the kernel has no message queues"),
  sys: row(
    "podman",
    "--privileged",
    ["nosuid", "noexec", "nodev", "ro"],
    "the host's is bound where a user namespace does not own the network namespace: a new one is refused there",
  ),
  cgroup: row(
    "podman",
    "--privileged --cgroupns",
    ["nosuid", "noexec", "nodev", "relatime", "ro"],
    "relatime says what the kernel does anyway",
  ),
  bindFlags: row(
    "podman",
    "-v …:suid,dev",
    ["nosuid", "nodev"],
    "a directory of the host needs neither setuid programs nor devices to be of use",
  ),
  bindPropagation: row("both", "-v …:rslave", "rprivate" as const, "what the container mounts stays in it"),
  readonlyBinds: row(
    "docker",
    "--mount bind-recursive=writable",
    "recursive-if-possible" as const,
    "with podman's, a mount below a read-only one stays writable, which nobody expects",
  ),
  rootfsPropagation: row(
    "podman",
    "-v …:rslave (for one mount)",
    "rprivate" as const,
    "mounts made on the host later do not appear in the container",
  ),
  tmpfsFlags: row(
    "both",
    "--tmpfs …:exec,suid,dev",
    ["noexec", "nosuid", "nodev", "mode=1777"],
    "the same in both; podman's copy of what the image has there is the option tmpcopyup",
  ),
  readonlyTmpfs: row(
    "podman",
    "--read-only-tmpfs=false",
    { "/run": "mode=0755", "/tmp": "mode=1777", "/var/tmp": "mode=1777" },
    "a read-only root without a place for temporary files breaks most programs",
  ),
  imageVolumes: row(
    "both",
    "--image-volume",
    "anonymous" as const,
    "each VOLUME is a directory of the container's own, filled from the image and removed with the container",
  ),
  containerEnvFile: row(
    "podman",
    "",
    "/run/.containerenv",
    "tells programs that they run in a container; Docker's /.dockerenv would name the wrong engine",
  ),
  mtab: row("both", "", "/proc/mounts", "df and mount of old distributions read /etc/mtab"),

  // --- devices ---
  deviceRules: row(
    "both",
    "--device --device-cgroup-rule --privileged",
    [
      { allow: false, access: "rwm" },
      { allow: true, type: "c", access: "m" },
      { allow: true, type: "b", access: "m" },
      { allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
      { allow: true, type: "c", major: 1, minor: 5, access: "rwm" },
      { allow: true, type: "c", major: 1, minor: 7, access: "rwm" },
      { allow: true, type: "c", major: 1, minor: 8, access: "rwm" },
      { allow: true, type: "c", major: 1, minor: 9, access: "rwm" },
      { allow: true, type: "c", major: 5, minor: 0, access: "rwm" },
      { allow: true, type: "c", major: 5, minor: 1, access: "rwm" },
      { allow: true, type: "c", major: 5, minor: 2, access: "rwm" },
      { allow: true, type: "c", major: 136, access: "rwm" },
    ] as const satisfies readonly LinuxDeviceRule[],
    "making a node harms nobody while opening it is refused; none in a user namespace, where the kernel refuses devices itself",
  ),

  // --- resources ---
  pidsLimit: row(
    "podman",
    "--pids-limit",
    2048n,
    "a fork bomb stays in its container; none where no pids cgroup can be had",
  ),
  memory: row("both", "--memory", undefined, "no limit"),
  memorySwap: row(
    "docker",
    "--memory-swap",
    2n,
    "times the memory limit, memory and swap together, where only --memory is given",
  ),
  memoryMinimum: row("docker", "", 6n * 1024n * 1024n, "less does not even start a process"),
  rlimits: row(
    "docker",
    "--ulimit",
    "the caller's" as const,
    "podman raises nofile and nproc; programs that loop over all descriptors then hang for minutes",
  ),
  cgroupSlice: row(
    "podman",
    "--cgroup-parent --cgroup-manager",
    { root: "machine.slice", user: "user.slice" } as const,
    "vitrine-ID.scope in it, where systemd runs the machine; limits stay through 'systemctl daemon-reload'",
  ),
  cgroupParent: row("own", "--cgroup-parent", "/vitrine", "/vitrine/ID, made by vitrine itself (cgroupfs)"),
  oomScoreAdjust: row("both", "--oom-score-adj", undefined, "the caller's"),

  // --- sysctls ---
  sysctls: row(
    "docker",
    "--sysctl",
    { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" },
    "users other than root may ping and bind port 80 of their own network namespace, without NET_RAW; the range ends where a user namespace's gids end",
  ),

  // --- process ---
  path: row(
    "both",
    "--env --unsetenv",
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "the same in both, where the image sets none",
  ),
  term: row("both", "--env", "xterm", "with a terminal only"),
  containerVariable: row(
    "podman",
    "--unsetenv container",
    "vitrine",
    "systemd and others look at `container` to know where they run",
  ),
  proxyVariables: row(
    "docker",
    "--http-proxy",
    false,
    "the host's proxy variables may hold a password, and lead nowhere in another network namespace",
  ),
  user: row("both", "--user", "0:0", "where the image names none; groups from the image's /etc/group"),
  madeUpPasswd: row(
    "podman",
    "--passwd=false",
    true,
    "a user without an entry in the image's passwd gets one: ssh, git and Python's getpass fail without",
  ),
  cwd: row("both", "--workdir", "/", "where the image names none; made with mode 0755 where missing"),
  umask: row("both", "--umask", 0o022, "the same in both"),
  keyring: row("both", "", "new" as const, "the caller's keys are not reachable"),
  stdin: row("both", "--interactive", "null" as const, "/dev/null unless asked for"),
  hostnameDigits: row("both", "--hostname", 12, "the first digits of the container's id"),

  // --- network files ---
  hosts: row(
    "docker",
    "--no-hosts --add-host",
    ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"],
    "podman copies the host's, which tells names of the host's network; --network host has the host's",
  ),
  resolvConf: row(
    "own",
    "--dns --dns-search --dns-option",
    "empty without a network, the host's with --network host" as const,
    "servers that cannot be reached only make lookups slow",
  ),

  // --- the end ---
  stopSignal: row("both", "--stop-signal", "SIGTERM", "where the image names none"),
  stopTimeoutSeconds: row("both", "--stop-timeout", 10, "then SIGKILL"),
  logDriver: row(
    "own",
    "--log-driver",
    "k8s-file" as const,
    "of what ends with its command and has no terminal ('run --rm') none is kept: its output is the caller's",
  ),
  healthcheck: row(
    "both",
    "--health-interval --health-timeout --health-start-interval --health-retries",
    { interval: 30e9, timeout: 30e9, startInterval: 5e9, retries: 3 },
    "of a check that the image or --health-cmd names; the monitor runs it (nanoseconds)",
  ),
  detachKeys: row("both", "--detach-keys", "ctrl-p,ctrl-q" as const, "of a container with a terminal"),
} as const;
