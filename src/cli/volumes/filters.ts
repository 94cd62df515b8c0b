/** `--filter KEY=VALUE` of volume ls and volume prune: docker's and podman's keys. Of one key one must hold, of labels all. */
import { VitrineError } from "../../base/mod.ts";
import { type EnginePaths, findVolume, usedVolumes, type Volume } from "../../engine/mod.ts";
import { nearest } from "../framework/nearest.ts";
import { splitLabel, untilTime } from "../images/filters.ts";

type Test = (volume: Volume) => boolean;

const known = [
  "name",
  "driver",
  "label",
  "label!",
  "opt",
  "dangling",
  "anonymous",
  "scope",
  "since",
  "until",
];

/** Error: `filter-invalid`; `since` those of `findVolume`. */
export function volumeFilter(filters: readonly string[], paths: EnginePaths, now: number): Test {
  const byKey = new Map<string, Test[]>();
  for (const filter of filters) {
    const { key, test } = oneFilter(filter, paths, now);
    byKey.set(key, [...(byKey.get(key) ?? []), test]);
  }
  return (volume) =>
    [...byKey].every(([key, tests]) =>
      key.startsWith("label") ? tests.every((test) => test(volume)) : tests.some((test) => test(volume)),
    );
}

function oneFilter(filter: string, paths: EnginePaths, now: number): { key: string; test: Test } {
  const match = /^([a-z]+!?)=(.*)$/s.exec(filter);
  const [, key = "", value = ""] = match ?? [];
  switch (key) {
    case "name": {
      const pattern = patternOf(filter, value);
      return { key, test: ({ name }) => pattern.test(name) };
    }
    case "driver":
      return { key, test: ({ driver }) => driver === value };
    case "scope":
      return { key, test: () => value === "local" };
    case "label":
    case "label!":
      return { key, test: ({ labels }) => hasPair(labels, value) === (key === "label") };
    case "opt":
      return { key, test: ({ options }) => hasPair(options, value) };
    case "dangling": {
      const used = usedVolumes(paths);
      const wanted = truth(filter, value);
      return { key, test: ({ name }) => used.has(name) !== wanted };
    }
    case "anonymous": {
      const wanted = truth(filter, value);
      return { key, test: ({ anonymous }) => (anonymous === true) === wanted };
    }
    case "since": {
      const { created } = findVolume(paths, value);
      return { key, test: (volume) => volume.created > created };
    }
    case "until": {
      const time = untilTime(value, now);
      if (time === undefined)
        throw invalid(filter, "until is a time (2026-01-31T12:00:00Z) or a duration (24h)");
      return { key, test: ({ created }) => created < time };
    }
    default: {
      const close = nearest(key, known);
      throw invalid(
        filter,
        close === undefined ? `known are ${known.join(", ")}` : `did you mean ${close}=…?`,
      );
    }
  }
}

function hasPair(pairs: Readonly<Record<string, string>>, text: string): boolean {
  const { key, value } = splitLabel(text);
  return Object.hasOwn(pairs, key) && (value === undefined || pairs[key] === value);
}

function truth(filter: string, value: string): boolean {
  if (!/^(?:true|false|1|0)$/.test(value)) throw invalid(filter, "it is true or false");
  return value === "true" || value === "1";
}

function patternOf(filter: string, value: string): RegExp {
  try {
    return new RegExp(value);
  } catch {
    throw invalid(filter, "name is a regular expression");
  }
}

function invalid(filter: string, hint: string): VitrineError {
  return new VitrineError("invalid", `invalid filter ${JSON.stringify(filter)}`, {
    code: "filter-invalid",
    operand: filter,
    hint,
  });
}
