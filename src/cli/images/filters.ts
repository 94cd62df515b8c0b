/** `--filter key=value` of `images`. Several of one key: one must hold (labels: all); different keys: all. */
import { VitrineError } from "../../base/mod.ts";
import type { ImageRow, Store } from "../../store/mod.ts";
import { parseGoDuration } from "../format/human.ts";
import { nearest } from "../framework/nearest.ts";
import { matchesReference } from "./names.ts";

type Test = (row: ImageRow) => boolean;

const known = [
  "dangling",
  "reference",
  "label",
  "label!",
  "before",
  "since",
  "after",
  "until",
  "id",
  "digest",
];

/** Errors: `filter-invalid`; `before` and `since` those of Store.resolve. */
export function imageFilter(filters: readonly string[], store: Store, now: number): Test {
  const byKey = new Map<string, Test[]>();
  for (const filter of filters) {
    const { key, test } = oneFilter(filter, store, now);
    byKey.set(key, [...(byKey.get(key) ?? []), test]);
  }
  return (row) =>
    [...byKey].every(([key, tests]) =>
      key.startsWith("label") ? tests.every((test) => test(row)) : tests.some((test) => test(row)),
    );
}

function oneFilter(filter: string, store: Store, now: number): { key: string; test: Test } {
  const match = /^([a-z]+!?)=(.*)$/s.exec(filter);
  const key = match?.[1];
  const value = match?.[2];
  if (key === undefined || value === undefined) throw invalid(filter, "a filter is KEY=VALUE");
  switch (key) {
    case "dangling": {
      if (!/^(?:true|false|1|0)$/.test(value)) throw invalid(filter, "dangling is true or false");
      const wanted = value === "true" || value === "1";
      return { key, test: (row) => row.dangling === wanted };
    }
    case "reference":
      return { key, test: (row) => row.name !== undefined && matchesReference(value, row.name) };
    case "label":
    case "label!": {
      const label = splitLabel(value);
      return { key, test: (row) => hasLabel(row, label) !== (key === "label!") };
    }
    case "before":
    case "since":
    case "after": {
      const { created } = rowOf(store, value);
      return { key, test: (row) => (key === "before" ? row.created < created : row.created > created) };
    }
    case "until": {
      const time = untilTime(value, now);
      if (time === undefined)
        throw invalid(filter, "until is a time (2026-01-31T12:00:00Z) or a duration (24h)");
      return { key, test: (row) => row.created < time };
    }
    case "id":
      return { key, test: (row) => row.id === value || row.id.slice("sha256:".length).startsWith(value) };
    case "digest":
      return { key, test: (row) => row.digest.startsWith(value.includes(":") ? value : `sha256:${value}`) };
    default: {
      const close = nearest(key, known);
      throw invalid(
        filter,
        close === undefined ? `known are ${known.join(", ")}` : `did you mean ${close}=…?`,
      );
    }
  }
}

export interface LabelTest {
  readonly key: string;
  readonly value?: string;
}

/** `KEY` or `KEY=VALUE` */
export function splitLabel(text: string): LabelTest {
  const equals = text.indexOf("=");
  return equals === -1 ? { key: text } : { key: text.slice(0, equals), value: text.slice(equals + 1) };
}

function hasLabel(row: ImageRow, { key, value }: LabelTest): boolean {
  if (!Object.hasOwn(row.labels, key)) return false;
  return value === undefined || row.labels[key] === value;
}

/** A moment in milliseconds: an RFC 3339 time, seconds since 1970, or a duration before now. */
export function untilTime(text: string, now: number): number | undefined {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000;
  const duration = parseGoDuration(text);
  if (duration !== undefined) return now - duration;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

function rowOf(store: Store, reference: string): ImageRow {
  const image = store.resolve(reference);
  const row = store.list().find(({ id }) => id === image.id);
  if (row !== undefined) return row;
  throw new VitrineError("not-found", `image ${reference} is gone`, {
    code: "image-not-found",
    operand: reference,
  });
}

function invalid(filter: string, hint: string): VitrineError {
  return new VitrineError("invalid", `invalid filter ${JSON.stringify(filter)}`, {
    code: "filter-invalid",
    operand: filter,
    hint,
  });
}
