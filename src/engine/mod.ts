/** The door of `engine/`: containers as users know them. */

export { askHealth } from "./containers/ask-health.ts";
export type { AskedFor } from "./containers/asked.ts";
export { leaveToMonitor, renameContainer } from "./containers/change.ts";
export { type EndDeps, notRunning, signalContainer, stopContainer } from "./containers/end.ts";
export { findContainer } from "./containers/find.ts";
export { type Health, type HealthResult, readHealth } from "./containers/health.ts";
export { type LogEntry, LogReader, logTime } from "./containers/log.ts";
export { idOfName, nameWords } from "./containers/names.ts";
export { pauseContainer, paused, unpauseContainer } from "./containers/pause.ts";
export { containerProcesses } from "./containers/processes.ts";
export {
  attachSocket,
  type Container,
  containerDirectory,
  containerIds,
  type EnginePaths,
  errorFile,
  exitFile,
  listContainers,
  logFile,
  oomMark,
  runDirectory,
} from "./containers/record.ts";
export {
  beginEnding,
  dependantsOf,
  removeContainer,
  removeDamaged,
  requireNoDependants,
} from "./containers/remove.ts";
export {
  type ContainerState,
  comesBack,
  isPaused,
  lastExit,
  monitorLives,
  monitorOf,
  restartCount,
  runningProcess,
  startedAt,
  stateOf,
  statusOf,
  wasStopped,
} from "./containers/state.ts";
export { type Survey, surveyContainers } from "./containers/survey.ts";
export { type RemoveTree, sweepLost } from "./containers/sweep.ts";
export { updateContainer, updateRestart } from "./containers/update.ts";
export { updateHealth } from "./containers/update-health.ts";
export { type CpuTime, cpuPercent, type Usage, UsageLook } from "./containers/usage.ts";
export { awaitCondition, awaitExit, isEnd, type WaitCondition, waitConditions } from "./containers/wait.ts";
export type { Default } from "./defaults.ts";
export { EventReader, type RecordedEvent } from "./events/read.ts";
export { type EngineEvent, eventFile, recordContainerEvent, recordEvent } from "./events/record.ts";
export { type ExecOptions, prepareExec, readConfig } from "./exec-container.ts";
export { joinPlan } from "./failure-record.ts";
export { badValue, conflict, unsupportedFlag } from "./flags/bad-flag.ts";
export { parseCapabilities } from "./flags/capabilities.ts";
export {
  parseEnvironment,
  parseLabels,
  parsePairs,
  readEnvironmentFile,
} from "./flags/environment.ts";
export { parseMount } from "./flags/mount-flag.ts";
export { parseTmpfs, parseVolume, parseVolumesFrom } from "./flags/mounts.ts";
export {
  chooseUserNamespaceMode,
  parseIpcMode,
  parseNamespaceMode,
  parseNetworkMode,
} from "./flags/namespaces.ts";
export {
  parseEntrypoint,
  parseHostname,
  parseName,
  parsePidFile,
  parsePlatform,
  parsePullPolicy,
  parseSignal,
  parseSysctl,
  parseUlimit,
} from "./flags/process.ts";
export {
  parseAddHost,
  parseDevice,
  parseDeviceRule,
  parseDns,
  parseDnsWord,
  parseExpose,
  parseSecurityOptions,
} from "./flags/security.ts";
export {
  parseBytes,
  parseBytesOrUnlimited,
  parseCgroupSetting,
  parseDeviceRate,
  parseDeviceWeight,
  parseInteger,
  parseNanoCpus,
  parseNumberList,
  parseOctal,
} from "./flags/sizes.ts";
export { parseDescriptorCount, parseDetachKeys, parseLog } from "./flags/streams.ts";
export {
  parseHealth,
  parseRestartPolicy,
  parseTimeout,
  refuseRestartOfRemoved,
} from "./flags/supervision.ts";
export { parseTimezone } from "./flags/timezone.ts";
export { chooseIds, type IdChoice } from "./id-maps.ts";
export type { Launch, Manner } from "./launch.ts";
export type * from "./options.ts";
export type { EngineDeps, RootSource, RunPlan, SeccompService } from "./plan-run.ts";
export { type PreparedRun, prepareRun, previewRun, type RunDeps } from "./prepare-run.ts";
export { readLaunch } from "./read-launch.ts";
export { makeSeccompService } from "./seccomp.ts";
export type { KeptMount } from "./spec/user-mounts.ts";
export type { Specification } from "./spec.ts";
export { type PreparedStart, prepareStart } from "./start-container.ts";
export { createVolume, type VolumeRequest } from "./volumes/create.ts";
export {
  findVolume,
  isVolumeName,
  listVolumes,
  readVolume,
  type Volume,
  volumeData,
  volumeNames,
} from "./volumes/record.ts";
export { pruneVolumes, removeVolume, sweepVolumes, usedVolumes, volumeUsers } from "./volumes/remove.ts";
export { volumeSize } from "./volumes/size.ts";

/** For `why`. */
export const loadProbe = () => import("./probe-container.ts");

/** For `explain`. */
export const loadContainerPlan = async () => ({
  ...(await import("./container-plan.ts")),
  ...(await import("./container-truth.ts")),
});

/** Archives of volumes. */
export const loadVolumeArchives = () => import("./volumes/archive.ts");

/** The files of containers, for the commands that need them: cp, diff, export, commit. */
export const loadFiles = () => import("./files/files.ts");
/** What `top` tells of processes. */
export const loadDescriptors = () => import("./containers/descriptors.ts");

/** For `system check`. */
export const loadCheck = () => import("./containers/check.ts");
