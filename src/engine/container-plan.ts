/** The plan of a container that is there: the one it was started by, or that it would be started by now. */
import * as fs from "node:fs";
import type { Plan } from "../kernel/mod.ts";
import { type Container, runDirectory } from "./containers/record.ts";
import { joinPlan } from "./failure-record.ts";
import { planLaunch } from "./launch.ts";
import type { EngineDeps } from "./plan-run.ts";
import { readLaunch } from "./read-launch.ts";

export interface ContainerPlan {
  readonly plan: Plan;
  /** False: made anew from config.json, for the machine as it is now. */
  readonly used: boolean;
}

/** Nothing is written. Errors: `container-record-invalid`, those of `compile`. */
export async function containerPlan(container: Container, deps: EngineDeps): Promise<ContainerPlan> {
  const state = runDirectory(deps.paths, container.id);
  const started = readTogether(`${state}/plan`, `${state}/reasons.json`);
  if (started !== undefined) return { plan: joinPlan(...started), used: true };
  const { id, name, ids } = container;
  const { launch, config, origins } = readLaunch(deps.paths, id);
  const manner = { kind: "detached", announce: "" } as const;
  const input = { id, name, about: container, ids, config, origins, launch, manner, again: true };
  return { plan: (await planLaunch(input, deps)).plan, used: false };
}

/** Its monitor takes both away when it ends. */
function readTogether(plan: string, reasons: string): [Uint8Array, string] | undefined {
  try {
    return [fs.readFileSync(plan), fs.readFileSync(reasons, "utf8")];
  } catch {
    return undefined;
  }
}
