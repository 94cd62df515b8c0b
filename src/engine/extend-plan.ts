/**
 * What a container of the engine needs beyond its config.json: files that the runtime spec has no words for, and
 * volumes filled from the image.
 */
import type { Origin, Plan, PlannedOp } from "../kernel/mod.ts";
import { defaults } from "./defaults.ts";
import type { AnonymousVolume } from "./spec/mounts.ts";

export interface PlanExtras {
  readonly volumes: readonly AnonymousVolume[];
  /** JSON pointer of the mount that binds a volume, by its source. */
  readonly volumePointers: ReadonlyMap<string, string>;
  readonly origins: ReadonlyMap<string, Origin>;
}

const byDefault: Origin = { by: "default" };

export function extendPlan(plan: Plan, extras: PlanExtras): Plan {
  const root = plan.ops.findIndex(({ op }) => op.op === "setRoot");
  const pivot = plan.ops.findIndex(({ op }) => op.op === "pivotRoot");
  if (root < 0 || pivot < root) return plan;
  return {
    ...plan,
    ops: [
      ...plan.ops.slice(0, root + 1),
      ...extras.volumes.filter(({ copyUp }) => copyUp).map((volume) => fill(volume, extras)),
      ...plan.ops.slice(root + 1, pivot),
      ...containerFiles(),
      ...plan.ops.slice(pivot),
    ],
  };
}

/** Before the volume is bound over the directory whose contents it takes. The image may have none there. */
function fill(volume: AnonymousVolume, extras: PlanExtras): PlannedOp {
  const pointer = extras.volumePointers.get(volume.source) ?? "";
  return {
    stage: "init",
    tolerate: ["ENOENT", "ENOTDIR"],
    why: { pointer, section: "", origin: extras.origins.get(pointer) ?? byDefault },
    op: {
      op: "copyTree",
      from: { base: "root", path: volume.target },
      to: { base: "host", path: volume.source },
    },
  };
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
