import { styles, VitrineError } from "../../base/mod.ts";
import { explainImage, renderImage } from "../../explain/mod.ts";
import { hostPlatform, parsePlatform } from "../../image/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand, type Invocation, type OptionTable, type OptionValues } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { parseLine } from "../framework/parse.ts";
import { resolveImage } from "../images/resolve.ts";

export const explainOptions = {
  format: {
    type: "string",
    value: "FORMAT",
    choices: ["text", "json"],
    default: "text",
    help: "text or json",
  },
  syscalls: { type: "boolean", help: "run: the kernel calls in their order, not grouped" },
  defaults: { type: "boolean", help: "run: only what no flag and no image asked for" },
  platform: { type: "string", value: "OS/ARCH", help: "IMAGE: this platform of it" },
} as const satisfies OptionTable;

export const command = defineCommand({
  usage: ["run [OPTIONS] [RUN OPTIONS] IMAGE [COMMAND] [ARG...]", "[OPTIONS] IMAGE"],
  description: `'explain run' shows everything that the same 'run' would do to the kernel, and does nothing: each step with its kernel
    calls, the field of config.json it comes from, the section of the runtime specification, and who asked for it: a flag, the
    image, a default or the host.

    'explain IMAGE' shows what an image is made of: manifest and config, what each layer adds, changes and hides, and which
    bytes are stored for nothing.`,
  options: explainOptions,
  positionals: [{ name: "IMAGE", completion: "image" }],
  stopAtFirstPositional: true,
  examples: [
    { command: "vitrine explain run --rm --read-only alpine", does: "the plan of a run" },
    { command: "vitrine explain run --defaults alpine", does: "only what nobody asked for" },
    { command: "vitrine explain run --syscalls --cap-drop all alpine", does: "the kernel calls, in order" },
    { command: "vitrine explain alpine", does: "an image and its layers" },
  ],
  async run(invocation) {
    const { positionals } = invocation;
    if (positionals[0] !== "run") return explainOneImage(invocation);
    const { explainRun } = await import("../explain-run.ts");
    return explainRun(invocation, positionals.slice(1));
  },
});

async function explainOneImage(invocation: Invocation<typeof explainOptions>): Promise<number | undefined> {
  const { context } = invocation;
  // Flags may stand behind the image as well.
  const [image, ...rest] = invocation.positionals;
  const line = parseLine(rest, {
    options: explainOptions,
    stopAtFirstPositional: false,
    helpCommand: "vitrine explain --help",
  });
  if (line.positionals.length > 0) {
    throw new VitrineError("invalid", `'vitrine explain' takes no argument '${line.positionals[0]}'`, {
      code: "surplus-argument",
      operand: line.positionals[0],
      hint: `one image at a time; for what 'run' would do: vitrine explain run ${invocation.positionals.join(" ")}`,
    });
  }
  const late = line.options as OptionValues<typeof explainOptions>;
  const option = <Name extends keyof typeof explainOptions>(name: Name) =>
    line.given.has(name) ? late[name] : invocation.options[name];
  if (option("syscalls") || option("defaults")) {
    throw new VitrineError("invalid", "--syscalls and --defaults are for plans", {
      code: "flag-conflict",
      hint: `vitrine explain run ${option("syscalls") ? "--syscalls" : "--defaults"} ${image}`,
    });
  }
  const platform = option("platform");
  const store = await context.store();
  const wanted = platform === undefined ? undefined : parsePlatform(platform, hostPlatform());
  const found = await resolveImage(store, image!, wanted);
  const explanation = await explainImage(found, store.source(found));
  if (option("format") === "json") context.out(`${jsonText(explanation, 2)}\n`);
  else context.out(renderImage(explanation, renderOptions(context)));
  return 0;
}

/** As explain/'s renderers take them. */
export function renderOptions(context: Context): { readonly width: number; readonly color: boolean } {
  const { bold } = styles(context.environment, context.stdoutIsTerminal);
  return { width: context.terminalWidth(), color: bold("x") !== "x" };
}
