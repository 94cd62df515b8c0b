/** Another health check for a container: kept for its next starts, and in force at once where its monitor has one. */
import * as fs from "node:fs";
import { VitrineError, withLock, writeFileAtomically } from "../../base/mod.ts";
import { encodePlan } from "../../kernel/mod.ts";
import { recordContainerEvent } from "../events/record.ts";
import { changedHealthCheck, type HealthCheck } from "../health.ts";
import { launchFile, planLaunch } from "../launch.ts";
import type { HealthOptions } from "../options.ts";
import type { EngineDeps } from "../plan-run.ts";
import { readLaunch } from "../read-launch.ts";
import { healthSettings } from "../supervision.ts";
import { askMonitor } from "./ask-health.ts";
import { changeContainer } from "./change.ts";
import { type Container, healthAskFile, healthPlanFile, healthSettingsFile } from "./record.ts";
import { runningProcess } from "./state.ts";

/**
 * A line for the user where it is in force only from the next start on. Errors: `health-check-missing`,
 * `health-check-fixed`, `container-not-found`.
 */
export async function updateHealth(
  container: Container,
  asked: HealthOptions,
  deps: EngineDeps,
): Promise<string | undefined> {
  const { paths } = deps;
  const { before, after } = await keep(container, asked, deps);
  await changeContainer(paths, container.id, ({ healthcheck: _, ...rest }) => ({
    ...rest,
    ...(after === undefined ? {} : { healthcheck: true }),
  }));
  recordContainerEvent(paths, container, "update");
  if (runningProcess(paths, container) === undefined) return undefined;
  if (!fs.existsSync(healthAskFile(paths, container.id))) {
    if (after === undefined) return undefined;
    return `container ${container.name} was started without a health check: it has this one from its next start on`;
  }
  await tellMonitor(container, before, after, deps);
  return undefined;
}

interface Change {
  readonly before: HealthCheck | undefined;
  readonly after: HealthCheck | undefined;
}

function keep(container: Container, asked: HealthOptions, { paths }: EngineDeps): Promise<Change> {
  const file = launchFile(paths, container.id);
  return withLock(`${paths.root}/lock.db`, () => {
    if (!fs.existsSync(file)) throw fixed(container);
    const { launch, origins } = readLaunch(paths, container.id);
    const { health: before, ...rest } = launch;
    const after = changedHealthCheck(before, asked);
    if (after === undefined && asked.disabled !== true) throw missing(container);
    const changed = { ...rest, ...(after === undefined ? {} : { health: after }) };
    writeFileAtomically(file, JSON.stringify({ launch: changed, origins: [...origins] }), { mode: 0o600 });
    return { before, after };
  });
}

/** First the plan of the check, then how often it is run, then the word that there is something to read. */
async function tellMonitor(
  container: Container,
  before: HealthCheck | undefined,
  after: HealthCheck | undefined,
  deps: EngineDeps,
): Promise<void> {
  const { paths } = deps;
  const { id } = container;
  const how = { mode: 0o600, sync: false };
  if (after !== undefined && JSON.stringify(before?.args) !== JSON.stringify(after.args)) {
    const plan = await checkPlan(container, deps);
    if (plan !== undefined) writeFileAtomically(healthPlanFile(paths, id), encodePlan(plan), how);
  }
  writeFileAtomically(healthSettingsFile(paths, id), healthSettings(after), how);
  askMonitor(paths, container, "u");
}

async function checkPlan(container: Container, deps: EngineDeps) {
  const { id, name, ids } = container;
  const { launch, config, origins } = readLaunch(deps.paths, id);
  const manner = { kind: "detached", announce: "" } as const;
  const input = { id, name, about: container, ids, config, origins, launch, manner, again: true };
  return (await planLaunch(input, deps)).healthPlan;
}

function missing({ name }: Container): VitrineError {
  return new VitrineError("invalid", `container ${name} has no health check to change`, {
    code: "health-check-missing",
    operand: name,
    hint: `give its command: vitrine update --health-cmd COMMAND ${name}`,
  });
}

function fixed({ name }: Container): VitrineError {
  return new VitrineError(
    "unsupported",
    `container ${name} goes when its command ends, and is checked as it was started`,
    {
      code: "health-check-fixed",
      operand: name,
      hint: "start it without --rm, or with --detach",
    },
  );
}
