/** `--filter KEY=VALUE` of `images`: docker's and podman's keys. */
import { VitrineError } from "../../base/mod.ts";
import type { ImageRow, Store } from "../../store/mod.ts";
import {
  compileFilters,
  type FilterKeys,
  type FilterTest,
  labelKeys,
  truthOf,
  untilOf,
} from "../framework/filters.ts";
import { matchesReference } from "./names.ts";

/** Errors: `filter-invalid`; `before` and `since` those of Store.resolve. */
export function imageFilter(filters: readonly string[], store: Store, now: number): FilterTest<[ImageRow]> {
  return compileFilters(filters, imageKeys(store, now));
}

const imageKeys = (store: Store, now: number): FilterKeys<[ImageRow]> => {
  const since = (value: string): FilterTest<[ImageRow]> => {
    const { created } = rowOf(store, value);
    return (row) => row.created > created;
  };
  return {
    dangling: (value, filter) => {
      const wanted = truthOf(value, filter);
      return ({ dangling }) => dangling === wanted;
    },
    reference:
      (value) =>
      ({ name }) =>
        name !== undefined && matchesReference(value, name),
    ...labelKeys,
    before: (value) => {
      const { created } = rowOf(store, value);
      return (row) => row.created < created;
    },
    since,
    after: since,
    until: (value, filter) => {
      const time = untilOf(value, filter, now);
      return ({ created }) => created < time;
    },
    id:
      (value) =>
      ({ id }) =>
        id === value || id.slice("sha256:".length).startsWith(value),
    digest:
      (value) =>
      ({ digest }) =>
        digest.startsWith(value.includes(":") ? value : `sha256:${value}`),
  };
};

function rowOf(store: Store, reference: string): ImageRow {
  const image = store.resolve(reference);
  const row = store.list().find(({ id }) => id === image.id);
  if (row !== undefined) return row;
  throw new VitrineError("not-found", `image ${reference} is gone`, {
    code: "image-not-found",
    operand: reference,
  });
}
