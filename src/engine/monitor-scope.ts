import type { RuntimeConfig } from "../oci/mod.ts";
import { isScopePath } from "../runtime/mod.ts";
import type { SystemdDeps } from "./launch.ts";

/** Before this process becomes a monitor: see `enterMonitorScope`. Loaded where systemd made the cgroup. */
export async function inMonitorScope(id: string, config: RuntimeConfig, deps: SystemdDeps): Promise<void> {
  if (!isScopePath(config.linux?.cgroupsPath)) return;
  const { enterMonitorScope } = await import("./containers/scope.ts");
  await enterMonitorScope(id, config, deps);
}
