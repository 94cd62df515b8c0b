import { quoted, VitrineError } from "../../base/mod.ts";
import { explainImage, renderImage } from "../../explain/mod.ts";
import { hostPlatform, parsePlatform } from "../../image/mod.ts";
import { printExplanation, renderOptions } from "../explain-print.ts";
import { defineCommand, type Invocation, type OptionTable, type OptionValues } from "../framework/command.ts";
import { missingArgument } from "../framework/dispatch.ts";
import { parseLine } from "../framework/parse.ts";
import { resolveImage } from "../images/resolve.ts";

export const explainOptions = {
  format: {
    type: "string",
    value: "FORMAT",
    default: "text",
    help: "text, json, or a Go template such as '{{.equal}}'",
  },
  syscalls: { type: "boolean", help: "run, --bundle: the kernel calls in their order, not grouped" },
  defaults: { type: "boolean", help: "run: only what no flag and no image asked for" },
  type: {
    type: "string",
    value: "TYPE",
    choices: ["all", "container", "image"],
    default: "all",
    help: "what to look for",
  },
  bundle: {
    type: "string",
    value: "DIR",
    completion: "directory",
    help: "what vitrine-runtime would do with this bundle",
  },
  diff: {
    type: "boolean",
    help: "in what two containers, bundles (bundle:DIR) or images (image:NAME) differ to the kernel",
  },
  platform: { type: "string", value: "OS/ARCH", help: "IMAGE: this platform of it" },
} as const satisfies OptionTable;

export const command = defineCommand({
  usage: [
    "run [OPTIONS] [RUN OPTIONS] IMAGE [COMMAND] [ARG...]",
    "[OPTIONS] CONTAINER | IMAGE",
    "[OPTIONS] --bundle DIR",
    "[OPTIONS] --diff A B",
  ],
  description: `'explain run' shows everything that the same 'run' would do to the kernel, and does nothing: each step with its kernel
    calls, the field of config.json it comes from, the section of the runtime specification, and who asked for it: a flag, the
    image, a default or the host.

    'explain IMAGE' shows what an image is made of: manifest and config, what each layer adds, changes and hides, and which
    bytes are stored for nothing.

    'explain CONTAINER' shows what the kernel says of a running container now, beside what was planned, and marks each
    difference: ≠ it differs, - it is gone, + nobody planned it, ? this user may not see it. A name that both have means the container.

    'explain --bundle DIR' shows what vitrine-runtime would do with any bundle: its config.json as kernel calls.

    'explain --diff A B' shows in what two containers, bundles (bundle:DIR, or a path with a slash) or images as they are
    run (image:NAME) differ to the kernel; ids and directories of their own do not count. Exit status 0 when they are equal, 1
    when they differ.`,
  options: explainOptions,
  positionals: [
    { name: "NAME", completion: "container or image", optional: true },
    { name: "B", completion: "container or image", optional: true, variadic: true },
  ],
  stopAtFirstPositional: true,
  examples: [
    { command: "vitrine explain run --rm --read-only alpine", does: "the plan of a run" },
    { command: "vitrine explain run --defaults alpine", does: "only what nobody asked for" },
    { command: "vitrine explain run --syscalls --cap-drop all alpine", does: "the kernel calls, in order" },
    { command: "vitrine explain alpine", does: "an image and its layers" },
    { command: "vitrine explain web", does: "a running container: what was planned, and what is" },
    { command: "vitrine explain --bundle .", does: "a bundle of any engine, as the runtime would run it" },
    {
      command: "vitrine explain --diff web image:nginx",
      does: "in what a container is not as its image would be run",
    },
  ],
  async run(invocation) {
    const [first, ...rest] = invocation.positionals;
    if (first === "run" && !invocation.options.diff) {
      const { explainRun } = await import("../explain-run.ts");
      return explainRun(invocation, rest);
    }
    return explainThing(withLateFlags(invocation));
  },
});

type Explaining = Invocation<typeof explainOptions>;

async function explainThing(invocation: Explaining): Promise<number | undefined> {
  const { options, positionals, context } = invocation;
  if (options.diff) {
    const { explainDiff } = await import("../explain-diff.ts");
    return explainDiff(positionals, options.format, context);
  }
  if (options.bundle !== undefined) {
    refuseSurplus(positionals, 0);
    const { explainBundle } = await import("../explain-bundle.ts");
    return explainBundle(invocation);
  }
  refuseSurplus(positionals, 1);
  const [name] = positionals;
  if (name === undefined || options.type === "image") return explainOneImage(invocation);
  const { explainContainer } = await import("../explain-container.ts");
  try {
    return await explainContainer(invocation, name);
  } catch (error) {
    const missing = error instanceof VitrineError && error.code === "container-not-found";
    if (!missing || options.type === "container") throw error;
    return explainOneImage(invocation);
  }
}

/** Flags may stand behind the names as well. */
function withLateFlags(invocation: Explaining): Explaining {
  const [first = [], ...rest] = invocation.positionals;
  const line = parseLine(rest, {
    options: explainOptions,
    stopAtFirstPositional: false,
    helpCommand: "vitrine explain --help",
  });
  const late = Object.entries(line.options).filter(([name]) => line.given.has(name));
  return {
    ...invocation,
    positionals: [first, ...line.positionals].flat(),
    given: new Set([...invocation.given, ...line.given]),
    options: { ...invocation.options, ...Object.fromEntries(late) } as OptionValues<typeof explainOptions>,
  };
}

function refuseSurplus(positionals: readonly string[], most: number): void {
  const surplus = positionals[most];
  if (surplus === undefined) return;
  throw new VitrineError("invalid", `'vitrine explain' takes no argument ${quoted(surplus)}`, {
    code: "surplus-argument",
    operand: surplus,
    hint: `one at a time; for what 'run' would do: vitrine explain run ${positionals.join(" ")}`,
  });
}

async function explainOneImage({ context, options, positionals }: Explaining): Promise<number | undefined> {
  const [image] = positionals;
  if (image === undefined) throw missingArgument("vitrine explain", "NAME", "vitrine explain --help");
  if (options.syscalls || options.defaults) {
    throw new VitrineError("invalid", "--syscalls and --defaults are for plans", {
      code: "flag-conflict",
      hint: `vitrine explain run ${options.syscalls ? "--syscalls" : "--defaults"} ${image}`,
    });
  }
  const { platform } = options;
  const store = await context.store();
  const wanted = platform === undefined ? undefined : parsePlatform(platform, hostPlatform());
  const found = await resolveImage(store, image, wanted);
  const explanation = await explainImage(found, store.source(found));
  if (options.format === "text") context.out(renderImage(explanation, renderOptions(context)));
  else printExplanation(context, options.format, explanation, () => "");
  return 0;
}
