/** `vitrine explain run …`: the plan of a run that does not happen. */
import { previewRun } from "../engine/mod.ts";
import { explainOptions } from "./commands/explain.ts";
import { printPlan } from "./explain-print.ts";
import type { Invocation, OptionTable, OptionValues } from "./framework/command.ts";
import { missingArgument } from "./framework/dispatch.ts";
import { parseLine } from "./framework/parse.ts";
import { runDeps } from "./run-deps.ts";
import { parseRunOptions, preserveOption, type RunFlags, runOptionTable } from "./run-options.ts";

/** Flags of explain and of run in one table; `platform` is run's. */
const options = { ...explainOptions, ...runOptionTable, ...preserveOption } as const satisfies OptionTable;

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
  const format = option("format") as string;
  if (format === "text") for (const warning of specification.warnings) context.log("warn", warning);
  printPlan(context, plan, {
    format,
    syscalls: option("syscalls") === true,
    defaults: option("defaults") === true,
  });
  return 0;
}
