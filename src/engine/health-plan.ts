/** The plan that the monitor runs to check a container's health. */
import type { HostFacts, Plan } from "../kernel/mod.ts";
import type { RuntimeConfig } from "../oci/mod.ts";
import { bornAmong, compileExec } from "../runtime/mod.ts";
import { containerDirectory, processLink, runDirectory } from "./containers/record.ts";
import type { EngineDeps } from "./plan-run.ts";

export interface HealthPlanInput {
  readonly id: string;
  readonly config: RuntimeConfig;
  readonly args: readonly string[];
  readonly cgroups: readonly string[];
  /** The container's user namespace has given up setgroups(2). */
  readonly setgroupsDenied: boolean;
}

/** An `exec` whose output and exit status are the monitor's to judge. */
export async function planHealthCheck(input: HealthPlanInput, deps: EngineDeps): Promise<Plan> {
  const { id, config, args } = input;
  const { paths, host } = deps;
  const process = config.process!;
  const { consoleSize: _size, ...base } = process;
  const seccomp = config.linux?.seccomp;
  return compileExec({
    config,
    process: { ...base, args, terminal: false },
    host,
    container: {
      id,
      bundle: containerDirectory(paths, id),
      stateDirectory: runDirectory(paths, id),
      stdin: "null",
      // A signal is for the helper, which then kills its program.
      forwardSignals: false,
      reportFailure: [],
      removeTrees: [],
    },
    cgroup: cgroupOf(input.cgroups, host),
    ...bornAmong(input.cgroups, host),
    pid: 0,
    processDirectory: processLink(paths, id),
    dieWithMonitor: true,
    namespaces: (config.linux?.namespaces ?? []).map(({ type }) => type),
    setgroupsDenied: input.setgroupsDenied,
    ...(seccomp === undefined ? {} : { seccompFilter: await deps.seccomp.compile(seccomp) }),
  });
}

/** Where a further process of the container is counted. */
export function cgroupOf(
  [cgroup]: readonly string[],
  host: HostFacts,
): Parameters<typeof compileExec>[0]["cgroup"] {
  if (cgroup === undefined) return { mode: "none", reason: "the container has none" };
  return host.cgroup.mode === "v2" ? { mode: "v2", root: cgroup, path: "/" } : { mode: "v1", path: cgroup };
}
