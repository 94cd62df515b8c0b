/** `--filter KEY=VALUE` of events: docker's keys. */
import type { RecordedEvent } from "../../engine/mod.ts";
import { compileFilters, type FilterKeys, type FilterTest, hasPair } from "../framework/filters.ts";

const eventKeys: FilterKeys<[RecordedEvent]> = {
  container: (value) => (event) => event.type === "container" && isOf(event, value),
  // What happened to an image, and to the containers that were made from it.
  image: (value) => (event) =>
    (event.type === "image" && (isOf(event, value) || isImage(event.attributes["name"], value))) ||
    (event.type === "container" && isImage(event.attributes["image"], value)),
  event: (value) => (event) => event.action === value || event.action.startsWith(`${value}:`),
  type: (value) => (event) => event.type === value,
  volume: (value) => (event) => event.type === "volume" && event.id.startsWith(value),
  network: (value) => (event) => event.type === "network" && isOf(event, value),
  label:
    (value) =>
    ({ attributes }) =>
      hasPair(attributes, value),
};

/** Error: `filter-invalid`. */
export function eventFilter(filters: readonly string[]): FilterTest<[RecordedEvent]> {
  return compileFilters(filters, eventKeys);
}

function isOf({ id, attributes }: RecordedEvent, value: string): boolean {
  const hex = id.replace(/^sha256:/, "");
  return attributes["name"] === value || id === value || (/^[0-9a-f]+$/.test(value) && hex.startsWith(value));
}

/** A name that was typed, with or without a tag and the default registry. */
function isImage(name: string | undefined, value: string): boolean {
  if (name === undefined) return false;
  const bare = name.replace(/^docker\.io\/(library\/)?/, "");
  return [name, bare, bare.replace(/:[^/:]*$/, "")].includes(value);
}
