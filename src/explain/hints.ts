/**
 * What an errno means in the place where it occurred, and what to do. One function an op, for those whose failures
 * people meet; the rest get the op's purpose and the kernel's words.
 */

import { type ErrorKind, quoted } from "../base/mod.ts";
import type { Op, OpName, OpPath, PlannedOp } from "../kernel/mod.ts";
import { diagnoseExecute } from "./hints-execute.ts";
import { cgroup, deviceProgram, idMap, join, limit, namespaces, sysctl, user } from "./hints-isolation.ts";
import { diagnoseBind, diagnoseMount, diagnoseShared } from "./hints-mount.ts";

export interface Finding {
  /** What could not be done: `cannot mount overlay on the root filesystem`. */
  readonly what: string;
  /** Why, where it can be said better than by the errno's words. */
  readonly because?: string;
  readonly kind: ErrorKind;
  /** Stable, what tests assert. */
  readonly code: string;
  readonly hint: string;
  readonly exitCode?: 125 | 126 | 127;
}

/** What the ops' own functions are told. */
export interface Failed<Name extends OpName> {
  readonly op: Extract<Op, { readonly op: Name }>;
  readonly pointer: string;
  /** `EPERM`, … */
  readonly errno: string;
  /** The helper's line: which call of the op. */
  readonly detail: string;
}

const doctor = "run 'vitrine doctor' for what this machine allows";
const memory = "free some memory, or raise the limit of the cgroup that vitrine itself runs in";
const space =
  "free some space with 'vitrine image prune --all' and 'vitrine rm', or use another place with --root DIR";

export function diagnose(planned: PlannedOp, errno: string, detail: string): Finding {
  const everywhere = commonCauses(planned.op, errno);
  const special = byOp(planned, errno, detail);
  // Out of memory or space means the same in every op, but a missing program is not the machine's fault.
  if (everywhere !== undefined && planned.op.op !== "execute") return { ...everywhere, what: special.what };
  return special;
}

function commonCauses(op: Op, errno: string): Omit<Finding, "what"> | undefined {
  switch (errno) {
    case "ENOMEM":
      return { kind: "unavailable", code: "out-of-memory", hint: memory };
    case "ENOSPC":
    case "EDQUOT":
      // clone means a limit by it, cgroup files a full list.
      if (op.op === "clone" || op.op === "unshareNamespaces" || op.op === "sessionKeyring") return undefined;
      if (op.op === "writeFile" || op.op === "writeEither" || op.op === "cgroupAttach") return undefined;
      return { kind: "unavailable", code: "out-of-space", hint: space };
    case "EMFILE":
    case "ENFILE":
      return {
        kind: "unavailable",
        code: "too-many-open-files",
        hint: "raise the limit with 'ulimit -n', or close programs",
      };
    default:
      return undefined;
  }
}

function byOp({ op, why }: PlannedOp, errno: string, detail: string): Finding {
  const about = { pointer: why.pointer, errno, detail };
  switch (op.op) {
    case "execute":
      return diagnoseExecute({ op, ...about });
    case "changeDirectory":
      return workingDirectory(op.path, about);
    case "mountFilesystem":
      return diagnoseMount({ op, ...about });
    case "bindMount":
    case "bindIdMapped":
      return diagnoseBind({ op, ...about });
    case "bindOfProcess":
      return diagnoseShared({ op, ...about });
    case "clone":
    case "unshareNamespaces":
      return namespaces(op.flags, errno);
    case "joinNamespace":
      return join({ op, ...about });
    case "idMap":
      return idMap({ op, ...about });
    case "cgroupAttach":
      return cgroup(`cannot put the container into the cgroup ${op.path.path}`, errno);
    case "writeFile":
      return writeFile({ op, ...about });
    case "writeEither":
      return cgroup(`cannot write ${op.path.path}`, errno);
    case "cgroupVacate":
      return cgroup(`cannot divide the cgroup ${op.from.path}`, errno);
    case "deviceProgram":
      return deviceProgram(op.path.path, errno);
    case "makeDirectory":
      // A missing working directory is made, and then entered.
      if (why.pointer === "/process/cwd") return workingDirectory(op.path.path, about);
      return op.path.path.startsWith("/sys/fs/cgroup")
        ? cgroup(`cannot make the cgroup ${op.path.path}`, errno)
        : filesystem(`cannot make the directory ${placeText(op.path)}`, errno);
    case "cloneInto":
      return cgroup(`cannot put the container into the cgroup ${op.path.path}`, errno);
    case "makeMountPointFor":
    case "makeMountPoint":
      return mountPoint({ op, ...about });
    case "setUser":
      return user({ op, ...about });
    case "setRlimit":
      return limit({ op, ...about });
    case "seccomp":
      return filter({ op, ...about });
    case "runProgram":
      return hook({ op, ...about });
    default:
      return rest(op, errno);
  }
}

