import { printable } from "../../base/mod.ts";
import type { Removal } from "../../store/mod.ts";

export function removalLines(removals: readonly Removal[]): string {
  return removals
    .map((removal) =>
      removal.action === "untagged" ? `Untagged: ${printable(removal.name)}\n` : `Deleted: ${removal.id}\n`,
    )
    .join("");
}
