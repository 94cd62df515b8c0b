/** The door of `runtime/`: config.json → plan, and the state of running containers. */

export { cannotRaise } from "./capabilities.ts";
export { bornAmong, decideCgroup } from "./cgroup.ts";
export {
  complaintOf,
  type DumpOptions,
  dumpArguments,
  type RestoreOptions,
  restoreArguments,
} from "./checkpoint/criu.ts";
export {
  externalMounts,
  externalNamespaces,
  inherited,
  readStreams,
  streamsOf,
  writeStreams,
} from "./checkpoint/externals.ts";
export { compileRestore } from "./checkpoint/plan.ts";
export { compile } from "./compile.ts";
export { gatherCgroup, gatherSourceKinds, gatherSystemd, mountPointOf } from "./gather.ts";
export { resctrlMountPoint, schemataFile } from "./intel-rdt.ts";
export {
  type CompiledBundle,
  type CreateOptions,
  compileBundle,
  writeContainer,
} from "./lifecycle/create.ts";
export { completeEnvironment } from "./lifecycle/environment.ts";
export { compileExec, type ExecInput } from "./lifecycle/exec.ts";
export { foreignNamespaces, paddedPidLength, setgroupsDeniedFor } from "./lifecycle/join.ts";
export {
  diesWithInit,
  files as lifecycleFiles,
  type LifecycleRecord,
  type LifecycleState,
  type LifecycleStatus,
  readState,
  requireId,
  stateOutput,
} from "./lifecycle/record.ts";
export { filterOf } from "./lifecycle/seccomp.ts";
export { type LiveCgroup, liveCgroup, processesIn } from "./live/control.ts";
export { freeze, isFrozen, thaw } from "./live/freeze.ts";
export {
  type BlockIoEntry,
  type ContainerStats,
  type Count,
  killsForMemory,
  readStats,
} from "./live/stats.ts";
export { applyUpdate, mergeResources, planUpdate } from "./live/update.ts";
export { type CgroupUsage, readCpuTime, readUsage } from "./live/usage.ts";
export { type MountOptions, parseMountOptions } from "./mount-options.ts";
export { encodeReasons, joinPlan } from "./reasons.ts";
export {
  type ContainerProcessState,
  type ExitRecord,
  isAlive,
  type RunningProcess,
  readExitFile,
  readPidFile,
} from "./state.ts";
export {
  isScopePath,
  placeScope,
  resourceProperties,
  type ScopePlacement,
  type SystemdPlace,
} from "./systemd-scope.ts";
export type * from "./types.ts";
