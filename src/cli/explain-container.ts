/** `vitrine explain CONTAINER`: the plan beside what the kernel says now. */
import { type Container, findContainer, loadContainerPlan } from "../engine/mod.ts";
import { compareTruth, renderTruth, truthWishes } from "../explain/mod.ts";
import type { explainOptions } from "./commands/explain.ts";
import { printExplanation, printPlan } from "./explain-print.ts";
import type { Invocation } from "./framework/command.ts";
import { runDeps } from "./run-deps.ts";

/** Error: `container-not-found`. */
export async function explainContainer(
  { context, options }: Invocation<typeof explainOptions>,
  name: string,
): Promise<number> {
  const paths = context.paths();
  const container = findContainer(paths, name);
  const { containerPlan, containerTruth } = await loadContainerPlan();
  const { plan, used } = await containerPlan(container, runDeps(context));
  const truth =
    options.syscalls || options.defaults
      ? undefined
      : containerTruth(paths, container, plan, truthWishes(plan, container.cgroups));
  if (truth === undefined) {
    if (!options.syscalls && !options.defaults) context.err(notRunning(container, used));
    printPlan(context, plan, options);
    return 0;
  }
  const explanation = { id: container.id, name: container.name, ...compareTruth(plan, truth) };
  printExplanation(context, options.format, explanation, (width) => renderTruth(explanation, width));
  return 0;
}

function notRunning({ name }: Container, used: boolean): string {
  const what = used ? "the plan that it is started by" : "the plan that it would be started by now";
  return `note: container ${name} does not run: this is ${what}\nhint: vitrine start ${name}, then explain it again\n`;
}
