/** New limits for a container: kept in its config, and in force at once where it runs. */
import * as fs from "node:fs";
import { VitrineError, withLock, writeFileAtomically } from "../../base/mod.ts";
import type { HostFacts } from "../../kernel/mod.ts";
import type { LinuxResources, RuntimeConfig } from "../../oci/mod.ts";
import { applyUpdate, isScopePath, liveCgroup, mergeResources, planUpdate } from "../../runtime/mod.ts";
import { configText } from "../config-text.ts";
import { recordContainerEvent } from "../events/record.ts";
import { readConfig } from "../exec-container.ts";
import { refuseRestartOfRemoved } from "../flags/supervision.ts";
import { hostDevices, readHostFile } from "../host-files.ts";
import { launchFile, type SystemdDeps, systemdFor } from "../launch.ts";
import type { ResourceOptions, RestartPolicy } from "../options.ts";
import { readLaunch } from "../read-launch.ts";
import { limits } from "../spec/limits.ts";
import { byFlag, Notebook } from "../spec/notebook.ts";
import { policyText } from "../supervision.ts";
import { changeContainer } from "./change.ts";
import { type Container, containerDirectory, type EnginePaths, policyFile, runDirectory } from "./record.ts";
import { tellSystemd } from "./scope.ts";
import { runningProcess } from "./state.ts";

export interface UpdateDeps extends SystemdDeps {
  readonly paths: EnginePaths;
}

/** A policy of undefined is `no`. Errors: `container-not-found`, `flag-conflict`. */
export async function updateRestart(
  container: Container,
  restart: RestartPolicy | undefined,
  { paths }: Pick<UpdateDeps, "paths">,
): Promise<void> {
  refuseRestartOfRemoved(restart, container.remove);
  await changeContainer(paths, container.id, ({ restart: _, ...rest }) => ({
    ...rest,
    ...(restart === undefined ? {} : { restart }),
  }));
  // A monitor that holds it reads the policy there when its program ends.
  if (fs.existsSync(runDirectory(paths, container.id))) {
    writeFileAtomically(policyFile(paths, container.id), policyText(restart), { mode: 0o600, sync: false });
  }
}

/**
 * One command at a time. What the kernel refuses is not kept.
 * Errors: those of `limits`, `cgroup-limits-unavailable`, `cgroup-limit-refused`, …
 */
export async function updateContainer(
  container: Container,
  resources: Omit<ResourceOptions, "deviceRules">,
  deps: UpdateDeps,
): Promise<void> {
  const { paths, host } = deps;
  const { id } = container;
  await withLock(`${paths.root}/lock.db`, async () => {
    const config = readConfig(paths, id);
    const notebook = new Notebook();
    const given = changes(resources, config, host, notebook);
    const cgroup = liveCgroup(container.cgroups);
    if (cgroup.mode === "none") throw noCgroup(container);
    if (runningProcess(paths, container) !== undefined) {
      const systemd = isScopePath(config.linux?.cgroupsPath) ? systemdFor(deps, config) : undefined;
      const merged = mergeResources(config.linux?.resources, given);
      if (systemd !== undefined) await tellSystemd(id, config.linux?.cgroupsPath, merged, systemd, deps);
      applyUpdate(planUpdate({ id, cgroup, config, resources: given, host }));
    }
    keep(paths, id, config, given, notebook);
  });
  recordContainerEvent(paths, container, "update");
}

function changes(
  resources: Omit<ResourceOptions, "deviceRules">,
  config: RuntimeConfig,
  host: HostFacts,
  notebook: Notebook,
): LinuxResources {
  const present = config.linux?.resources ?? {};
  const found = limits({ resources, host, hostDevices, readHostFile, present }, notebook);
  const { pidsLimit } = resources;
  if (pidsLimit === undefined) return found;
  notebook.note("/linux/resources/pids/limit", byFlag("--pids-limit"));
  return { ...found, pids: { limit: pidsLimit <= 0n ? -1n : pidsLimit } };
}

/** The config first: origins that name a limit which is not there explain nothing. */
function keep(
  paths: EnginePaths,
  id: string,
  config: RuntimeConfig,
  given: LinuxResources,
  notebook: Notebook,
): void {
  const merged = mergeResources(config.linux?.resources, given);
  const changed: RuntimeConfig = { ...config, linux: { ...config.linux, resources: merged } };
  writeFileAtomically(`${containerDirectory(paths, id)}/config.json`, configText(changed), { mode: 0o600 });
  const file = launchFile(paths, id);
  // A container of `run --rm` in the foreground has none: it is never started again.
  if (!fs.existsSync(file)) return;
  const { launch, origins } = readLaunch(paths, id);
  const all = new Map([...origins, ...notebook.origins]);
  writeFileAtomically(file, JSON.stringify({ launch, origins: [...all] }), { mode: 0o600 });
}

function noCgroup(container: Container): VitrineError {
  return new VitrineError("unsupported", `container ${container.name} has no cgroup to limit`, {
    code: "cgroup-limits-unavailable",
    operand: container.name,
    hint: "an unprivileged user needs a delegated cgroup v2: systemd-run --user --scope -p Delegate=yes",
  });
}
