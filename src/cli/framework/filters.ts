/** `--filter KEY=VALUE`, as docker and podman take it: of several of one key one must hold, of labels all; different keys: all. */
import { VitrineError } from "../../base/mod.ts";
import { untilTime } from "../format/human.ts";
import { nearest } from "./nearest.ts";

export type FilterTest<Item extends readonly unknown[]> = (...item: Item) => boolean;

/** For each key what makes a test of its value; `filter` is the whole word, for `invalidFilter`. */
export type FilterKeys<Item extends readonly unknown[]> = Readonly<
  Record<string, (value: string, filter: string) => FilterTest<Item>>
>;

/** Error: `filter-invalid`; those of `keys`. */
export function compileFilters<Item extends readonly unknown[]>(
  filters: readonly string[],
  keys: FilterKeys<Item>,
): FilterTest<Item> {
  const byKey = new Map<string, FilterTest<Item>[]>();
  for (const filter of filters) {
    const equals = filter.indexOf("=");
    const key = filter.slice(0, Math.max(equals, 0));
    if (!Object.hasOwn(keys, key)) throw unknownKey(filter, key, Object.keys(keys));
    byKey.set(key, [...(byKey.get(key) ?? []), keys[key]!(filter.slice(equals + 1), filter)]);
  }
  return (...item) =>
    [...byKey].every(([key, tests]) =>
      key.startsWith("label") ? tests.every((test) => test(...item)) : tests.some((test) => test(...item)),
    );
}

function unknownKey(filter: string, key: string, known: readonly string[]): VitrineError {
  const close = nearest(key, known);
  return invalidFilter(
    filter,
    close === undefined ? `known are ${known.join(", ")}` : `did you mean ${close}=…?`,
  );
}

export function invalidFilter(filter: string, hint: string): VitrineError {
  return new VitrineError("invalid", `invalid filter ${JSON.stringify(filter)}`, {
    code: "filter-invalid",
    operand: filter,
    hint,
  });
}

/** Keys of everything that has labels. */
export const labelKeys = {
  label: (value: string) => (item: Labeled) => hasPair(item.labels, value),
  "label!": (value: string) => (item: Labeled) => !hasPair(item.labels, value),
};

interface Labeled {
  readonly labels: Readonly<Record<string, string>>;
}

/** `KEY` or `KEY=VALUE` */
export function splitPair(text: string): { readonly key: string; readonly value?: string } {
  const equals = text.indexOf("=");
  return equals === -1 ? { key: text } : { key: text.slice(0, equals), value: text.slice(equals + 1) };
}

/** Whether `pairs` has what `KEY` or `KEY=VALUE` asks for. */
export function hasPair(pairs: Readonly<Record<string, string>>, text: string): boolean {
  const { key, value } = splitPair(text);
  return Object.hasOwn(pairs, key) && (value === undefined || pairs[key] === value);
}

export function truthOf(value: string, filter: string): boolean {
  if (!/^(?:true|false|1|0)$/.test(value)) throw invalidFilter(filter, "it is true or false");
  return value === "true" || value === "1";
}

export function requireOneOf(value: string, filter: string, what: string, choices: readonly string[]): void {
  if (!choices.includes(value)) throw invalidFilter(filter, `${what} is one of ${choices.join(", ")}`);
}

/** The moment of `until=…`, in milliseconds. */
export function untilOf(value: string, filter: string, now: number): number {
  const time = untilTime(value, now);
  if (time !== undefined) return time;
  throw invalidFilter(filter, "until is a time (2026-01-31T12:00:00Z) or a duration (24h)");
}

/** A name is a regular expression. */
export function patternOf(value: string, filter: string): RegExp {
  try {
    return new RegExp(value);
  } catch {
    throw invalidFilter(filter, "name is a regular expression");
  }
}
