/** Are the containers' records whole? Damage of a container is mended only by removing it, which has to be asked for. */
import * as fs from "node:fs";
import type { Finding } from "../../store/mod.ts";
import { readConfig } from "../exec-container.ts";
import { readLaunch } from "../read-launch.ts";
import { claimName, idOfName } from "./names.ts";
import {
  type Container,
  containerDirectory,
  containerIds,
  type EnginePaths,
  readContainer,
  runDirectory,
  runningIds,
} from "./record.ts";
import { removeDamaged } from "./remove.ts";
import { monitorLives, stateOf } from "./state.ts";
import { type RemoveTree, sweepLost } from "./sweep.ts";

export interface ContainerCheck {
  readonly repair: boolean;
  /** Remove containers that cannot be used any more. */
  readonly force: boolean;
}

/** `layersThere` tells whether those of a container are unpacked; `unpack` brings them back, or throws. */
export interface CheckDeps {
  readonly paths: EnginePaths;
  readonly removeTree: RemoveTree;
  readonly now: () => number;
  readonly layersThere: (container: Container) => Promise<boolean>;
  readonly unpack: (container: Container) => Promise<void>;
}

export async function checkContainers(options: ContainerCheck, deps: CheckDeps): Promise<readonly Finding[]> {
  const { paths, removeTree } = deps;
  const findings: Finding[] = [];
  const report = async (
    found: Omit<Finding, "repairable" | "repaired">,
    mend?: () => Promise<void>,
  ): Promise<void> => {
    const repaired = options.repair && mend !== undefined;
    if (repaired) await mend();
    findings.push({ ...found, repairable: mend !== undefined, repaired });
  };
  const remove = (id: string) => (options.force ? () => removeDamaged(paths, id, removeTree) : undefined);
  for (const id of containerIds(paths)) {
    const object = `container ${id.slice(0, 12)}`;
    const container = readContainer(paths, id);
    if (container === undefined) {
      const problem = "its record is missing or damaged";
      await report({ kind: "container", object, problem, remedy: removal(options, id) }, remove(id));
      continue;
    }
    const broken = brokenFile(paths, container);
    if (broken !== undefined) {
      const problem = `its ${broken} is missing or damaged`;
      await report({ kind: "container", object, problem, remedy: removal(options, id) }, remove(id));
      continue;
    }
    if (idOfName(paths, container.name) !== id) {
      const problem = `its name ${container.name} does not lead to it`;
      const free = idOfName(paths, container.name) === undefined;
      const remedy = free
        ? "the name is given back to it"
        : `another has it: vitrine rename ${id.slice(0, 12)} NAME`;
      await report(
        { kind: "name", object, problem, remedy },
        free ? () => claimName(paths, id, container.name) : undefined,
      );
    }
    if (container.imageId === "" || (await deps.layersThere(container))) continue;
    await report(
      {
        kind: "container",
        object,
        problem: "layers of its image are missing",
        remedy: "they are unpacked again",
      },
      () => deps.unpack(container),
    );
  }
  await checkNames(paths, report);
  await checkState(deps, report);
  return findings;
}

type Report = (found: Omit<Finding, "repairable" | "repaired">, mend?: () => Promise<void>) => Promise<void>;

function removal({ force }: ContainerCheck, id: string): string {
  return force ? "it is removed" : `--force removes it, as vitrine rm --force ${id.slice(0, 12)} does`;
}

/** What a start or an exec needs. */
function brokenFile(paths: EnginePaths, container: Container): string | undefined {
  try {
    readConfig(paths, container.id);
  } catch {
    return "config.json";
  }
  // One that `run --rm` made is never started again; one that is being made has none yet.
  if (!fs.existsSync(`${containerDirectory(paths, container.id)}/launch.json`)) {
    return container.remove || monitorLives(paths, container) ? undefined : "launch.json";
  }
  try {
    readLaunch(paths, container.id);
    return undefined;
  } catch {
    return "launch.json";
  }
}

async function checkNames(paths: EnginePaths, report: Report): Promise<void> {
  const directory = `${paths.root}/names`;
  for (const name of fs.existsSync(directory) ? fs.readdirSync(directory) : []) {
    const id = idOfName(paths, name);
    if (id !== undefined && fs.existsSync(containerDirectory(paths, id))) continue;
    const problem = "the container that it names is gone";
    await report({ kind: "name", object: `names/${name}`, problem, remedy: "it is free again" }, async () => {
      fs.rmSync(`${directory}/${name}`, { recursive: true, force: true });
    });
  }
}

async function checkState({ paths, removeTree, now }: CheckDeps, report: Report): Promise<void> {
  for (const id of runningIds(paths)) {
    const container = readContainer(paths, id);
    const orphan = !fs.existsSync(containerDirectory(paths, id));
    const lost = container !== undefined && !monitorLives(paths, container);
    if (!orphan && !lost) continue;
    const was = container === undefined ? "" : `, its container is ${stateOf(paths, container).status}`;
    const problem = orphan ? "state of a container that is gone" : `whoever held it is gone${was}`;
    await report(
      { kind: "state", object: runDirectory(paths, id), problem, remedy: "it is cleaned up" },
      async () => {
        if (orphan) await removeTree(runDirectory(paths, id), undefined);
        else await sweepLost(paths, removeTree, now());
      },
    );
  }
}
