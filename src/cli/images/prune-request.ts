/** `--filter` of image prune and system prune. */
import type { PruneOptions } from "../../store/mod.ts";
import { untilTime } from "../format/human.ts";
import { invalidFilter, splitPair } from "../framework/filters.ts";

/** Error: `filter-invalid`. */
export function pruneRequest(all: boolean, filters: readonly string[], now: number): PruneOptions {
  let until: number | undefined;
  const labels: { key: string; value?: string; negate?: boolean }[] = [];
  for (const filter of filters) {
    const match = /^(until|label!?)=(.+)$/s.exec(filter);
    if (match === null) throw invalidFilter(filter, hint);
    if (match[1] === "until") {
      until = untilTime(match[2]!, now);
      if (until === undefined) throw invalidFilter(filter, hint);
    } else {
      labels.push({ ...splitPair(match[2]!), negate: match[1] === "label!" });
    }
  }
  return { all, until, labels };
}

const hint = "until=24h, until=2026-01-31T12:00:00Z, label=KEY[=VALUE] or label!=KEY[=VALUE]";
