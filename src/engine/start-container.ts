/** A container that was created or has ended is started (again): the same files, a plan for the machine as it is now. */
import * as fs from "node:fs";
import { VitrineError } from "../base/mod.ts";
import { ensureDefaultProfile, loadProfile } from "./apparmor.ts";
import { patienceMilliseconds } from "./containers/end.ts";
import {
  type Container,
  errorFile,
  exitFile,
  healthFile,
  restartCountFile,
  runDirectory,
  startedFile,
  stoppedFile,
} from "./containers/record.ts";
import { awaitMonitor, monitorLives, stateOf, wasStarted } from "./containers/state.ts";
import { defaults } from "./defaults.ts";
import { type Manner, planLaunch } from "./launch.ts";
import { inMonitorScope } from "./monitor-scope.ts";
import type { EngineDeps } from "./plan-run.ts";
import { readLaunch } from "./read-launch.ts";
import { requireSharedOwners } from "./shared-namespaces.ts";
import { readVolume, volumeNotFound } from "./volumes/record.ts";
import { claimState, writeState } from "./write-state.ts";

export interface PreparedStart {
  /** Absolute: what the helper executes. */
  readonly planFile: string;
  /** For when the helper could not be started. */
  readonly discard: () => void;
}

/** Errors: `container-running`, `container-record-invalid`, those of `compile`; `inspect` shows them. */
export async function prepareStart(
  container: Container,
  manner: Manner,
  deps: EngineDeps & { readonly now: () => number },
): Promise<PreparedStart> {
  try {
    return await prepare(container, manner, deps);
  } catch (error) {
    if (error instanceof VitrineError && error.code !== "container-running")
      noteReason(container, error, deps);
    throw error;
  }
}

function noteReason({ id }: Container, { message }: VitrineError, { paths }: EngineDeps): void {
  try {
    fs.writeFileSync(errorFile(paths, id), message, { mode: 0o600 });
  } catch {
    // The message counts, not the record.
  }
}

async function prepare(
  container: Container,
  manner: Manner,
  deps: EngineDeps & { readonly now: () => number },
): Promise<PreparedStart> {
  const { paths } = deps;
  const { id, name } = container;
  const { launch: made, config, origins } = readLaunch(paths, id);
  // The policy may have been changed since.
  const launch = { ...made, restart: container.restart };
  requireVolumes(container, deps);
  requireSharedOwners(paths, container);
  const again = wasStarted(paths, container);
  const input = { id, name, about: container, ids: container.ids, config, origins, launch, manner, again };
  if (config.process?.apparmorProfile === defaults.apparmor.value)
    ensureDefaultProfile({ host: deps.host, exists: deps.exists, load: loadProfile });
  const planned = await planLaunch(input, deps);
  claim(container, deps);
  const state = runDirectory(paths, id);
  try {
    for (const file of [exitFile, errorFile, restartCountFile, stoppedFile, healthFile]) {
      fs.rmSync(file(paths, id), { force: true });
    }
    fs.writeFileSync(startedFile(paths, id), String(deps.now()), { mode: 0o600 });
    const planFile = writeState(paths, { id, ...planned, files: launch.files, ids: container.ids });
    await inMonitorScope(id, config, deps);
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
  const deadline = performance.now() + patienceMilliseconds;
  const isEnding = (): boolean => monitorLives(paths, container) && performance.now() < deadline;
  for (let attempt = 0; attempt < 3 || isEnding(); attempt++) {
    if (claimState(paths, container.id)) return;
    // It has ended, and its monitor is still cleaning up; or was killed, which only a sweep mends.
    if (stateOf(paths, container).status !== "exited") break;
    awaitMonitor(paths, container, helperPath, 100);
  }
  throw new VitrineError("invalid", `container ${container.name} is running`, {
    code: "container-running",
    operand: container.name,
    hint: `vitrine restart ${container.name}, or vitrine attach ${container.name}`,
  });
}
