/** Labels in a row of a list: docker's text where they are printed or made JSON of, podman's map where a key is asked for. */
import { evaluationError } from "./problem.ts";

/** How a value is printed that is a map otherwise. */
export const printedAs: unique symbol = Symbol("printedAs");

/** `.Labels`, which prints as `a=b,c=`. */
export function labelMap(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const text = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  const map = Object.assign(Object.create(null), labels) as Record<string, string>;
  Object.defineProperty(map, printedAs, { value: text });
  return Object.defineProperty(map, "toJSON", { value: () => text });
}

/** The method `.Label KEY`. */
export function labelOf(labels: Readonly<Record<string, string>>, keys: readonly unknown[]): string {
  const [key] = keys;
  if (keys.length !== 1 || typeof key !== "string")
    throw evaluationError(".Label needs the name of one label");
  return Object.hasOwn(labels, key) ? labels[key]! : "";
}
