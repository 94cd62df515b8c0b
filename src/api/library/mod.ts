/** `import { … } from "vitrine"`: containers, images and registries for programs, on node and bun. See docs/api.md. */
export { type ErrorKind, VitrineError } from "../../base/mod.ts";
export type { ContainerState, LogEntry } from "../../engine/mod.ts";
export type { ExplainedOp, ExplainedOrigin, PlanExplanation } from "../../explain/mod.ts";
export { type Registry, type RegistryOptions, startRegistry } from "../../registry/mod.ts";
export type { LogLevel, StorageDriver } from "../machine/machine.ts";
export type { PullPolicy } from "../machine/pull-missing.ts";
export {
  type CollectSettings,
  Container,
  type ContainerDescription,
  type ExecSettings,
  type LogSettings,
} from "./container.ts";
export { Engine, openEngine, output, run } from "./engine.ts";
export { Images, type ImportSettings, type PullSettings, type RegistrySettings } from "./images.ts";
export type { EngineOptions } from "./machine.ts";
export { ContainerProcess, type Input, type Output } from "./process.ts";
export type { RunSettings, Size } from "./settings.ts";
