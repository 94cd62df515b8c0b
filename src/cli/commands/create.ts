import { parsePullPolicy, prepareRun } from "../../engine/mod.ts";
import { sweep } from "../container-trees.ts";
import { defineCommand } from "../framework/command.ts";
import { pullingResolver } from "../pull-missing.ts";
import { runDeps } from "../run-deps.ts";
import { runOptionTable } from "../run-flags.ts";
import { parseRunOptions } from "../run-options.ts";

export const command = defineCommand({
  usage: ["[OPTIONS] IMAGE [COMMAND] [ARG...]"],
  description: "Makes a container as 'vitrine run' does, without starting it, and prints its id.",
  options: runOptionTable,
  positionals: [
    { name: "IMAGE", completion: "image" },
    { name: "COMMAND", optional: true, variadic: true, completion: "none" },
  ],
  stopAtFirstPositional: true,
  examples: [{ command: "vitrine create --name web alpine httpd -f", does: "to be started later" }],
  async run({ options, positionals, given, context }) {
    const wanted = parseRunOptions(options, {
      positionals,
      given,
      environment: context.environment,
      directory: process.cwd(),
    });
    await sweep(context, 8);
    if (options.replace) await (await import("../containers/replace.ts")).replaceNamed(context, wanted.name);
    const resolveImage = pullingResolver(context, {
      policy: parsePullPolicy(options.pull ?? "missing"),
      quiet: wanted.quiet === true,
      flags: options,
      given,
    });
    const { run } = await prepareRun(wanted, { ...runDeps(context), resolveImage }, { starts: false });
    if (!wanted.quiet) {
      for (const warning of run.specification.warnings) context.log("warn", warning);
    }
    context.out(`${run.id}\n`);
  },
});