/** A path as users know it. */
function placeText(path: OpPath): string {
  return path.base === "root" ? `${quoted(path.path)} in the container` : quoted(path.path);
}

/** A cause for ops that fail rarely, or for one reason only. */
function rest(op: Op, errno: string): Finding {
  const of = (what: string, kind: ErrorKind, code: string, hint: string): Finding => ({
    what,
    kind,
    code,
    hint,
  });
  const denied: ErrorKind = errno === "EPERM" || errno === "EACCES" ? "denied" : "unavailable";
  switch (op.op) {
    case "pivotRoot":
      return of(
        "cannot make the root filesystem the container's root",
        "unsupported",
        "pivot-root-failed",
        "the host's own root is an initramfs, perhaps, which pivot_root cannot leave: boot with a root filesystem on a disk or tmpfs",
      );
    case "setHostname":
    case "setDomainname":
      return of(
        `cannot set the name ${quoted(op.name)}`,
        errno === "EINVAL" || errno === "ENAMETOOLONG" ? "invalid" : denied,
        "hostname-refused",
        errno === "EPERM"
          ? "the container shares the host's UTS namespace, whose name it may not change: leave out --hostname or --uts host"
          : "a name has at most 64 characters",
      );
    case "apparmorProfile":
      return of(
        `cannot use the AppArmor profile ${quoted(op.profile)}`,
        errno === "ENOENT" ? "not-found" : denied,
        "apparmor-refused",
        "load it with 'sudo apparmor_parser -r FILE', see 'sudo aa-status', or use --security-opt apparmor=unconfined",
      );
    case "selinuxLabel":
      return of(
        `cannot use the SELinux label ${quoted(op.label)}`,
        errno === "EINVAL" ? "invalid" : denied,
        "selinux-refused",
        "check the label, or use --security-opt label=disable",
      );
    case "makeNode":
      return of(
        `cannot make the device ${placeText(op.path)}`,
        denied,
        "device-refused",
        "device nodes take root outside of user namespaces: without privilege use --device, which binds the host's node",
      );
    case "setCapabilities":
    case "dropBoundingSet":
      return of(
        "cannot set the capabilities",
        "denied",
        "capabilities-refused",
        "vitrine itself lacks one of them; see CapEff in /proc/self/status and take it from --cap-add",
      );
    case "setScheduler":
    case "setIoPriority":
    case "cpuAffinity":
    case "memoryPolicy":
      return of(
        "cannot set the scheduling of the container",
        errno === "EINVAL" ? "invalid" : denied,
        "scheduling-refused",
        "realtime and higher priorities take CAP_SYS_NICE, which a user namespace does not give",
      );
    case "setTimeOffset":
      return of(
        "cannot shift the container's clocks",
        denied,
        "time-offset-refused",
        "offsets must keep the clock above zero",
      );
    case "openTerminal":
      return of(
        "cannot give the container a terminal",
        denied,
        "terminal-failed",
        "the container needs its own /dev/pts (a devpts mount) and /dev/console; leave out -t to run without",
      );
    case "maskPath":
    case "readonlyPath":
      return of(
        `cannot ${op.op === "maskPath" ? "hide" : "make read-only"} ${placeText(op.path)}`,
        denied,
        "path-protection-failed",
        "--security-opt unmask=PATH leaves a path as it is",
      );
    case "sessionKeyring":
      return of(
        "cannot make a session keyring",
        denied,
        "keyring-refused",
        errno === "EDQUOT"
          ? "the user has too many keys: raise kernel.keys.maxkeys and kernel.keys.maxbytes with sysctl"
          : doctor,
      );
    case "loopbackUp":
      return of("cannot bring the loopback interface up", denied, "loopback-failed", doctor);
    case "setRoot":
    case "setWork":
      // A program that enters a container finds its root by what runs in it, which may end at any moment.
      if (/^\/proc\/+\d+\/root$/.test(op.path.path) && (errno === "ENOENT" || errno === "ESRCH")) {
        return of(
          "cannot enter the container: it has ended",
          "invalid",
          "container-not-running",
          "see why with 'vitrine ps -a' and 'vitrine logs CONTAINER'",
        );
      }
      return of(
        `cannot open ${placeText(op.path)}`,
        errno === "ENOENT" ? "not-found" : denied,
        "root-missing",
        "the container's directory is gone or was made for another user: remove the container and run it again",
      );
    default:
      return of(`step ${op.op} failed`, denied, "op-failed", doctor);
  }
}

/* --- files --- */

function writeFile({ op, pointer, errno }: Failed<"writeFile">): Finding {
  if (op.path.base === "proc" && op.path.path.startsWith("sys/")) {
    const name = op.path.path.slice("sys/".length).replaceAll("/", ".");
    return sysctl(name, errno);
  }
  if (pointer.startsWith("/linux/resources") || op.path.path.startsWith("/sys/fs/cgroup")) {
    return cgroup(`cannot write ${op.path.path}`, errno);
  }
  if (op.path.base === "proc" && op.path.path.endsWith("oom_score_adj")) {
    return {
      what: "cannot set the OOM score",
      kind: "denied",
      code: "oom-score-denied",
      hint: "lowering it below its own value takes CAP_SYS_RESOURCE: use a higher --oom-score-adj",
    };
  }
  return filesystem(`cannot write ${placeText(op.path)}`, errno);
}

