import { VitrineError } from "../../base/mod.ts";
import type { PruneOptions } from "../../store/mod.ts";
import { humanSize } from "../format/human.ts";
import { defineCommand } from "../framework/command.ts";
import { askLine } from "../framework/stdin.ts";
import { splitLabel, untilTime } from "../images/filters.ts";
import { recordRemovals, removalLines } from "../images/removals.ts";

export const command = defineCommand({
  description: `Removes images without a name, with --all every image that no container uses, and what nothing leads to.
    On a terminal it asks first.`,
  options: {
    all: { type: "boolean", short: "a", help: "also images that have a name and no container" },
    filter: {
      type: "strings",
      value: "KEY=VALUE",
      help: "only images for which it holds: until=TIME or DURATION, label=KEY[=VALUE], label!=KEY[=VALUE]",
    },
    force: { type: "boolean", short: "f", help: "do not ask" },
  },
  positionals: [],
  async run({ options, context }) {
    const request = pruneRequest(options.all, options.filter, context.now());
    if (!options.force && context.stdinIsTerminal) {
      const what = options.all ? "all images without a container" : "all images without a name";
      const answer = askLine(
        context,
        `WARNING! This removes ${what}.\nAre you sure you want to continue? [y/N] `,
      );
      if (!/^y(?:es)?$/i.test(answer?.trim() ?? "")) return;
    }
    const store = await context.store();
    const { removals, reclaimedBytes } = await store.prune(request);
    recordRemovals(context.paths(), removals);
    context.out(`${removalLines(removals)}Total reclaimed space: ${humanSize(reclaimedBytes, 4)}\n`);
  },
});

function pruneRequest(all: boolean, filters: readonly string[], now: number): PruneOptions {
  let until: number | undefined;
  const labels: { key: string; value?: string; negate?: boolean }[] = [];
  for (const filter of filters) {
    const match = /^(until|label!?)=(.+)$/s.exec(filter);
    if (match === null) throw invalid(filter);
    if (match[1] === "until") {
      until = untilTime(match[2]!, now);
      if (until === undefined) throw invalid(filter);
    } else {
      labels.push({ ...splitLabel(match[2]!), negate: match[1] === "label!" });
    }
  }
  return { all, until, labels };
}

function invalid(filter: string): VitrineError {
  return new VitrineError("invalid", `invalid filter ${JSON.stringify(filter)}`, {
    code: "filter-invalid",
    operand: filter,
    hint: "until=24h, until=2026-01-31T12:00:00Z, label=KEY[=VALUE] or label!=KEY[=VALUE]",
  });
}
