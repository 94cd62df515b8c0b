/** A container that was created or has ended is started (again): the same files, a plan for the machine as it is now. */
import * as fs from "node:fs";
import { VitrineError } from "../base/mod.ts";
import { type Container, exitFile, runDirectory, startedFile } from "./containers/record.ts";
import { awaitMonitor, monitorLives, stateOf, wasStarted } from "./containers/state.ts";
import { type Manner, planLaunch } from "./launch.ts";
import type { EngineDeps } from "./plan-run.ts";
import { readLaunch } from "./read-launch.ts";
import { readVolume, volumeNotFound } from "./volumes/record.ts";
import { claimState, writeState } from "./write-state.ts";

export interface PreparedStart {
  /** Absolute: what the helper executes. */
  readonly planFile: string;
  /** For when the helper could not be started. */
  readonly discard: () => void;
}

/** Errors: `container-running`, `container-record-invalid`, those of `compile`. */
export async function prepareStart(
  container: Container,
  manner: Manner,
  deps: EngineDeps & { readonly now: () => number },
): Promise<PreparedStart> {
  const { paths } = deps;
  const { id, name } = container;
  const { launch, config, origins } = readLaunch(paths, id);
  requireVolumes(container, deps);
  const again = wasStarted(paths, container);
  const input = { id, name, ids: container.ids, config, origins, launch, manner, again };
  const planned = await planLaunch(input, deps);
  claim(container, deps);
  const state = runDirectory(paths, id);
  try {
    fs.rmSync(exitFile(paths, id), { force: true });
    fs.writeFileSync(startedFile(paths, id), String(deps.now()), { mode: 0o600 });
    const planFile = writeState(paths, { id, ...planned, files: launch.files, ids: container.ids });
    return { planFile, discard: () => fs.rmSync(state, { recursive: true, force: true }) };
  } catch (error) {
    fs.rmSync(state, { recursive: true, force: true });
    throw error;
  }
}

/** Somebody took its directory away: an empty one in its place would hide that. */
function requireVolumes({ mounts = [] }: Container, { paths }: EngineDeps): void {
  for (const mount of mounts) {
    if (mount.kind === "volume" && readVolume(paths, mount.name) === undefined)
      throw volumeNotFound(mount.name);
  }
}

function claim(container: Container, { paths, helperPath }: EngineDeps): void {
  for (let attempt = 0; attempt < 3; attempt++) {
    if (claimState(paths, container.id)) return;
    // It has ended, and its monitor is still cleaning up.
    if (stateOf(paths, container).status === "exited") awaitMonitor(paths, container, helperPath, 10_000);
    else if (!monitorLives(paths, container)) break;
  }
  throw new VitrineError("invalid", `container ${container.name} is running`, {
    code: "container-running",
    operand: container.name,
    hint: `vitrine restart ${container.name}, or vitrine attach ${container.name}`,
  });
}
