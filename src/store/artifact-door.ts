/** What `run` never needs is loaded on use. */
import type { ArtifactStore } from "./artifacts.ts";

/** The artifacts of ROOT. */
export async function openArtifacts(root: string): Promise<ArtifactStore> {
  return (await import("./artifacts.ts")).openArtifacts(root);
}
