import { defineCommand } from "../framework/command.ts";
import { completeLine } from "../framework/completion.ts";

/**
 * `vitrine __complete WORD... CURRENT`: what a shell may put in the place of CURRENT. Lines are `value TAB description`;
 * the last one is `:files`, `:directories` or `:none` and says what the shell adds of its own.
 */
export const command = defineCommand({
  options: {},
  positionals: [],
  raw: true,
  async run({ positionals, context }) {
    let offer: Awaited<ReturnType<typeof completeLine>>;
    try {
      offer = await completeLine(positionals, context);
    } catch {
      // A message in the middle of the user's line would help nobody.
      offer = { candidates: [], also: "none" };
    }
    const lines = offer.candidates.map(({ value, description }) =>
      description === "" ? value : `${value}\t${description}`,
    );
    context.out(`${[...lines, `:${offer.also}`].join("\n")}\n`);
  },
});
