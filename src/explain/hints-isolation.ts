/** Namespaces, id maps, users, cgroups, sysctls and limits: what the machine grants to whom. */

import { quoted } from "../base/mod.ts";
import { cloneFlagNames, limitText, rlimitName } from "./flags.ts";
import type { Failed, Finding } from "./hints.ts";

const doctor = "run 'vitrine doctor' for what this machine allows";

/* --- namespaces and ids --- */

export function namespaces(flags: bigint, errno: string): Finding {
  const what = `cannot make the namespaces ${cloneFlagNames(flags)}`;
  const user = (flags & 0x10000000n) !== 0n;
  switch (errno) {
    case "ENOSPC":
    case "EUSERS":
      return {
        what,
        because: "too many namespaces, or nested too deep",
        kind: "unavailable",
        code: "namespace-limit",
        hint: "see /proc/sys/user/max_*_namespaces; raise with 'sudo sysctl -w user.max_user_namespaces=15000'",
      };
    case "EPERM":
    case "EACCES":
      return {
        what,
        because: user
          ? "this machine forbids user namespaces to users"
          : "this takes root or a user namespace",
        kind: "denied",
        code: user ? "userns-denied" : "namespace-denied",
        hint: user
          ? "'vitrine doctor' says which setting it is: kernel.unprivileged_userns_clone, user.max_user_namespaces or AppArmor's restriction"
          : "run as root, or without --userns host",
      };
    case "EINVAL":
    case "ENOSYS":
      return {
        what,
        because: "the kernel lacks one of them",
        kind: "unsupported",
        code: "namespace-unsupported",
        hint: "time namespaces take Linux 5.6 (--timens host leaves them out), cgroup namespaces 4.6 (--cgroupns host)",
      };
    case "EAGAIN":
      return {
        what,
        because: "too many processes",
        kind: "unavailable",
        code: "process-limit",
        hint: "see 'ulimit -u' and pids.max of the cgroup that vitrine runs in",
      };
    default:
      return { what, kind: "unavailable", code: "namespace-failed", hint: doctor };
  }
}

export function join({ op, errno }: Failed<"joinNamespace">): Finding {
  const what = `cannot enter the namespace ${quoted(op.path.path)}`;
  if (errno === "ENOENT" || errno === "ESRCH") {
    return {
      what,
      because: "it is gone",
      kind: "not-found",
      code: "namespace-missing",
      hint: "the container or process it belongs to has ended",
    };
  }
  return {
    what,
    kind: errno === "EINVAL" ? "invalid" : "denied",
    code: "namespace-join-denied",
    hint: "a namespace can be entered by root, or by who owns the user namespace that it belongs to; both containers need the same --userns",
  };
}

export function idMap({ op, errno, detail }: Failed<"idMap">): Finding {
  const what = "cannot map the ids of the user namespace";
  const ranges =
    "give the user a range of their own with 'sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER'";
  if (op.newuidmap === "" && op.newgidmap === "") {
    return {
      what,
      kind: "denied",
      code: "id-map-denied",
      hint: "without newuidmap only one's own id can be mapped: install it ('sudo apt install uidmap'), or be root",
    };
  }
  if (errno === "ENOENT" || (errno === "EACCES" && detail.startsWith("run "))) {
    return {
      what,
      because: "newuidmap or newgidmap cannot be run",
      kind: "unavailable",
      code: "id-map-tool-missing",
      hint: "install them with 'sudo apt install uidmap' (shadow-utils elsewhere)",
    };
  }
  return {
    what,
    because: "newuidmap or newgidmap refused",
    kind: "denied",
    code: "id-map-refused",
    hint: `the ranges in /etc/subuid and /etc/subgid must hold the ids asked for, and both tools must be setuid root or have cap_setuid, cap_setgid: ${ranges}, then run 'vitrine doctor'`,
  };
}

