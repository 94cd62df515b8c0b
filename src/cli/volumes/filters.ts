/** `--filter KEY=VALUE` of volume ls and volume prune: docker's and podman's keys. */
import { type EnginePaths, findVolume, usedVolumes, type Volume } from "../../engine/mod.ts";
import {
  compileFilters,
  type FilterKeys,
  type FilterTest,
  hasPair,
  labelKeys,
  patternOf,
  truthOf,
  untilOf,
} from "../framework/filters.ts";

/** Error: `filter-invalid`; `since` those of `findVolume`. */
export function volumeFilter(
  filters: readonly string[],
  paths: EnginePaths,
  now: number,
): FilterTest<[Volume]> {
  return compileFilters(filters, volumeKeys(paths, now));
}

const volumeKeys = (paths: EnginePaths, now: number): FilterKeys<[Volume]> => ({
  name: (value, filter) => {
    const pattern = patternOf(value, filter);
    return ({ name }) => pattern.test(name);
  },
  driver:
    (value) =>
    ({ driver }) =>
      driver === value,
  ...labelKeys,
  opt:
    (value) =>
    ({ options }) =>
      hasPair(options, value),
  dangling: (value, filter) => {
    const used = usedVolumes(paths);
    const wanted = truthOf(value, filter);
    return ({ name }) => used.has(name) !== wanted;
  },
  anonymous: (value, filter) => {
    const wanted = truthOf(value, filter);
    return ({ anonymous }) => (anonymous === true) === wanted;
  },
  scope: (value) => () => value === "local",
  since: (value) => {
    const { created } = findVolume(paths, value);
    return (volume) => volume.created > created;
  },
  until: (value, filter) => {
    const time = untilOf(value, filter, now);
    return ({ created }) => created < time;
  },
});
