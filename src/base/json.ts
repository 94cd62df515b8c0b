import { VitrineError } from "./errors.ts";
import { limits } from "./limits.ts";

/** A parsed document. Objects have own properties only from the text; the key `__proto__` cannot occur. */
export type JsonValue<Extra = never> =
  | null
  | boolean
  | number
  | string
  | Extra
  | readonly JsonValue<Extra>[]
  | { readonly [key: string]: JsonValue<Extra> | undefined };

export interface JsonOptions {
  /** More bytes than this are `json-too-large`. */
  readonly maxBytes: number;
  /** Nesting of arrays and objects, default `limits.jsonDepth`; deeper is `json-too-deep`. */
  readonly maxDepth?: number;
  /** Names the document in errors. */
  readonly name?: string;
  /** Integers that a double cannot hold come as `bigint` (uint64 fields); otherwise 2^64-1 reads as 2^64. */
  readonly exactIntegers?: boolean;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Parses untrusted UTF-8 JSON (RFC 8259). Of duplicate keys the last wins, as in Go's encoding/json.
 * Errors, all kind invalid: `json-too-large`, `json-too-deep`, `json-not-utf8`, `json-syntax` (message with line and
 * column), `json-forbidden-key` (`__proto__`, which would change a prototype when copied carelessly).
 */
export function parseJson(
  bytes: Uint8Array,
  options: JsonOptions & { readonly exactIntegers: true },
): JsonValue<bigint>;
export function parseJson(bytes: Uint8Array, options: JsonOptions): JsonValue;
export function parseJson(bytes: Uint8Array, options: JsonOptions): JsonValue<bigint> {
  const { maxBytes, maxDepth = limits.jsonDepth, name } = options;
  if (bytes.length > maxBytes) {
    throw invalid("json-too-large", `JSON of ${bytes.length} bytes exceeds the ${maxBytes} allowed`, name);
  }
  let text: string;
  try {
    text = strict.decode(bytes);
  } catch (cause) {
    throw invalid("json-not-utf8", "JSON is not valid UTF-8", name, cause);
  }
  const revive = options.exactIntegers === true && hasLongNumber(bytes) ? exactInteger : undefined;
  if (isHarmless(text)) {
    try {
      const value = JSON.parse(text, revive) as JsonValue<bigint>;
      if (!nestsDeeper(value, maxDepth)) return value;
    } catch {
      // The scanner says where.
    }
  }
  const problem = new Scanner(bytes, maxDepth).problem();
  if (problem !== undefined) {
    throw invalid(problem.code, `${problem.message} at ${place(bytes, problem.at)}`, name);
  }
  try {
    return JSON.parse(text, revive);
  } catch (cause) {
    throw invalid("json-syntax", "JSON cannot be parsed", name, cause);
  }
}

/** With no more of them JSON.parse, which may recurse, runs out of no stack. */
const bracketsMost = 4096;

/**
 * Whether the scanner could find nothing but depth that JSON.parse does not: the forbidden key stands nowhere, nor an
 * escape that could spell it. Costs a start a hundredth of the scanner.
 */
function isHarmless(text: string): boolean {
  return (
    !text.includes("__proto__") &&
    !text.includes("\\u") &&
    opening(text, "{", bracketsMost) + opening(text, "[", bracketsMost) <= bracketsMost
  );
}

function nestsDeeper(value: unknown, most: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (most === 0) return true;
  for (const inner of Array.isArray(value) ? value : Object.values(value)) {
    if (typeof inner === "object" && nestsDeeper(inner, most - 1)) return true;
  }
  return false;
}

/** How often `bracket` is there; counts no further than one more than `most`. */
function opening(text: string, bracket: string, most: number): number {
  let count = 0;
  for (let at = text.indexOf(bracket); at >= 0 && count <= most; at = text.indexOf(bracket, at + 1))
    count += 1;
  return count;
}

/**
 * Whether a reviver is worth its cost: 16 digits in a row may exceed 2^53. One of them stands where every sixteenth byte is
 * looked at, which costs a start a tenth of what a regular expression does.
 */
function hasLongNumber(bytes: Uint8Array): boolean {
  const isDigit = (at: number) => bytes[at]! >= 0x30 && bytes[at]! <= 0x39;
  for (let at = 15; at < bytes.length; at += 16) {
    if (!isDigit(at)) continue;
    let first = at;
    let last = at;
    while (isDigit(first - 1)) first -= 1;
    while (isDigit(last + 1)) last += 1;
    if (last - first >= 15) return true;
  }
  return false;
}

/** ECMAScript's JSON.parse source text access (node 22, bun 1.2); not yet in TypeScript's types. */
function exactInteger(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === "number" &&
    !Number.isSafeInteger(value) &&
    context?.source !== undefined &&
    /^-?\d+$/.test(context.source)
    ? BigInt(context.source)
    : value;
}

function invalid(code: string, message: string, name: string | undefined, cause?: unknown): VitrineError {
  const whole = name === undefined ? message : `${name}: ${message}`;
  return new VitrineError("invalid", whole, { code, operand: name, cause });
}

/** "line 3 column 7", columns in bytes. */
function place(bytes: Uint8Array, at: number): string {
  let line = 1;
  let lineStart = 0;
  for (let index = 0; index < at; index++) {
    if (bytes[index] === 0x0a) {
      line += 1;
      lineStart = index + 1;
    }
  }
  return `line ${line} column ${at - lineStart + 1}`;
}

interface Problem {
  readonly code: "json-syntax" | "json-too-deep" | "json-forbidden-key";
  readonly message: string;
  readonly at: number;
}

const quote = 0x22;
const backslash = 0x5c;
const mark = {
  openObject: 0x7b,
  closeObject: 0x7d,
  openArray: 0x5b,
  closeArray: 0x5d,
  comma: 0x2c,
  colon: 0x3a,
};

/**
 * Checks the grammar without building values and without recursion, so that depth and keys are known before
 * JSON.parse runs, and errors have a position on every runtime (JavaScriptCore's have none).
 */
class Scanner {
  private readonly bytes: Uint8Array;
  private readonly maxDepth: number;
  private at = 0;

