/** `vitrine explain run …`: the plan of a run that does not happen. */
import { previewRun } from "../engine/mod.ts";
import { explainPlan, renderPlan, renderPlanJson } from "../explain/mod.ts";
import { explainOptions, renderOptions } from "./commands/explain.ts";
import type { Invocation, OptionTable, OptionValues } from "./framework/command.ts";
import { missingArgument } from "./framework/dispatch.ts";
import { parseLine } from "./framework/parse.ts";
import { runDeps } from "./run-deps.ts";
import { parseRunOptions, type RunFlags, runOptionTable } from "./run-options.ts";

/** Flags of explain and of run in one table; `platform` is run's. */
const options = { ...explainOptions, ...runOptionTable } as const satisfies OptionTable;

const pipeWidth = 120;

/** `args` are those after `explain run`; flags of explain may also have stood before `run`. */
export async function explainRun(
  invocation: Invocation<typeof explainOptions>,
  args: readonly string[],
): Promise<number> {
  const { context } = invocation;
  const helpCommand = "vitrine explain --help";
  const line = parseLine(args, { options, stopAtFirstPositional: true, helpCommand });
  if (line.help) {
    const [{ renderCommand }, { command }] = await Promise.all([
      import("./framework/help.ts"),
      import("./commands/explain.ts"),
    ]);
    const entry = { name: "explain", group: "See through", summary: "Show what a run would do" } as const;
    context.out(
      renderCommand(["explain", "run"], entry, {
        ...command,
        options,
        usage: ["[OPTIONS] IMAGE [COMMAND] [ARG...]"],
      }),
    );
    return 0;
  }
  if (line.positionals.length === 0) throw missingArgument("vitrine explain run", "IMAGE", helpCommand);
  const late = line.options as OptionValues<typeof explainOptions>;
  const option = <Name extends keyof typeof explainOptions>(name: Name) =>
    line.given.has(name) ? late[name] : invocation.options[name];
  const wanted = parseRunOptions(line.options as unknown as RunFlags, {
    positionals: line.positionals,
    given: line.given,
    environment: context.environment,
    directory: process.cwd(),
  });
  const { plan, specification } = await previewRun(wanted, runDeps(context));
  const explanation = explainPlan(plan);
  const defaultsOnly = option("defaults") === true;
  if (option("format") === "json") {
    context.out(renderPlanJson(explanation, { defaultsOnly }));
    return 0;
  }
  for (const warning of specification.warnings) context.log("warn", warning);
  const view = option("syscalls") === true ? "syscalls" : "groups";
  const { width, color } = renderOptions(context);
  // Calls are one a line for grep; columns need a width even in a pipe.
  const columns = view === "groups" && !Number.isFinite(width) ? pipeWidth : width;
  context.out(renderPlan(explanation, { width: columns, color, view, defaultsOnly }));
  return 0;
}
