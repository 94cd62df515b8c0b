/** The root filesystem: mounted, entered, made read-only (config.md#root). */
import {
  type KernelRelease,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
} from "../kernel/mod.ts";
import { deviceRulesUnenforced } from "./cgroup-devices.ts";
import { type Draft, unsupported } from "./draft.ts";
import { propagationWord } from "./mount-options.ts";
import type { RootMount } from "./types.ts";

const section = "config.md#root";
/** umount2(2). */
const MNT_DETACH = 2;
const propagationSection = "config-linux.md#rootfs-mount-propagation";
const propagationPointer = "/linux/rootfsPropagation";

/** What the host mounts later may show in the container (slave), what the container mounts never on the host. */
const defaultPropagation = MS_SLAVE | MS_REC;

function wantedPropagation(draft: Draft): number {
  const word = draft.input.config.linux?.rootfsPropagation;
  return (word === undefined ? undefined : propagationWord(word)) ?? defaultPropagation;
}

/** Init: cuts the copied mounts of the host off, so that nothing mounted from here on spreads to it. */
export function isolateMounts(draft: Draft): void {
  if (draft.namespace("mount") === undefined) {
    return;
  }
  const propagation = wantedPropagation(draft);
  const reason = { pointer: propagationPointer, section: propagationSection };
  if ((propagation & MS_SHARED) === 0) {
    // Unbindable is for the new root alone (`finishPropagation`): here it would forbid every bind mount.
    const cut = (propagation & MS_UNBINDABLE) !== 0 ? MS_PRIVATE | MS_REC : propagation | MS_REC;
    draft.init(
      {
        op: "mountPropagation",
        path: { base: "host", path: "/" },
        propagation: cut & ~MS_REC,
        recursive: true,
      },
      reason,
    );
    return;
  }
  // Binds keep their peers on the host only if nothing is cut; then the mount under the root must not be shared, or
  // the root filesystem itself would appear on the host (and pivot_root(2) refuses a shared parent).
  const { rootParentMount } = draft.input.container;
  if (rootParentMount === undefined) {
    throw unsupported(
      "shared-propagation-unsupported",
      propagationPointer,
      "the mount under the root is not known",
    );
  }
  draft.init(
    {
      op: "mountPropagation",
      path: { base: "host", path: rootParentMount },
      propagation: MS_PRIVATE,
      recursive: false,
    },
    reason,
  );
}

/** Init: the root filesystem as a mount of its own, and the handle that all paths of base `root` begin at. */
export function mountRoot(draft: Draft): void {
  const { root } = draft.input.container;
  // A device node in an image layer could be opened where no device cgroup forbids it.
  const attributes = deviceRulesUnenforced(draft) ? MOUNT_ATTR_NODEV : 0n;
  const reason = { pointer: "/root/path", section };
  if (root.type === "overlay") {
    draft.init(
      {
        op: "mountFilesystem",
        fstype: "overlay",
        source: "overlay",
        target: { base: "host", path: root.target },
        attributes,
        options: overlayOptions(root, draft.input.host.kernel),
      },
      reason,
    );
  } else if (draft.namespace("mount") !== undefined) {
    draft.init(
      {
        op: "bindMount",
        source: { base: "host", path: root.path },
        target: { base: "host", path: root.path },
        recursive: true,
        set: attributes,
        clear: 0n,
        recursiveAttributes: attributes !== 0n,
        propagation: 0,
      },
      reason,
    );
  }
  draft.init({ op: "setRoot", path: { base: "host", path: rootPath(root) } }, reason);
}

export function rootPath(root: RootMount): string {
  return root.type === "overlay" ? root.target : root.path;
}

/** The layers one by one, top first: no limit of length, no escaping of colons. The helper joins them before 6.5. */
function overlayOptions(root: RootMount & { readonly type: "overlay" }, kernel: KernelRelease): string[] {
  const options = root.lowers.map((lower) => `lowerdir+=${lower}`);
  options.push(`upperdir=${root.upper}`, `workdir=${root.work}`);
  if (root.userxattr) {
    options.push("userxattr");
  }
  // The container's own changes need no sync on unmount when they are thrown away with it.
  if (root.volatile && (kernel.major > 5 || (kernel.major === 5 && kernel.minor >= 10))) {
    options.push("volatile");
  }
  return options;
}

/** Init: the root handle becomes `/`; the host's tree is detached. */
export function pivot(draft: Draft): void {
  if (draft.namespace("mount") === undefined) {
    draft.init({ op: "changeRoot" }, { pointer: "/root/path", section });
    return;
  }
  draft.init(
    { op: "pivotRoot", noPivot: draft.input.container.noPivot ?? false },
    { pointer: "/root/path", section },
  );
}

/** Init, after the pivot: shared and unbindable are meant for the new root, not for the host's tree. */
export function finishPropagation(draft: Draft): void {
  if (draft.namespace("mount") === undefined) {
    return;
  }
  const propagation = wantedPropagation(draft);
  if ((propagation & (MS_SHARED | MS_UNBINDABLE)) !== 0) {
    draft.init(
      {
        op: "mountPropagation",
        path: { base: "root", path: "/" },
        propagation: propagation & ~MS_REC,
        recursive: (propagation & MS_REC) !== 0,
      },
      { pointer: propagationPointer, section: propagationSection },
    );
  }
}

/** Init, once nothing is to be made in it any more. */
export function makeRootReadOnly(draft: Draft): void {
  if (draft.input.config.root.readonly === true) {
    draft.init(
      {
        op: "mountAttributes",
        path: { base: "root", path: "/" },
        set: MOUNT_ATTR_RDONLY,
        clear: 0n,
        recursive: false,
      },
      { pointer: "/root/readonly", section },
    );
  }
}

/** Cleanup: what was mounted on the host, where the container has no mount namespace, last first. */
export function unmountFromHost(draft: Draft, destinations: readonly string[]): void {
  if (draft.namespace("mount") !== undefined || destinations.length === 0) {
    return;
  }
  const reason = { pointer: "/linux/namespaces", section: "config-linux.md#namespaces" };
  draft.cleanup(
    { op: "setRoot", path: { base: "host", path: rootPath(draft.input.container.root) } },
    reason,
  );
  for (const path of destinations.toReversed()) {
    draft.cleanup(
      { op: "unmount", path: { base: "root", path }, flags: MNT_DETACH },
      { ...reason, tolerate: ["EINVAL", "ENOENT"] },
    );
  }
}
