import { VitrineError } from "../../base/mod.ts";
import {
  awaitCondition,
  awaitExit,
  type Container,
  findContainer,
  isEnd,
  stateOf,
  type WaitCondition,
  waitConditions,
} from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { choiceOptions } from "../containers/choice-options.ts";
import { chosenNames, eachContainer, isThere } from "../containers/each.ts";
import { parseGoDuration } from "../format/human.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";

export const command = defineCommand({
  description:
    "Waits until containers have ended, and prints the exit status of each. One that does not run has ended.",
  options: {
    cidfile: choiceOptions.cidfile,
    latest: { type: "boolean", short: "l", help: "wait for the newest container" },
    condition: {
      type: "strings",
      value: "STATE",
      choices: waitConditions,
      defaultText: "stopped",
      help: "what to wait for; of several, the first",
    },
    "exit-first-match": {
      type: "boolean",
      help: "wait for the first of the containers alone, and print its exit status",
    },
    ignore: { type: "boolean", help: "a container that is not there has ended with -1" },
    interval: {
      type: "string",
      short: "i",
      value: "DURATION",
      default: "250ms",
      help: "how often to look for a condition that is no end",
    },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [{ command: "vitrine wait job", does: "the exit status of a container in the background" }],
  async run({ options, positionals, context }) {
    await sweepNamed(context, positionals);
    const paths = context.paths();
    const names = chosenNames(context, positionals, options);
    const conditions = options.condition as readonly WaitCondition[];
    const interval = intervalOf(options.interval);
    const awaited = async (container: Container, signal?: AbortSignal): Promise<string> => {
      const status = conditions.every(isEnd)
        ? await awaitExit(container, { paths, helperPath: context.helperPath(), signal })
        : await awaitCondition(container, conditions, { paths, signal }, interval);
      // A monitor that was killed did not say how it ended.
      if (stateOf(paths, container).status === "lost") await sweepNamed(context, [container.id]);
      return `${status}\n`;
    };
    if (options["exit-first-match"]) {
      const known = options.ignore ? names.filter((name) => isThere(context, name)) : names;
      const containers = known.map((name) => findContainer(paths, name));
      if (containers.length > 0) context.out(await firstOf(containers, awaited));
      return 0;
    }
    const there = options.ignore ? names.filter((name) => isThereOrTold(context, name)) : names;
    return eachContainer(context, there, async (container) => context.out(await awaited(container)));
  },
});

/** The others are not waited for any more. */
async function firstOf<T>(
  containers: readonly Container[],
  awaited: (container: Container, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const others = new AbortController();
  const all = containers.map((container) => awaited(container, others.signal));
  try {
    return await Promise.race(all);
  } finally {
    others.abort();
    await Promise.allSettled(all);
  }
}

/** Milliseconds; a bare number is of milliseconds too, as podman has it. */
function intervalOf(text: string): number {
  const milliseconds = /^\d{1,9}$/.test(text) ? Number(text) : parseGoDuration(text);
  if (milliseconds !== undefined && milliseconds > 0) return milliseconds;
  throw new VitrineError("invalid", `invalid value ${JSON.stringify(text)} for --interval`, {
    code: "invalid-flag-value",
    operand: "--interval",
    hint: "a duration such as 250ms or 2s",
  });
}

/** One that is not there has ended with -1. */
function isThereOrTold(context: Context, name: string): boolean {
  if (isThere(context, name)) return true;
  context.out("-1\n");
  return false;
}
