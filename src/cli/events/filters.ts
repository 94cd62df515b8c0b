/** `--filter KEY=VALUE` of events, docker's keys. Of one key one must hold, of labels all. */
import { VitrineError } from "../../base/mod.ts";
import type { RecordedEvent } from "../../engine/mod.ts";
import { nearest } from "../framework/nearest.ts";
import { splitLabel } from "../images/filters.ts";

type Test = (event: RecordedEvent) => boolean;

const tests: Readonly<Record<string, (value: string) => Test>> = {
  container: (value) => (event) => event.type === "container" && isOf(event, value),
  // What happened to an image, and to the containers that were made from it.
  image: (value) => (event) =>
    (event.type === "image" && (isOf(event, value) || isImage(event.attributes["name"], value))) ||
    (event.type === "container" && isImage(event.attributes["image"], value)),
  event: (value) => (event) => event.action === value || event.action.startsWith(`${value}:`),
  type: (value) => (event) => event.type === value,
  volume: (value) => (event) => event.type === "volume" && event.id.startsWith(value),
  network: (value) => (event) => event.type === "network" && isOf(event, value),
  label: (value) => {
    const label = splitLabel(value);
    return ({ attributes }) =>
      attributes[label.key] !== undefined &&
      (label.value === undefined || attributes[label.key] === label.value);
  },
};

/** Error: `filter-invalid`. */
export function eventFilter(filters: readonly string[]): Test {
  const byKey = new Map<string, Test[]>();
  for (const filter of filters) {
    const equals = filter.indexOf("=");
    const key = filter.slice(0, Math.max(equals, 0));
    if (!Object.hasOwn(tests, key)) throw invalid(filter, key);
    byKey.set(key, [...(byKey.get(key) ?? []), tests[key]!(filter.slice(equals + 1))]);
  }
  return (event) =>
    [...byKey].every(([key, each]) =>
      key === "label" ? each.every((test) => test(event)) : each.some((test) => test(event)),
    );
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

function invalid(filter: string, key: string): VitrineError {
  const close = nearest(key, Object.keys(tests));
  return new VitrineError("invalid", `invalid filter ${JSON.stringify(filter)}`, {
    code: "filter-invalid",
    operand: filter,
    hint: close === undefined ? `known are ${Object.keys(tests).join(", ")}` : `did you mean ${close}=…?`,
  });
}
