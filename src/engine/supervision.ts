/**
 * What the monitor does beside holding a container: it writes down what happens, looks for the kernel's OOM killer, checks
 * the container's health, and runs it again. All of it is ops; nothing of JavaScript stays.
 */
import type { HostFacts, Op } from "../kernel/mod.ts";
import {
  type Container,
  type EnginePaths,
  healthAskFile,
  healthFile,
  healthPlanFile,
  oomMark,
  policyFile,
  processLink,
  restartCountFile,
  restartingFile,
  stopFile,
} from "./containers/record.ts";
import { containerEvent, eventFile, eventFileBytes, eventTail } from "./events/record.ts";
import { signalNumber } from "./flags/process.ts";
import type { HealthCheck } from "./health.ts";
import type { RestartPolicy } from "./options.ts";

export interface SupervisionInput {
  readonly paths: EnginePaths;
  readonly container: Pick<
    Container,
    "id" | "name" | "image" | "labels" | "stopSignal" | "stopTimeoutSeconds"
  >;
  readonly remove: boolean;
  readonly cgroups: readonly string[];
  readonly host: Pick<HostFacts, "cgroup">;
  readonly health?: HealthCheck | undefined;
}

/** Before `clone`. */
export function watchOps({
  paths,
  container,
  remove,
  cgroups,
  host,
  health,
}: SupervisionInput): readonly Op[] {
  const oom = oomFile(cgroups, host);
  return [
    { ...recordOp(paths, container, ""), destroys: remove },
    { op: "linkProcess", path: processLink(paths, container.id) },
    ...(oom === undefined
      ? []
      : [{ op: "countOom", file: oom, markFile: oomMark(paths, container.id) } as const]),
    ...(health === undefined ? [] : [healthOp(paths, container, health)]),
  ];
}

/** What happens to the container's program; with `exec_` to a further one. */
export function recordOp(
  paths: EnginePaths,
  container: Pick<Container, "id" | "name" | "image" | "labels">,
  prefix: "" | "exec_",
  more: Readonly<Record<string, string>> = {},
) {
  const event = containerEvent(container);
  const attributes = { ...event.attributes, ...more };
  return {
    op: "recordEvents",
    path: eventFile(paths),
    prefix,
    tail: new TextEncoder().encode(eventTail({ ...event, attributes })),
    maxBytes: BigInt(2 * eventFileBytes),
    destroys: false,
  } as const;
}

function oomFile(cgroups: readonly string[], host: Pick<HostFacts, "cgroup">): string | undefined {
  if (host.cgroup.mode === "v2") return cgroups[0] === undefined ? undefined : `${cgroups[0]}/memory.events`;
  const memory = host.cgroup.hierarchies.find(({ controllers }) => controllers.includes("memory"));
  const own = cgroups.find(
    (directory) => memory !== undefined && directory.startsWith(`${memory.mountPoint}/`),
  );
  return own === undefined ? undefined : `${own}/memory.oom_control`;
}

const actions = { none: 0, kill: 1, restart: 2, stop: 3 };

function healthNumbers(health: HealthCheck) {
  const milliseconds = (nanoseconds: number): bigint => BigInt(Math.max(1, Math.round(nanoseconds / 1e6)));
  return {
    interval: milliseconds(health.interval),
    timeout: milliseconds(health.timeout),
    startPeriod: health.startPeriod === 0 ? 0n : milliseconds(health.startPeriod),
    startInterval: milliseconds(health.startInterval),
    retries: health.retries,
    onFailure: actions[health.onFailure],
  };
}

function healthOp(paths: EnginePaths, container: SupervisionInput["container"], health: HealthCheck): Op {
  return {
    op: "healthCheck",
    plan: healthPlanFile(paths, container.id),
    stateFile: healthFile(paths, container.id),
    askFile: healthAskFile(paths, container.id),
    ...healthNumbers(health),
    stopSignal: signalNumber(container.stopSignal) ?? 15,
    stopTimeout: BigInt(container.stopTimeoutSeconds) * 1000n,
  };
}

/** For `healthSettingsFile`; undefined: there is to be no check. */
export function healthSettings(health: HealthCheck | undefined): string {
  if (health === undefined) return "0 0 0 0 0 0 0\n";
  const { interval, timeout, startPeriod, startInterval, retries, onFailure } = healthNumbers(health);
  return `${[interval, timeout, startPeriod, startInterval, retries, onFailure, 1].join(" ")}\n`;
}

// --- restarting; the decision is native/restart.c's ---

/** Cleanup, before the state of this boot goes. */
export function restartOp(
  paths: EnginePaths,
  id: string,
  policy: RestartPolicy | undefined,
  prepare: readonly string[],
): Op {
  return {
    op: "restart",
    ...policyNumbers(policy),
    policyFile: policyFile(paths, id),
    stopFile: stopFile(paths, id),
    stateFile: restartingFile(paths, id),
    countFile: restartCountFile(paths, id),
    prepare,
  };
}

export function policyText(policy: RestartPolicy | undefined): string {
  const { policy: number, retries } = policyNumbers(policy);
  return `${number} ${retries}\n`;
}

/** While its monitor lives `unless-stopped` is `always`: it is stopped by whoever stops it. */
function policyNumbers(policy: RestartPolicy | undefined): {
  readonly policy: number;
  readonly retries: number;
} {
  if (policy === undefined) return { policy: 0, retries: 0 };
  return policy.name === "on-failure"
    ? { policy: 1, retries: policy.maximumRetryCount }
    : { policy: 2, retries: 0 };
}
