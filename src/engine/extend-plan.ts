/**
 * What a container of the engine needs beyond its config.json: files that the runtime spec has no words for, and
 * volumes filled from the image.
 */
import type { Origin, Plan, PlannedOp } from "../kernel/mod.ts";
import { defaults } from "./defaults.ts";
import type { ContainerVolume } from "./spec/user-mounts.ts";
import { type ImageMount, stageImage } from "./volumes/image-mount.ts";

export interface PlanExtras {
  readonly volumes: readonly ContainerVolume[];
  readonly images: readonly ImageMount[];
  readonly chown: readonly OwnedTree[];
  /** JSON pointer of the mount at each destination. */
  readonly pointers: ReadonlyMap<string, string>;
  readonly origins: ReadonlyMap<string, Origin>;
}

export interface OwnedTree {
  readonly path: string;
  /** As the container counts. */
  readonly uid: number;
  readonly gid: number;
  /** As the host counts, where only its root can give the files to the container. */
  readonly host?: { readonly uid: number; readonly gid: number };
}

const byDefault: Origin = { by: "default" };

export function extendPlan(plan: Plan, extras: PlanExtras): Plan {
  const clone = Math.max(
    0,
    plan.ops.findIndex(({ op }) => op.op === "clone"),
  );
  const root = plan.ops.findIndex(({ op }) => op.op === "setRoot");
  const pivot = plan.ops.findIndex(({ op }) => op.op === "pivotRoot");
  if (root < 0 || pivot < root) return plan;
  return {
    ...plan,
    ops: [
      ...plan.ops.slice(0, clone),
      ...extras.chown.flatMap((tree) => (tree.host === undefined ? [] : [own(tree, tree.host, "monitor")])),
      ...plan.ops.slice(clone, root + 1),
      ...extras.volumes.filter(({ copyUp }) => copyUp).map((volume) => fill(volume, extras)),
      ...extras.chown.map((tree) => own(tree, tree, "init")),
      ...extras.images.map((image) => stage(image, extras)),
      ...plan.ops.slice(root + 1, pivot),
      ...containerFiles(),
      ...plan.ops.slice(pivot),
    ],
  };
}

function why(target: string, { pointers, origins }: PlanExtras): PlannedOp["why"] {
  const pointer = pointers.get(target) ?? "";
  return { pointer, section: "", origin: origins.get(pointer) ?? byDefault };
}

/** Before the volume is bound over the directory whose contents it takes. The image may have none there. */
function fill({ source, target, lock }: ContainerVolume, extras: PlanExtras): PlannedOp {
  return {
    stage: "init",
    tolerate: [],
    why: why(target, extras),
    op: {
      op: "fillVolume",
      from: { base: "root", path: target },
      to: { base: "host", path: source },
      lock: { base: "host", path: lock ?? source.slice(0, source.lastIndexOf("/")) },
    },
  };
}

function own(
  { path }: OwnedTree,
  { uid, gid }: { readonly uid: number; readonly gid: number },
  stage: "monitor" | "init",
): PlannedOp {
  return {
    stage,
    tolerate: [],
    why: { pointer: "", section: "", origin: { by: "flag", flag: "--volume" } },
    op: { op: "changeOwners", path: { base: "host", path }, uid, gid },
  };
}

/** `mounts` then binds it, or a part, into the root. */
function stage(image: ImageMount, extras: PlanExtras): PlannedOp {
  return { stage: "init", tolerate: [], why: why(image.target, extras), op: stageImage(image) };
}

/** Once everything is mounted and before the root is made read-only. What the image has is left alone. */
function containerFiles(): readonly PlannedOp[] {
  const why = { pointer: "/root", section: "", origin: byDefault };
  return [
    {
      stage: "init",
      tolerate: ["EEXIST", "ENOTDIR", "EROFS", "EACCES", "EPERM"],
      why,
      op: { op: "makeDirectory", path: { base: "root", path: "/run" }, mode: 0o755, parents: true },
    },
    {
      stage: "init",
      tolerate: ["EEXIST", "ENOENT", "ENOTDIR", "EROFS", "EACCES", "EPERM"],
      why,
      op: { op: "makeSymlink", path: { base: "root", path: "/etc/mtab" }, target: defaults.mtab.value },
    },
    {
      stage: "init",
      tolerate: ["EEXIST", "ENOENT", "ENOTDIR", "EROFS", "EACCES", "EPERM"],
      why,
      op: {
        op: "writeFile",
        path: { base: "root", path: defaults.containerEnvFile.value },
        data: new TextEncoder().encode('engine="vitrine"\n'),
        create: true,
        mode: 0o644,
      },
    },
  ];
}