  constructor(bytes: Uint8Array, maxDepth: number) {
    this.bytes = bytes;
    this.maxDepth = maxDepth;
  }

  problem(): Problem | undefined {
    const { bytes } = this;
    /** Closing byte of each open container. */
    const open: number[] = [];
    let expecting: "value" | "value-or-close" | "key" | "key-or-close" | "after" = "value";
    while (true) {
      this.skipSpace();
      const byte = bytes[this.at];
      if (byte === undefined) {
        return expecting === "after" && open.length === 0 ? undefined : this.syntax("unexpected end of JSON");
      }
      if (expecting === "after") {
        const closer = open.at(-1);
        if (closer === undefined) return this.syntax("unexpected text after the JSON value");
        if (byte === closer) {
          open.pop();
          this.at += 1;
        } else if (byte === mark.comma) {
          expecting = closer === mark.closeObject ? "key" : "value";
          this.at += 1;
        } else {
          return this.syntax(`expected ',' or '${String.fromCharCode(closer)}'`);
        }
        continue;
      }
      if ((expecting === "value-or-close" || expecting === "key-or-close") && byte === open.at(-1)) {
        open.pop();
        this.at += 1;
        expecting = "after";
        continue;
      }
      if (expecting === "key" || expecting === "key-or-close") {
        const start = this.at;
        if (byte !== quote || !this.skipString()) return this.syntax("expected a property name");
        if (this.isForbiddenKey(start, this.at)) {
          return {
            code: "json-forbidden-key",
            message: 'property name "__proto__" is not allowed',
            at: start,
          };
        }
        this.skipSpace();
        if (bytes[this.at] !== mark.colon) return this.syntax("expected ':'");
        this.at += 1;
        expecting = "value";
        continue;
      }
      if (byte === mark.openObject || byte === mark.openArray) {
        if (open.length >= this.maxDepth) {
          return { code: "json-too-deep", message: `JSON nests deeper than ${this.maxDepth}`, at: this.at };
        }
        open.push(byte === mark.openObject ? mark.closeObject : mark.closeArray);
        expecting = byte === mark.openObject ? "key-or-close" : "value-or-close";
        this.at += 1;
        continue;
      }
      if (!this.skipScalar(byte)) return this.syntax("expected a JSON value");
      expecting = "after";
    }
  }

