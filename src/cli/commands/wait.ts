import { VitrineError } from "../../base/mod.ts";
import {
  awaitCondition,
  awaitExit,
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
    const there = options.ignore ? names.filter((name) => isThereOrTold(context, name)) : names;
    return eachContainer(context, there, async (container) => {
      const status = conditions.every(isEnd)
        ? await awaitExit(container, { paths, helperPath: context.helperPath() })
        : await awaitCondition(container, conditions, paths, interval);
      // A monitor that was killed did not say how it ended.
      if (stateOf(paths, container).status === "lost") await sweepNamed(context, [container.id]);
      context.out(`${status}\n`);
    });
  },
});

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
