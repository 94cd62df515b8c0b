/** Why a mount failed. Most of it is about what a user namespace may not do. */

import { type ErrorKind, quoted } from "../base/mod.ts";
import type { Failed, Finding } from "./hints.ts";

export function diagnoseMount(failed: Failed<"mountFilesystem">): Finding {
  const { op, pointer, errno, detail } = failed;
  const place = pointer.startsWith("/root") ? "the root filesystem" : quoted(op.target.path);
  const what = `cannot mount ${op.fstype} on ${place}`;
  const finding = findingOf(what);
  if (isTypeMismatch(errno, detail)) {
    return finding(
      "invalid",
      "mount-point-type",
      "choose another target",
      "the image has a file in this place",
    );
  }
  if (op.fstype === "overlay") return overlay(finding, errno, op.options, detail);
  if (errno === "ENODEV") {
    return finding(
      "unsupported",
      "filesystem-unknown",
      `load it with 'sudo modprobe ${/^[a-z0-9_]+$/.test(op.fstype) ? op.fstype : "MODULE"}', or leave the mount out`,
      "this kernel has no such filesystem",
    );
  }
  if (errno === "EPERM" || errno === "EACCES") return denied(finding, op.fstype);
  if (errno === "EINVAL") {
    return finding("invalid", "mount-option-refused", "check the mount's options", optionProblem(detail));
  }
  if ((op.fstype === "proc" || op.fstype === "sysfs") && (errno === "ENOTDIR" || errno === "ELOOP")) {
    return finding(
      "invalid",
      "mount-target-unusable",
      "the image has a file in this place, or a symbolic link that leads away: it could put its own files there",
      `filesystem "${op.fstype}" must be mounted on ordinary directory`,
    );
  }
  if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ELOOP") {
    return finding(
      "invalid",
      "mount-target-unusable",
      "the image has something else in this place: a file, or a symbolic link that leads away (proc and sysfs go on real directories only)",
    );
  }
  if (errno === "EBUSY") {
    return finding("unavailable", "mount-busy", "it is mounted already, or its source is in use");
  }
  return finding("unavailable", "mount-failed", "run 'vitrine doctor' for what this machine can mount");
}

/** move_mount answers so when a directory would go over a file, or a file over a directory. */
function isTypeMismatch(errno: string, detail: string): boolean {
  return (errno === "EINVAL" || errno === "ENOTDIR") && detail.startsWith("move_mount(");
}

type Make = (kind: ErrorKind, code: string, hint: string, because?: string) => Finding;

const copyDriver = "use --storage-driver copy";

function overlay(finding: Make, errno: string, options: readonly string[], detail: string): Finding {
  switch (errno) {
    case "EPERM":
    case "EACCES":
      return finding(
        "denied",
        "overlay-denied",
        `overlay in a user namespace takes Linux 5.11, and the layers must be readable by their owner: ${copyDriver}, or run as root`,
        "this kernel does not let users mount overlays here",
      );
    case "EINVAL":
      return finding(
        "unsupported",
        "overlay-refused",
        `the store's filesystem cannot hold an overlay's upper directory (another overlay, NFS, no d_type or no xattrs), or an option is unknown: ${copyDriver}, or keep the store on ext4, xfs, btrfs or tmpfs with --root DIR`,
        optionProblem(detail),
      );
    case "ENODEV":
      return finding(
        "unsupported",
        "overlay-missing",
        `load it with 'sudo modprobe overlay', or ${copyDriver}`,
        "this kernel has no overlay",
      );
    case "ENOENT":
      return finding(
        "corrupt",
        "layer-missing",
        "a layer's directory is gone: remove the image with 'vitrine rmi --force' and load it again",
      );
    case "EBUSY":
    case "ESTALE":
      return finding(
        "unavailable",
        "overlay-busy",
        "the container's upper directory is in use by another mount, or was made with other layers: remove the container and run it again",
      );
    case "E2BIG":
      return finding(
        "unsupported",
        "overlay-too-many-layers",
        `${options.filter((option) => option.startsWith("lowerdir+=")).length} layers are too many for this kernel: ${copyDriver}, or build the image with fewer`,
      );
    case "EOPNOTSUPP":
      return finding(
        "unsupported",
        "overlay-xattrs",
        `the store's filesystem has no extended attributes: ${copyDriver}, or another place with --root DIR`,
      );
    default:
      return finding("unavailable", "overlay-failed", `${copyDriver}, or run 'vitrine doctor'`);
  }
}

