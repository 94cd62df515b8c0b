/** Changed, added and deleted files as docker and podman print them. */
import { printable } from "../../base/mod.ts";
import { jsonText } from "./json.ts";

interface Changed {
  readonly path: string;
  readonly kind: "changed" | "added" | "deleted";
}

const letters = { changed: "C", added: "A", deleted: "D" } as const;

/** `C /etc` lines; with `json` podman's object of lists, those that are not empty. */
export function renderChanges(changes: readonly Changed[], format: string | undefined): string {
  if (format !== "json")
    return changes.map(({ kind, path }) => `${letters[kind]} ${printable(path)}\n`).join("");
  const of = (kind: Changed["kind"]) => changes.filter((each) => each.kind === kind).map(({ path }) => path);
  const all = { changed: of("changed"), added: of("added"), deleted: of("deleted") };
  return `${jsonText(Object.fromEntries(Object.entries(all).filter(([, list]) => list.length > 0)), 4)}\n`;
}
