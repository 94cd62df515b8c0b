import type { Origin } from "../../kernel/mod.ts";

/** A value and who asked for it. */
export interface Sourced<T> {
  readonly value: T;
  readonly origin: Origin;
}

export const byDefault: Origin = { by: "default" };
export const byFlag = (flag: string): Origin => ({ by: "flag", flag });
export const byImage = (field: string): Origin => ({ by: "image", field });
export const byHost = (note: string): Origin => ({ by: "host", note });

export const sourced = <T>(value: T, origin: Origin): Sourced<T> => ({ value, origin });

/** Collects, while a config is put together, who asked for what, and what the user should be told. */
export class Notebook {
  /** By JSON pointer (RFC 6901) into the config. */
  readonly origins = new Map<string, Origin>();
  readonly warnings: string[] = [];

  note(pointer: string, origin: Origin): void {
    this.origins.set(pointer, origin);
  }

  warn(text: string): void {
    if (!this.warnings.includes(text)) this.warnings.push(text);
  }

  /** Notes the origin at `pointer` and returns the value. */
  value<T>(pointer: string, { value, origin }: Sourced<T>): T {
    this.note(pointer, origin);
    return value;
  }

  /** Notes the origin of each at `pointer/INDEX`, and of the whole at `pointer`. */
  list<T>(pointer: string, items: readonly Sourced<T>[]): readonly T[] {
    const [first] = items;
    // What serves the whole list is there for whoever asked the most: a flag before the image before a default.
    const whole =
      items.find(({ origin }) => origin.by === "flag") ??
      items.find(({ origin }) => origin.by === "image") ??
      first;
    if (whole !== undefined && !this.origins.has(pointer)) this.note(pointer, whole.origin);
    return items.map((item, index) => this.value(`${pointer}/${index}`, item));
  }

  /** Notes the origin of each at `pointer/KEY`; the last one of a key stays. */
  record<T>(pointer: string, items: readonly (readonly [string, Sourced<T>])[]): Readonly<Record<string, T>> {
    const record: Record<string, T> = {};
    for (const [key, item] of items) record[key] = this.value(`${pointer}/${escapeKey(key)}`, item);
    return record;
  }
}

/** RFC 6901, section 3. */
export function escapeKey(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}