function filesystem(what: string, errno: string): Finding {
  switch (errno) {
    case "EROFS":
      return {
        what,
        kind: "unavailable",
        code: "read-only-filesystem",
        hint: "the filesystem is read-only: use a writable place",
      };
    case "ELOOP":
      return {
        what,
        because: "a symbolic link on the way leads in a circle or out of the root filesystem",
        kind: "invalid",
        code: "path-escapes",
        hint: "the image holds such a link; choose another path",
      };
    case "ENOTDIR":
      return {
        what,
        kind: "invalid",
        code: "not-a-directory",
        hint: "part of the path is a file: choose another path",
      };
    case "EACCES":
    case "EPERM":
      return {
        what,
        kind: "denied",
        code: "path-denied",
        hint: "check owner and mode of the path and of the directories above it",
      };
    default:
      return {
        what,
        kind: errno === "ENOENT" ? "not-found" : "unavailable",
        code: "path-failed",
        hint: "check the path",
      };
  }
}

function mountPoint({ op, errno }: Failed<"makeMountPoint" | "makeMountPointFor">): Finding {
  const isFile = op.op === "makeMountPoint" && op.file;
  const what = `cannot make the mount point ${placeText(op.path)}`;
  if (errno === "EISDIR" || errno === "ENOTDIR") {
    return {
      what,
      because: isFile
        ? "it is a directory, and a file is to be mounted"
        : "it is a file, and a directory is to be mounted",
      kind: "invalid",
      code: "mount-point-type",
      hint: "a directory goes over a directory, a file over a file",
    };
  }
  return filesystem(what, errno);
}

function workingDirectory(
  path: string,
  { errno, detail }: Pick<Failed<OpName>, "errno" | "detail">,
): Finding {
  const what = `cannot use the working directory ${quoted(path)}`;
  const hint = "choose another one with --workdir";
  switch (errno) {
    case "ENOENT":
      return {
        what,
        because: "it does not exist",
        kind: "not-found",
        code: "workdir-missing",
        hint,
        exitCode: 127,
      };
    case "ENOTDIR":
      return { what, kind: "invalid", code: "workdir-not-a-directory", hint, exitCode: 126 };
    case "EACCES":
      return {
        what,
        because: "the container's user may not enter it",
        kind: "denied",
        code: "workdir-denied",
        hint,
        exitCode: 126,
      };
    case "EXDEV":
      return {
        what,
        because: "it lies outside the root filesystem (CVE-2024-21626)",
        kind: "denied",
        code: "workdir-escapes",
        hint: `${hint}; an image that asks for this is not to be trusted: ${detail}`,
      };
    default:
      return { what, kind: "unavailable", code: "workdir-failed", hint };
  }
}

/* --- programs of the host, filters --- */

function hook({ op, pointer, errno, detail }: Failed<"runProgram">): Finding {
  if (pointer === "/linux/cgroupsPath") {
    return {
      what: "systemd did not make the container's cgroup",
      because: detail,
      kind: "unavailable",
      code: "scope-failed",
      hint: "the message before this one says why; --cgroup-manager cgroupfs does without systemd",
    };
  }
  const what = `the program ${quoted(op.path)} failed`;
  if (errno === "ECHILD") {
    return {
      what,
      because: detail,
      kind: "unavailable",
      code: "hook-failed",
      hint: "its own messages say why",
    };
  }
  if (errno === "ETIMEDOUT") {
    return {
      what,
      because: `it ran longer than ${op.timeoutSeconds} s`,
      kind: "unavailable",
      code: "hook-timeout",
      hint: "raise its timeout in config.json",
    };
  }
  return { what, kind: "not-found", code: "hook-missing", hint: "check the path of the hook in config.json" };
}

function filter({ op, errno, detail }: Failed<"seccomp">): Finding {
  const what = "cannot install the seccomp filter";
  if (detail.includes("listener") || errno === "ECONNREFUSED" || errno === "ENOENT") {
    return {
      what,
      because: `nobody takes the listener at ${quoted(op.listenerPath)}`,
      kind: "unavailable",
      code: "seccomp-listener-missing",
      hint: "start the seccomp agent first",
    };
  }
  if (errno === "EACCES") {
    return {
      what,
      kind: "denied",
      code: "seccomp-denied",
      hint: "without no_new_privs it takes CAP_SYS_ADMIN: use --security-opt no-new-privileges",
    };
  }
  return {
    what,
    kind: "unsupported",
    code: "seccomp-refused",
    hint: "this kernel lacks an action or flag of the profile; --security-opt seccomp=unconfined runs without one",
  };
}
