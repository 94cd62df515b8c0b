/** The door of `kernel/`: the Linux machine as values. Knows no OCI. */

export {
  type ApplyIds,
  type ApplyOptions,
  type ApplyOutputs,
  type ApplyResult,
  ApplySession,
  leaveApply,
  runApply,
} from "./apply.ts";
export { compileDeviceProgram, type DevicePolicy, type DeviceRule } from "./bpf/devices.ts";
export * from "./capabilities.ts";
export * from "./constants.ts";
export {
  attachToScope,
  type ScopeRequest,
  setUnitProperties,
  startScope,
  systemdSocket,
  type UnitProperty,
} from "./dbus/systemd.ts";
export * from "./encode.ts";
export * from "./helper.ts";
export { type HostReader, type HostSelf, kernelAtLeast, probeHost } from "./host.ts";
export { cgroupLeaf } from "./host-cgroup.ts";
export type * from "./host-facts.ts";
export type { Inflation } from "./inflation.ts";
export * from "./ops.ts";
export * from "./plan.ts";
export {
  type NodeReading,
  type ProcessTruth,
  type Reading,
  type Readings,
  readProcessTruth,
  type TruthWishes,
} from "./process-truth.ts";
export {
  FileReader,
  type FoundEntry,
  type LayerEntry,
  type ReadEvent,
  type ReadRequest,
  rawText,
  readTreeOp,
  textOf,
} from "./read.ts";
export type { SeccompMachine } from "./seccomp/abi.ts";
export { compileSeccomp } from "./seccomp/compile.ts";
export { seccompFilter } from "./seccomp/default-filter.ts";
export { defaultProfile } from "./seccomp/default-profile.ts";
export {
  type ConditionalProfile,
  type ConditionalRule,
  type ProfileSubject,
  parseProfile,
  type RuleFilter,
  resolveProfile,
} from "./seccomp/docker-format.ts";
export type * from "./seccomp/profile.ts";
export { type FilterSummary, summarizeFilter } from "./seccomp/summary.ts";
export { nativeSystemCalls } from "./seccomp/syscalls.ts";
export { type TrialOptions, type TrialResult, tryUser, type UserTrials } from "./trials.ts";
export { isHostsOwn, isOverlayMark } from "./xattrs.ts";
