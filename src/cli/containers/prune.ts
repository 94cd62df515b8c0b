/** Containers that do not run, removed: for `container prune` and `system prune`. */
import {
  type Container,
  type ContainerState,
  listContainers,
  removeContainer,
  stateOf,
} from "../../engine/mod.ts";
import { treeRemover } from "../container-trees.ts";
import type { Context } from "../framework/context.ts";
import { containerSizes } from "./sizes.ts";

export interface PrunedContainers {
  readonly ids: readonly string[];
  readonly bytes: number;
}

export async function pruneContainers(
  context: Context,
  matches: (container: Container, state: ContainerState) => boolean,
): Promise<PrunedContainers> {
  const paths = context.paths();
  const sizeOf = await containerSizes(context);
  const remove = treeRemover(context);
  let bytes = 0;
  const ids: string[] = [];
  for (const container of listContainers(paths)) {
    const state = stateOf(paths, container);
    if (state.status === "running" || state.status === "restarting" || !matches(container, state)) continue;
    const { written } = sizeOf(container);
    try {
      await removeContainer(paths, container, { force: false }, remove);
    } catch (error) {
      // It was started, or removed by somebody else, meanwhile.
      context.log("debug", `${container.name}: ${String(error)}`);
      continue;
    }
    bytes += written;
    ids.push(container.id);
  }
  return { ids, bytes };
}
