/** The functions of a template: Go's predefined ones, and those docker and podman add. */
import { jsonText } from "../format/json.ts";
import { printedAs } from "./labels.ts";
import { goFormat } from "./printf.ts";
import { evaluationError } from "./problem.ts";

type TemplateFunction = (...args: unknown[]) => unknown;

export const functions: Readonly<Record<string, TemplateFunction>> = {
  // Evaluated lazily by evaluateLogic; here only so that they are known.
  and: () => undefined,
  or: () => undefined,
  not: (value) => !truth(value),
  len: (value) => {
    if (typeof value === "string") return new TextEncoder().encode(value).length;
    if (Array.isArray(value)) return value.length;
    if (value !== null && typeof value === "object") return Object.keys(value).length;
    throw evaluationError(`len of ${value === undefined ? "nothing" : typeof value}`);
  },
  index: (value, ...keys) => keys.reduce(indexOne, value),
  slice: (value, from = 0, to) => {
    if (typeof value !== "string" && !Array.isArray(value))
      throw evaluationError("slice needs a list or a string");
    const end = to ?? value.length;
    if (typeof from !== "number" || typeof end !== "number" || from < 0 || end > value.length || from > end) {
      throw evaluationError("slice is out of range");
    }
    return value.slice(from, end);
  },
  eq: (first, ...others) => {
    if (others.length === 0) throw evaluationError("eq needs two values");
    return others.some((other) => equal(first, other));
  },
  ne: (left, right) => !equal(left, right),
  lt: (left, right) => compare(left, right) < 0,
  le: (left, right) => compare(left, right) <= 0,
  gt: (left, right) => compare(left, right) > 0,
  ge: (left, right) => compare(left, right) >= 0,
  print: (...values) =>
    values
      .map((value, index) => {
        // fmt.Print: a space between operands when neither is a string.
        const spaced = index > 0 && typeof value !== "string" && typeof values[index - 1] !== "string";
        return (spaced ? " " : "") + goText(value);
      })
      .join(""),
  println: (...values) => `${values.map(goText).join(" ")}\n`,
  printf: (format, ...values) => goFormat(text(format, "printf"), values),
  json: (value) => jsonText(value),
  jsonpretty: (value) => jsonText(value, 2),
  lower: (value) => text(value, "lower").toLowerCase(),
  upper: (value) => text(value, "upper").toUpperCase(),
  title: (value) => text(value, "title").replace(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (all) => all.toUpperCase()),
  trim: (value) => text(value, "trim").trim(),
  split: (value, separator) => text(value, "split").split(text(separator, "split")),
  join: (list, separator) => {
    if (!Array.isArray(list)) throw evaluationError("join needs a list");
    return list.map(goText).join(text(separator, "join"));
  },
  replace: (old, replacement, value) =>
    text(value, "replace").replaceAll(text(old, "replace"), () => text(replacement, "replace")),
  truncate: (value, length) => [...text(value, "truncate")].slice(0, count(length, "truncate")).join(""),
  pad: (value, before, after) =>
    text(value, "pad") === ""
      ? ""
      : " ".repeat(count(before, "pad")) + text(value, "pad") + " ".repeat(count(after, "pad")),
};

/** The first argument that decides, as Go: the rest is not evaluated. */
export function evaluateLogic(name: "and" | "or", operands: readonly (() => unknown)[]): unknown {
  if (operands.length === 0) throw evaluationError(`${name} needs a value`);
  let value: unknown;
  for (const operand of operands) {
    value = operand();
    if (truth(value) === (name === "or")) return value;
  }
  return value;
}

/** Go's truth: not the zero value; a struct always. */
export function truth(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value !== null && typeof value === "object") {
    return Object.getPrototypeOf(value) !== null || Object.keys(value).length > 0;
  }
  return Boolean(value);
}

/** `%v`: how Go prints a value. */
export function goText(value: unknown): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (typeof value === "function") return goText(value());
  if (Array.isArray(value)) return `[${value.map(goText).join(" ")}]`;
  if (typeof value === "object") {
    if (printedAs in value) return String(value[printedAs]);
    const isMap = Object.getPrototypeOf(value) === null;
    const entries = Object.entries(value);
    if (!isMap) return `{${entries.map(([, element]) => goText(element)).join(" ")}}`;
    const sorted = entries.sort(([left], [right]) => (left < right ? -1 : 1));
    return `map[${sorted.map(([key, element]) => `${key}:${goText(element)}`).join(" ")}]`;
  }
  return String(value);
}

function indexOne(value: unknown, key: unknown): unknown {
  if (Array.isArray(value) || typeof value === "string") {
    if (typeof key !== "number" || key < 0 || key >= value.length) {
      throw evaluationError(`index ${goText(key)} is out of range`);
    }
    return typeof value === "string" ? value.charCodeAt(key) : value[key];
  }
  if (value !== null && typeof value === "object" && typeof key === "string") {
    return Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
  }
  throw evaluationError(`index of ${value === undefined ? "nothing" : typeof value}`);
}

function equal(left: unknown, right: unknown): boolean {
  if (left === null || left === undefined || right === null || right === undefined) return left === right;
  if (typeof left !== typeof right || typeof left === "object") {
    throw evaluationError(`${typeof left} and ${typeof right} cannot be compared`);
  }
  return left === right;
}

function compare(left: unknown, right: unknown): number {
  if (typeof left === "number" && typeof right === "number") return left - right;
  if (typeof left === "string" && typeof right === "string") return left < right ? -1 : left > right ? 1 : 0;
  throw evaluationError(`${typeof left} and ${typeof right} have no order`);
}

function text(value: unknown, name: string): string {
  if (typeof value === "string") return value;
  throw evaluationError(`${name} needs a string`);
}

function count(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 10_000) return value;
  throw evaluationError(`${name} needs a number from 0 to 10000`);
}
