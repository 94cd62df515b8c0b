/** The door of `runtime/`: config.json → plan, and the state of running containers. */
export { decideCgroup } from "./cgroup.ts";
export { compile, compileStart } from "./compile.ts";
export { originOf } from "./draft.ts";
export { gatherCgroup, gatherSourceKinds, mountPointOf } from "./gather.ts";
export { type MountOptions, parseMountOptions, propagationWord } from "./mount-options.ts";
export {
  type ContainerProcessState,
  type ExitRecord,
  isAlive,
  type RunningProcess,
  readExitFile,
  readPidFile,
  readProcessState,
} from "./state.ts";
export type * from "./types.ts";
