import * as fs from "node:fs";
import { VitrineError } from "../../base/mod.ts";
import {
  beginEnding,
  type Container,
  containerIds,
  dependantsOf,
  type EnginePaths,
  findContainer,
  idOfName,
  listContainers,
  type RemoveTree,
  removeContainer,
  removeDamaged,
  requireNoDependants,
  stateOf,
  stopContainer,
} from "../../engine/mod.ts";
import { sweep, treeRemover } from "../container-trees.ts";
import { choiceOptions } from "../containers/choice-options.ts";
import { chosenNames } from "../containers/each.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { failureOf } from "../framework/failure.ts";

export const command = defineCommand({
  description:
    "Removes containers with everything they wrote; volumes stay. One that runs is removed only with --force.",
  options: {
    all: {
      type: "boolean",
      short: "a",
      help: "remove every container that ended; with --force those that run too",
    },
    cidfile: choiceOptions.cidfile,
    filter: { type: "strings", value: "KEY=VALUE", help: choiceOptions.filter.help },
    depend: { type: "boolean", help: "also the containers that share its namespaces" },
    force: { type: "boolean", short: "f", help: "kill what runs; no error for what is not there" },
    ignore: { type: "boolean", short: "i", help: "no error for what is not there" },
    latest: { type: "boolean", short: "l", help: "remove the newest container" },
    time: {
      type: "number",
      short: "t",
      value: "SECONDS",
      help: "with --force: this long from the stop signal to SIGKILL, which otherwise comes at once",
    },
    volumes: {
      type: "boolean",
      short: "v",
      help: "remove their volumes without a name too",
    },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [{ command: "vitrine rm -f web", does: "end a container and remove it" }],
  exitCodes: { "not-found": 1, invalid: 2 },
  async run({ options, positionals, context }) {
    const paths = context.paths();
    const remove = treeRemover(context);
    await sweep(context);
    const cidfile = options.cidfile.filter((file) => !options.ignore || fs.existsSync(file));
    if (cidfile.length < options.cidfile.length && cidfile.length + positionals.length === 0) return 0;
    const named = options.all
      ? allOf(paths, options.force)
      : chosenNames(context, positionals, { latest: options.latest, filter: options.filter, cidfile });
    const wanted = options.depend ? withDependants(paths, named) : named;
    if (options.force && options.time !== undefined) stopGently(context, there(paths, wanted), options.time);
    else if (options.force && wanted.length > 1) beginEnding(paths, there(paths, wanted));
    let status = 0;
    // One that fails does not keep the others from being removed.
    for (const name of wanted) {
      try {
        if (!options.force && !options.depend && !options.all) keepForDependants(paths, name);
        await removeOne(paths, name, options, remove);
        context.out(`${name}\n`);
      } catch (error) {
        const missing = error instanceof VitrineError && error.code === "container-not-found";
        if (missing && (options.ignore || options.force)) continue;
        const failure = failureOf(error, context.globals.debug, command);
        context.err(failure.text);
        status = failure.status;
      }
    }
    return status;
  },
});

/** They go first. */
function withDependants(paths: EnginePaths, names: readonly string[]): readonly string[] {
  const all = there(paths, names).flatMap((container) => [
    ...withDependants(
      paths,
      dependantsOf(paths, container).map(({ id }) => id),
    ),
    container.id,
  ]);
  return [...new Set([...all, ...names.filter((name) => there(paths, [name]).length === 0)])];
}

function keepForDependants(paths: EnginePaths, name: string): void {
  for (const container of there(paths, [name])) requireNoDependants(paths, container);
}

function there(paths: EnginePaths, names: readonly string[]): readonly Container[] {
  return names.flatMap((name) => {
    try {
      return findContainer(paths, name);
    } catch {
      // Told when its turn comes.
      return [];
    }
  });
}

function stopGently(context: Context, containers: readonly Container[], timeoutSeconds: number): void {
  const deps = { paths: context.paths(), helperPath: context.helperPath() };
  for (const container of containers) stopContainer(container, { timeoutSeconds }, deps);
}

function allOf(paths: EnginePaths, running: boolean): readonly string[] {
  const known = listContainers(paths);
  const ids = new Set(known.map(({ id }) => id));
  const damaged = containerIds(paths).filter((id) => !ids.has(id));
  return known
    .filter((container) => running || !["running", "restarting"].includes(stateOf(paths, container).status))
    .map(({ name }) => name)
    .concat(damaged);
}

async function removeOne(
  paths: EnginePaths,
  name: string,
  { force, volumes }: { readonly force: boolean; readonly volumes: boolean },
  remove: RemoveTree,
): Promise<void> {
  try {
    await removeContainer(paths, findContainer(paths, name), { force, volumes }, remove);
  } catch (error) {
    const damaged = error instanceof VitrineError && error.code === "container-record-invalid";
    if (!damaged) throw error;
    const held = idOfName(paths, name);
    const ids = held === undefined ? containerIds(paths).filter((id) => id.startsWith(name)) : [held];
    if (ids.length !== 1) throw error;
    await removeDamaged(paths, ids[0]!, remove, force);
  }
}
