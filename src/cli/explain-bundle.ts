/** `vitrine explain --bundle DIR`: what vitrine-runtime would do with a bundle, with nothing done. */
import * as fs from "node:fs";
import * as path from "node:path";
import { probeHost } from "../kernel/mod.ts";
import { type CompiledBundle, compileBundle } from "../runtime/mod.ts";
import type { explainOptions } from "./commands/explain.ts";
import { printPlan } from "./explain-print.ts";
import type { Invocation } from "./framework/command.ts";
import type { Context } from "./framework/context.ts";

/** A container of this id would be made: it names the cgroup where the bundle does not. */
export const bundleContainerId = "bundle";

/** As `vitrine-runtime run` in a terminal's foreground. Errors: those of `compileBundle`. */
export function planBundle(bundle: string, context: Context): Promise<CompiledBundle> {
  return compileBundle(
    {
      id: bundleContainerId,
      bundle: path.resolve(bundle),
      root: `${context.paths().runroot}-runtime`,
      waits: false,
      detach: false,
      noPivot: false,
      keepKeyring: false,
      preserveDescriptors: 0,
      environment: [],
      reportFailure: [],
    },
    { facts: probeHost(), now: context.now },
  );
}

/** A path with a slash that has a config.json is a bundle; a name never is. */
export function isBundle(text: string): boolean {
  return text.includes("/") && fs.existsSync(path.join(text, "config.json"));
}

export async function explainBundle({
  context,
  options,
}: Invocation<typeof explainOptions>): Promise<number> {
  const { plan, warnings } = await planBundle(options.bundle!, context);
  for (const warning of warnings) context.log("warn", warning);
  printPlan(context, plan, options);
  return 0;
}
