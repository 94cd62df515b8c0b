/** Containers whose cgroup systemd made: the scope of a user's monitors, and what systemd is told of new limits. */
import { attachToScope, setUnitProperties, startScope } from "../../kernel/mod.ts";
import type { LinuxResources, RuntimeConfig } from "../../oci/mod.ts";
import { placeScope, resourceProperties, type SystemdPlace } from "../../runtime/mod.ts";
import { type SystemdDeps, systemdFor } from "../launch.ts";

const monitorSlice = "user.slice";
const monitorUnit = (id: string): string => `vitrine-monitor-${id}.scope`;

/**
 * A user may move processes between cgroups of their own systemd only, and a login session is not one of them: so the
 * process that becomes a monitor, which puts others into the container, begins by moving there itself. Root needs none.
 */
export async function enterMonitorScope(id: string, config: RuntimeConfig, deps: SystemdDeps): Promise<void> {
  // The host's program is not ours to move.
  if (deps.spawnsMonitor === true) return;
  const place = systemdFor(deps, config);
  if (place?.user !== true) return;
  await startScope(
    {
      pid: process.pid,
      unit: monitorUnit(id),
      socket: place.socket,
      bus: place.bus,
      controlGroup: `${place.controlGroup}/${monitorSlice}/${monitorUnit(id)}`,
      properties: [
        { name: "Description", type: "s", value: `monitor of vitrine container ${id}` },
        { name: "Slice", type: "s", value: monitorSlice },
        // Only into what is delegated may more processes be put: `joinMonitorScope`.
        { name: "Delegate", type: "b", value: true },
        { name: "CollectMode", type: "s", value: "inactive-or-failed", since: 236 },
      ],
    },
    deps.host.identity.euid,
  );
}

/** The same for a process that becomes the monitor of an `exec`. */
export async function joinMonitorScope(id: string, config: RuntimeConfig, deps: SystemdDeps): Promise<void> {
  if (deps.spawnsMonitor === true) return;
  const place = systemdFor(deps, config);
  if (place?.user !== true) return;
  const { socket, bus } = place;
  await attachToScope({ pid: process.pid, unit: monitorUnit(id), socket, bus }, deps.host.identity.euid);
}

/** Else 'systemctl daemon-reload' would bring the old limits back. */
export async function tellSystemd(
  id: string,
  cgroupsPath: string | undefined,
  resources: LinuxResources,
  place: SystemdPlace,
  deps: Pick<SystemdDeps, "host">,
): Promise<void> {
  const scope = placeScope(place, id, cgroupsPath);
  const properties = resourceProperties(resources, deps.host.cgroup.mode === "v2" ? "v2" : "v1");
  await setUnitProperties(scope, properties, deps.host.identity.euid);
}
