import * as fs from "node:fs";
import { isTerminal, VitrineError } from "../../base/mod.ts";
import { parsePullPolicy, prepareRun } from "../../engine/mod.ts";
import { becomeHelper } from "../../kernel/mod.ts";
import { sweep } from "../container-trees.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { pullingResolver } from "../pull-missing.ts";
import { runDeps } from "../run-deps.ts";
import { parseRunOptions, preserveOption, runOptionTable } from "../run-options.ts";

export const command = defineCommand({
  usage: ["[OPTIONS] IMAGE [COMMAND] [ARG...]"],
  description: `Makes a container from an image and runs one command in it, in the foreground. The exit status is the
    command's; 125 when vitrine itself fails, 126 when the command cannot be run, 127 when it is not there, 128 + N when
    signal N ended it. 'vitrine explain run' with the same arguments shows everything that would be done.`,
  options: { ...runOptionTable, ...preserveOption },
  positionals: [
    { name: "IMAGE", completion: "image" },
    { name: "COMMAND", optional: true, variadic: true, completion: "none" },
  ],
  stopAtFirstPositional: true,
  examples: [
    { command: "vitrine run --rm hello", does: "show what a container is made of" },
    { command: "vitrine run --rm -it alpine sh", does: "a shell in a container" },
    { command: 'vitrine run --rm -v "$PWD:/src:ro" -w /src alpine ls', does: "work on this directory" },
  ],
  async run({ options, positionals, given, context }) {
    const asked = parseRunOptions(options, {
      positionals,
      given,
      environment: context.environment,
      directory: process.cwd(),
    });
    const wanted = { ...asked, watched: isTerminal(1) || isTerminal(2) };
    if (wanted.tty && wanted.interactive && wanted.detach !== true && !isTerminal(0)) {
      throw new VitrineError("invalid", "the input device is not a TTY", {
        code: "stdin-not-a-terminal",
        operand: "--tty",
        hint: "leave -t out where stdin is a pipe or a file",
      });
    }
    const preserved = wanted.preserveDescriptors ?? 0;
    const become = preserved === 0 ? undefined : await import("../become.ts");
    become?.requireOpen(preserved);
    await sweep(context, 8);
    if (options.replace) await (await import("../containers/replace.ts")).replaceNamed(context, wanted.name);
    const prepared = await prepareRun(wanted, {
      ...runDeps(context),
      resolveImage: pullingResolver(context, {
        policy: parsePullPolicy(options.pull ?? "missing"),
        quiet: wanted.quiet === true,
        flags: options,
        given,
      }),
      beforeLongWork: () => {
        if (preserved === 0 && canReadAgain([...options["env-file"], ...options["label-file"]]))
          context.restart?.();
      },
    });
    if (!wanted.quiet) {
      for (const warning of prepared.run.specification.warnings) context.log("warn", warning);
      if (wanted.network === undefined) tellOfNetwork(context);
    }
    try {
      if (become === undefined) return becomeHelper(context.helperPath(), prepared.planFile);
      const words = become.runArguments(prepared.planFile, preserved);
      return await become.becomePreserving(context.helperPath(), words, preserved);
    } catch (error) {
      await prepared.discard();
      throw error;
    }
  },
});

/** A second start of this command reads its files again: a pipe has nothing left to say then. */
function canReadAgain(files: readonly string[]): boolean {
  return files.every((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true);
}

/** Said once for each store: a user who knows need not read it again. */
function tellOfNetwork(context: Context): void {
  const marker = `${context.paths().root}/told-network-none`;
  try {
    fs.writeFileSync(marker, "", { flag: "wx", mode: 0o600 });
  } catch {
    return;
  }
  context.err(
    "note: containers have no network unless you say --network host; bridge networks come with a later release (said once)\n",
  );
}