function denied(finding: Make, fstype: string): Finding {
  switch (fstype) {
    case "proc":
      return finding(
        "denied",
        "proc-masked",
        "this happens inside another container whose /proc has hidden parts: start that one with --security-opt unmask=ALL (podman) or systempaths=unconfined (Docker), or use --pid host",
        "a user namespace may mount proc only where the whole of the host's proc is visible",
      );
    case "sysfs":
      return finding(
        "denied",
        "sysfs-denied",
        "use a network namespace of its own (--network none), or root",
        "a user namespace may mount sysfs only with a network namespace of its own",
      );
    case "cgroup":
    case "cgroup2":
      return finding(
        "denied",
        "cgroup-mount-denied",
        "use a cgroup namespace of its own (--cgroupns private)",
        "a user namespace may mount cgroups only with a cgroup namespace of its own",
      );
    case "mqueue":
      return finding(
        "denied",
        "mqueue-denied",
        "use an IPC namespace of its own (--ipc private)",
        "a user namespace may mount message queues only with an IPC namespace of its own",
      );
    default:
      return finding(
        "denied",
        "mount-denied",
        "in a user namespace only some filesystems can be mounted (tmpfs, overlay, proc, sysfs, devpts, mqueue, fuse): mount it on the host and bind it with --volume, or run as root",
      );
  }
}

/** The kernel's own words, which the helper reads from the mount context: `overlay: fsconfig(create): overlay: …`. */
function optionProblem(detail: string): string | undefined {
  const at = detail.indexOf("): ");
  return at < 0 ? undefined : `the kernel says ${quoted(detail.slice(at + "): ".length))}`;
}

export function diagnoseShared({ op, errno, detail }: Failed<"bindOfProcess">): Finding {
  const about = {
    what: `cannot share ${quoted(op.source)} of another container`,
    kind: "unavailable",
    code: "shared-mount-failed",
    hint: "start the container that it belongs to anew",
  } as const;
  if (errno === "ENOENT" && detail.includes(op.source))
    return { ...about, because: "nothing is mounted there any more" };
  if (errno === "ENOENT") return { ...about, because: "it has ended" };
  return { ...about, because: errno === "ENOSYS" ? "this takes Linux 5.8" : undefined };
}

export function diagnoseBind({ op, errno, detail }: Failed<"bindMount" | "bindIdMapped">): Finding {
  const what = `cannot bind ${quoted(op.source.path)} to ${quoted(op.target.path)}`;
  const finding = findingOf(what);
  if (detail.includes("MOUNT_ATTR_IDMAP")) {
    return finding(
      "unsupported",
      "id-mapped-mount-refused",
      "id-mapped mounts take root and a filesystem that supports them (ext4, xfs, btrfs, tmpfs from 6.3); leave out idmap",
    );
  }
  if (errno === "ENOTDIR" || isTypeMismatch(errno, detail)) {
    return finding(
      "invalid",
      "mount-point-type",
      "a directory goes over a directory, a file over a file",
      "one is a directory and the other a file",
    );
  }
  switch (errno) {
    case "ENOENT":
      return finding(
        "not-found",
        "bind-source-missing",
        `make it with 'mkdir -p', or correct the path`,
        "the source does not exist",
      );
    case "EACCES":
      return finding(
        "denied",
        "bind-source-denied",
        "check owner and mode of the source and of the directories above it",
        "the user may not reach the source",
      );
    case "EPERM":
    case "EINVAL":
      return finding(
        "denied",
        "bind-denied",
        "the source holds mounts that a user namespace may not take apart: bind it with its submounts (the default), or run as root",
      );
    default:
      return finding("unavailable", "bind-failed", "check source and target of the mount");
  }
}

const findingOf =
  (what: string) =>
  (kind: ErrorKind, code: string, hint: string, because?: string): Finding => ({
    what,
    because,
    kind,
    code,
    hint,
  });
