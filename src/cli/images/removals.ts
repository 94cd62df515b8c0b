import { printable } from "../../base/mod.ts";
import { recordEvent } from "../../engine/mod.ts";
import type { Removal } from "../../store/mod.ts";
import type { StatePaths } from "../framework/context.ts";

export function removalLines(removals: readonly Removal[]): string {
  return removals
    .map((removal) =>
      removal.action === "untagged" ? `Untagged: ${printable(removal.name)}\n` : `Deleted: ${removal.id}\n`,
    )
    .join("");
}

export function recordRemovals(paths: StatePaths, removals: readonly Removal[]): void {
  for (const removal of removals) {
    recordEvent(
      paths,
      removal.action === "untagged"
        ? { type: "image", action: "untag", id: removal.name, attributes: { name: removal.name } }
        : { type: "image", action: "delete", id: removal.id, attributes: { name: removal.id } },
    );
  }
}
