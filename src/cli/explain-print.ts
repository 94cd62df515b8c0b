/** Explanations in the format that was asked for. */
import { styles } from "../base/mod.ts";
import {
  explainPlan,
  type PlanExplanation,
  type RenderOptions,
  renderPlan,
  renderPlanJson,
} from "../explain/mod.ts";
import type { Plan } from "../kernel/mod.ts";
import type { explainOptions } from "./commands/explain.ts";
import { jsonText } from "./format/json.ts";
import type { OptionValues } from "./framework/command.ts";
import type { Context } from "./framework/context.ts";
import { compileTemplate } from "./template/mod.ts";

/** Columns need a width even in a pipe. */
const pipeWidth = 120;

/** `format`: text, json or a Go template on the value that JSON shows. */
export function printExplanation(
  context: Context,
  format: string,
  value: object,
  render: (options: RenderOptions) => string,
): void {
  const { width, color } = renderOptions(context);
  if (format === "json") context.out(`${jsonText(value, 2)}\n`);
  else if (format === "text")
    context.out(render({ color, width: Number.isFinite(width) ? width : pipeWidth }));
  else context.out(`${compileTemplate(format)(value, context.stdoutIsTerminal)}\n`);
}

type PlanFlags = Pick<OptionValues<typeof explainOptions>, "format" | "syscalls" | "defaults">;

/** A plan, as the flags of `explain` ask for it. */
export function printPlan(context: Context, plan: Plan, flags: PlanFlags): void {
  const explanation = explainPlan(plan);
  const { format, defaults: defaultsOnly } = flags;
  if (format === "json") context.out(renderPlanJson(explanation, { defaultsOnly }));
  else if (format === "text") context.out(planText(context, explanation, flags));
  else printExplanation(context, format, explanation, () => "");
}

function planText(context: Context, explanation: PlanExplanation, { syscalls, defaults }: PlanFlags): string {
  const { width, color } = renderOptions(context);
  // Calls are one a line for grep.
  const columns = !syscalls && !Number.isFinite(width) ? pipeWidth : width;
  const view = syscalls ? "syscalls" : "groups";
  return renderPlan(explanation, { width: columns, color, view, defaultsOnly: defaults });
}

/** As explain/'s renderers take them. */
export function renderOptions(context: Context): { readonly width: number; readonly color: boolean } {
  const { bold } = styles(context.environment, context.stdoutIsTerminal);
  return { width: context.terminalWidth(), color: bold("x") !== "x" };
}
