import { VitrineError } from "../../base/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { renderCommand, renderGroup, renderOverview } from "../framework/help.ts";
import { nearest } from "../framework/nearest.ts";
import { findEntry, registry } from "../registry.ts";

export const command = defineCommand({
  options: {},
  positionals: [{ name: "COMMAND", optional: true, variadic: true, completion: "command" }],
  async run({ positionals, context }) {
    const [name, subname] = positionals;
    if (name === undefined) {
      context.out(renderOverview());
      return;
    }
    const entry = findEntry(registry, name);
    if (entry === undefined)
      throw unknown(
        name,
        registry.map((candidate) => candidate.name),
      );
    if (entry.subcommands === undefined) {
      context.out(renderCommand([name], entry, (await entry.load!()).command));
      return;
    }
    if (subname === undefined) {
      context.out(renderGroup(entry));
      return;
    }
    const subentry = findEntry(entry.subcommands, subname);
    if (subentry === undefined)
      throw unknown(
        subname,
        entry.subcommands.map((candidate) => candidate.name),
      );
    context.out(renderCommand([name, subname], subentry, (await subentry.load!()).command));
  },
});

function unknown(name: string, names: readonly string[]): VitrineError {
  const close = nearest(name, names);
  return new VitrineError("invalid", `unknown command: ${name}`, {
    code: "unknown-command",
    operand: name,
    hint: close === undefined ? "see 'vitrine --help'" : `did you mean '${close}'?`,
  });
}