  private syntax(message: string): Problem {
    return { code: "json-syntax", message, at: this.at };
  }

  private skipSpace(): void {
    const { bytes } = this;
    for (let byte = bytes[this.at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; ) {
      this.at += 1;
      byte = bytes[this.at];
    }
  }

  private skipScalar(first: number): boolean {
    if (first === quote) return this.skipString();
    if (first === 0x74) return this.skipWord("true");
    if (first === 0x66) return this.skipWord("false");
    if (first === 0x6e) return this.skipWord("null");
    return this.skipNumber();
  }

  private skipWord(word: string): boolean {
    for (let index = 0; index < word.length; index++) {
      if (this.bytes[this.at + index] !== word.charCodeAt(index)) return false;
    }
    this.at += word.length;
    return true;
  }

  /** From the opening quote to past the closing one. */
  private skipString(): boolean {
    const { bytes } = this;
    for (let at = this.at + 1; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === quote) {
        this.at = at + 1;
        return true;
      }
      if (byte < 0x20) {
        this.at = at;
        return false;
      }
      if (byte === backslash) {
        at += 1;
        const escaped = bytes[at];
        const length = escaped === 0x75 ? this.hexDigits(at + 1) : 0;
        if (
          length === undefined ||
          escaped === undefined ||
          !'"\\/bfnrtu'.includes(String.fromCharCode(escaped))
        ) {
          this.at = at;
          return false;
        }
        at += length;
      }
    }
    this.at = bytes.length;
    return false;
  }

  private hexDigits(at: number): 4 | undefined {
    for (let index = at; index < at + 4; index++) {
      const byte = (this.bytes[index] ?? 0) | 0x20;
      const isHex = (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66);
      // `| 0x20` maps 0x10..0x19 onto the digits as well.
      if (!isHex || this.bytes[index]! < 0x30) return undefined;
    }
    return 4;
  }

  private skipDigits(): number {
    const start = this.at;
    for (let byte = this.bytes[this.at]; byte !== undefined && byte >= 0x30 && byte <= 0x39; ) {
      this.at += 1;
      byte = this.bytes[this.at];
    }
    return this.at - start;
  }

  private skipNumber(): boolean {
    const { bytes } = this;
    if (bytes[this.at] === 0x2d) this.at += 1;
    if (bytes[this.at] === 0x30) this.at += 1;
    else if (this.skipDigits() === 0) return false;
    if (bytes[this.at] === 0x2e) {
      this.at += 1;
      if (this.skipDigits() === 0) return false;
    }
    if (((bytes[this.at] ?? 0) | 0x20) === 0x65) {
      this.at += 1;
      if (bytes[this.at] === 0x2b || bytes[this.at] === 0x2d) this.at += 1;
      if (this.skipDigits() === 0) return false;
    }
    return true;
  }

  /** Whether the string between the quotes at `start` and `end - 1` is `__proto__`, however it is escaped. */
  private isForbiddenKey(start: number, end: number): boolean {
    const { bytes } = this;
    // Its shortest spelling has 9 bytes, its longest (every character \uXXXX) 54.
    const length = end - start - 2;
    if (length < 9 || length > 54) return false;
    const first = bytes[start + 1];
    if (first !== 0x5f && first !== backslash) return false;
    return JSON.parse(Buffer.from(bytes.subarray(start, end)).toString("latin1")) === "__proto__";
  }
}

export interface StringifyOptions {
  /** Object keys in order of their UTF-16 code units (integer-like keys first); default is insertion order. */
  readonly sortKeys?: boolean;
  /** Spaces a level; default 0, one line. */
  readonly indent?: number;
}

/** JSON text of plain data; `undefined` properties are left out. The same value gives the same text. */
export function stringifyJson(value: unknown, options: StringifyOptions = {}): string {
  const text = JSON.stringify(
    options.sortKeys === true ? sorted(value) : value,
    undefined,
    options.indent ?? 0,
  );
  if (text === undefined) {
    throw new VitrineError("internal", "value has no JSON form", { code: "json-no-form" });
  }
  return text;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null || "toJSON" in value) return value;
  // The engine puts integer-like keys first, ascending, whatever the insertion order: still one text for one value.
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}
