/** Commands that take several containers: one that fails does not keep the others from being served. */
import * as fs from "node:fs";
import { errnoOf, VitrineError } from "../../base/mod.ts";
import {
  type Container,
  conflict,
  findContainer,
  listContainers,
  monitorLives,
  stateOf,
} from "../../engine/mod.ts";
import type { Context } from "../framework/context.ts";
import { failureOf } from "../framework/failure.ts";
import { containerFilter } from "./filters.ts";

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
  /** Files with the id of one. */
  readonly cidfile?: readonly string[];
  readonly filter?: readonly string[];
}

/**
 * The containers that are meant: by name or in a file, all that `which` says, those of a filter among them, or the newest.
 * Errors: `container-missing`, `cidfile-unreadable`, `filter-invalid`, `flag-conflict`.
 */
export function chosenNames(
  context: Context,
  positionals: readonly string[],
  { all, latest, cidfile = [], filter = [] }: Chosen,
  which: (container: Container) => boolean = () => true,
): readonly string[] {
  const paths = context.paths();
  const names = cidfile.length === 0 ? positionals : [...positionals, ...cidfile.map(idInFile)];
  if (filter.length > 0) {
    if (names.length > 0) throw conflict("--filter", "--filter chooses the containers itself", "name none");
    const matches = containerFilter(filter, paths, context.now());
    return listContainers(paths)
      .filter((container) => which(container) && matches(container, stateOf(paths, container)))
      .map(({ id }) => id);
  }
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

export function isThere(context: Context, name: string): boolean {
  try {
    findContainer(context.paths(), name);
    return true;
  } catch (error) {
    if (!(error instanceof VitrineError) || error.code !== "container-not-found") throw error;
    return false;
  }
}

function idInFile(file: string): string {
  try {
    return fs.readFileSync(file, "utf8").split("\n", 1)[0]!.trim();
  } catch (cause) {
    throw new VitrineError("not-found", `cannot read ${JSON.stringify(file)}: ${errnoOf(cause)}`, {
      code: "cidfile-unreadable",
      operand: "--cidfile",
      hint: "'vitrine run --cidfile FILE' writes it",
      cause,
    });
  }
}

export function isRunning(context: Context): (container: Container) => boolean {
  return (container) => monitorLives(context.paths(), container);
}
