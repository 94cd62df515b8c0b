/** Commands that take several containers: one that fails does not keep the others from being served. */
import { VitrineError } from "../../base/mod.ts";
import { type Container, findContainer, listContainers, monitorLives, stateOf } from "../../engine/mod.ts";
import type { Context } from "../framework/context.ts";
import { failureOf } from "../framework/failure.ts";

/** Calls `body` with each, as it was named. Failures are told; the status is that of the last one. */
export async function eachContainer(
  context: Context,
  names: readonly string[],
  body: (container: Container, name: string) => Promise<void> | void,
): Promise<number> {
  let status = 0;
  for (const name of names) {
    try {
      await body(findContainer(context.paths(), name), name);
    } catch (error) {
      const failure = failureOf(error, context.globals.debug);
      context.err(failure.text);
      status = failure.status;
    }
  }
  return status;
}

export interface Chosen {
  readonly all?: boolean;
  readonly latest?: boolean;
}

/** The containers that are meant: by name, all that `which` says, or the newest. Error: `container-missing`. */
export function chosenNames(
  context: Context,
  names: readonly string[],
  { all, latest }: Chosen,
  which: (container: Container) => boolean = () => true,
): readonly string[] {
  const paths = context.paths();
  if (all === true) {
    return listContainers(paths)
      .filter(which)
      .map(({ id }) => id);
  }
  if (latest === true) {
    const [newest] = [...listContainers(paths)].sort((left, right) => right.created - left.created);
    return newest === undefined ? [] : [newest.id];
  }
  if (names.length > 0) return names;
  throw new VitrineError("invalid", "there is no container named", {
    code: "container-missing",
    hint: "give a container's name or id; see 'vitrine ps --all'",
  });
}

export function isRunning(context: Context): (container: Container) => boolean {
  return (container) => monitorLives(context.paths(), container);
}

export function isExited(context: Context): (container: Container) => boolean {
  return (container) => stateOf(context.paths(), container).status === "exited";
}
