/** The door of `api/`: the machine that every door opens on. The library's own door is library/mod.ts. */
export { chooseMachineIds } from "./machine/ids.ts";
export type { CgroupManager, LogLevel, Machine, StatePaths, StorageDriver } from "./machine/machine.ts";
export {
  type PullEnds,
  type Pulled,
  type PullWatch,
  type PullWishes,
  pullByName,
  pullReference,
} from "./machine/pull.ts";
export { isUnanswered, type PullPolicy, pullingResolver, type Resolver } from "./machine/pull-missing.ts";
export { resolveImage } from "./machine/resolve.ts";
export { runDeps } from "./machine/run-deps.ts";
export { openMachineStore } from "./machine/storage.ts";
export { requireKnownFormat, sweep, sweepNamed, sweepUnused, treeRemover } from "./machine/trees.ts";