export function user({ op, errno }: Failed<"setUser">): Finding {
  const what = `cannot become user ${op.uid}:${op.gid}`;
  if (errno === "EINVAL") {
    return {
      what,
      because: "the user namespace does not map this id, or one of the groups",
      kind: "invalid",
      code: "user-not-mapped",
      hint: "without a range in /etc/subuid only id 0 exists in the container; use --user 0, or give the user a range with 'sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER'",
    };
  }
  return {
    what,
    kind: "denied",
    code: "user-denied",
    hint:
      errno === "EPERM" && op.groups.length > 0
        ? "groups cannot be set in a user namespace with one mapped id; leave out --group-add"
        : "this takes CAP_SETUID and CAP_SETGID",
  };
}

/* --- cgroups, sysctls, limits --- */

export function deviceProgram(directory: string, errno: string): Finding {
  const what = `cannot put the device rules on the cgroup ${directory}`;
  if (errno === "EPERM" || errno === "EACCES") {
    return {
      what,
      because: "loading an eBPF program takes CAP_SYS_ADMIN, and a kernel that is not locked down",
      kind: "denied",
      code: "device-program-denied",
      hint: "see 'cat /sys/kernel/security/lockdown', or use --privileged, which has no device rules",
    };
  }
  return {
    what,
    because: "the kernel has no eBPF programs for the devices of a cgroup (CONFIG_CGROUP_BPF)",
    kind: "unsupported",
    code: "device-program-unsupported",
    hint: "use a kernel with CONFIG_CGROUP_BPF, or --privileged, which has no device rules",
  };
}

export function cgroup(what: string, errno: string): Finding {
  switch (errno) {
    case "EACCES":
    case "EPERM":
      return {
        what,
        because: "this cgroup is not the user's to divide",
        kind: "denied",
        code: "cgroup-denied",
        hint: "start under a delegated cgroup with 'systemd-run --user --scope -p Delegate=yes vitrine …', or use --cgroups=disabled",
      };
    case "EROFS":
      return {
        what,
        because: "cgroups are mounted read-only",
        kind: "unavailable",
        code: "cgroup-read-only",
        hint: "inside a container that has its cgroups read-only use --cgroups=disabled",
      };
    case "EBUSY":
      return {
        what,
        because: "a cgroup with processes of its own cannot be divided",
        kind: "unavailable",
        code: "cgroup-busy",
        hint: "choose another place with --cgroup-parent",
      };
    case "ENOENT":
      return {
        what,
        because: "the controller is not enabled there, or the cgroup is gone",
        kind: "unavailable",
        code: "cgroup-controller-missing",
        hint: "see cgroup.controllers of the parent; 'vitrine doctor' lists which controllers can be used",
      };
    case "EINVAL":
    case "ERANGE":
    case "ENOSPC":
      return {
        what,
        because: "the kernel refuses the value",
        kind: "invalid",
        code: "cgroup-value-refused",
        hint: "check the resource flag: a limit below what is in use, CPUs that are not there",
      };
    default:
      return { what, kind: "unavailable", code: "cgroup-failed", hint: doctor };
  }
}

export function sysctl(name: string, errno: string): Finding {
  const what = `cannot set the sysctl ${quoted(name)}`;
  if (errno === "ENOENT") {
    return {
      what,
      because: "this kernel has none of that name in a namespace",
      kind: "invalid",
      code: "sysctl-unknown",
      hint: "check the name; net.* takes a network namespace of the container's own",
    };
  }
  if (errno === "EINVAL" || errno === "ERANGE") {
    return {
      what,
      because: "the kernel refuses the value",
      kind: "invalid",
      code: "sysctl-value-refused",
      hint: "check the value",
    };
  }
  return {
    what,
    kind: "denied",
    code: "sysctl-denied",
    hint: "it belongs to the whole machine, or to a namespace that the container shares with it: leave out --sysctl, or --network host and --ipc host",
  };
}

export function limit({ op, errno }: Failed<"setRlimit">): Finding {
  const what = `cannot set ${rlimitName(op.resource)} to ${limitText(op.soft)}:${limitText(op.hard)}`;
  return {
    what,
    because: errno === "EPERM" ? "a hard limit can be raised by CAP_SYS_RESOURCE only" : undefined,
    kind: errno === "EINVAL" ? "invalid" : "denied",
    code: "rlimit-refused",
    hint: "ask for less with --ulimit; 'ulimit -Ha' shows the maxima",
  };
}
