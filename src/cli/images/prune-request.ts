/** `--filter` of image prune and system prune. */
import { VitrineError } from "../../base/mod.ts";
import type { PruneOptions } from "../../store/mod.ts";
import { splitLabel, untilTime } from "./filters.ts";

/** Error: `filter-invalid`. */
export function pruneRequest(all: boolean, filters: readonly string[], now: number): PruneOptions {
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
