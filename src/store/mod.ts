export { applyOptions } from "./apply.ts";
export { openArtifacts } from "./artifact-door.ts";
export type { ArtifactUsage } from "./artifact-layout.ts";
export type { ArtifactStore, StoredArtifact } from "./artifacts.ts";
export { probeOverlay } from "./driver.ts";
export { openStore } from "./store.ts";
export type * from "./types.ts";
export { prepareStore } from "./version.ts";
