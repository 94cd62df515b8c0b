/**
 * Reading a document of unknown origin: a value of `JSON.parse` with the JSON pointer (RFC 6901) it stands at, so that
 * every complaint names the field. As in the Go programs that write these documents, `null` counts as absent.
 */
import { type ErrorKind, printable, quoted, VitrineError } from "../base/mod.ts";

/** What is being read, for messages and codes. */
export interface DocumentKind {
  /** As people call it: `config.json`, `image manifest`. */
  readonly name: string;
  /** The code of an error that has no more exact one, e.g. `manifest-invalid`. */
  readonly code: string;
  readonly errorKind: ErrorKind;
}

export interface Complaint {
  readonly kind?: ErrorKind;
  readonly code?: string;
  readonly hint?: string;
  readonly cause?: unknown;
}

const elementsMost = 65_536;

export class Field {
  readonly document: DocumentKind;
  readonly value: unknown;
  readonly #parent: Field | undefined;
  readonly #name: string | number;

  private constructor(
    document: DocumentKind,
    parent: Field | undefined,
    name: string | number,
    value: unknown,
  ) {
    this.document = document;
    this.#parent = parent;
    this.#name = name;
    this.value = value ?? undefined;
  }

  static root(document: DocumentKind, value: unknown): Field {
    return new Field(document, undefined, "", value);
  }

  /** Put together when somebody asks, which only a complaint does: a start reads some hundred fields. */
  get pointer(): string {
    if (this.#parent === undefined) return "";
    const name = typeof this.#name === "number" ? String(this.#name) : escapePointer(this.#name);
    return `${this.#parent.pointer}/${name}`;
  }

  /** Throws: `problem` follows the pointer in the message, the pointer is the error's operand. */
  fail(problem: string, complaint: Complaint = {}): never {
    const where = this.pointer === "" ? "" : ` ${printable(this.pointer)}`;
    throw new VitrineError(
      complaint.kind ?? this.document.errorKind,
      `${this.document.name}:${where} ${problem}`,
      {
        code: complaint.code ?? this.document.code,
        operand: printable(this.pointer),
        hint: complaint.hint,
        cause: complaint.cause,
      },
    );
  }

  get present(): boolean {
    return this.value !== undefined;
  }

  /** The member `name` of an object. Its absence is no error until it is read. */
  at(name: string): Field {
    const members = this.members();
    const value = Object.hasOwn(members, name) ? members[name] : undefined;
    return new Field(this.document, this, name, value);
  }

  /** `read(this)`, or undefined where the field is absent. */
  optional<T>(read: (field: Field) => T): T | undefined {
    return this.value === undefined ? undefined : read(this);
  }

  /** Any text; `string` is for what reaches the kernel. */
  text(): string {
    return typeof this.value === "string" ? this.value : this.wrongType("a string");
  }

  /** Text without NUL: a NUL would end it early wherever C reads it. */
  string(): string {
    const text = this.text();
    return text.includes("\0") ? this.fail("must not hold a NUL character") : text;
  }

  /** Not empty and without NUL. */
  filled(): string {
    const text = this.string();
    return text === "" ? this.fail("must not be empty") : text;
  }

  absolutePath(): string {
    const path = this.string();
    return path.startsWith("/") ? path : this.fail(`must be an absolute path, is ${quoted(path)}`);
  }

  boolean(): boolean {
    return typeof this.value === "boolean" ? this.value : this.wrongType("true or false");
  }

  /** An integer of at most 53 bits between the bounds, inclusive. */
  integer(minimum: number, maximum: number): number {
    const { value } = this;
    if (Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum) {
      return (value as number) + 0; // -0 is 0
    }
    return Number(this.bigint(BigInt(minimum), BigInt(maximum)));
  }

  uint32(): number {
    return this.integer(0, 0xffff_ffff);
  }

  int64(): bigint {
    return this.bigint(-(2n ** 63n), 2n ** 63n - 1n);
  }

  uint64(): bigint {
    return this.bigint(0n, 2n ** 64n - 1n);
  }

  bigint(minimum: bigint, maximum: bigint): bigint {
    const { value } = this;
    if (typeof value !== "bigint" && typeof value !== "number") {
      return this.wrongType("an integer");
    }
    if (typeof value === "number" && !Number.isInteger(value)) {
      return this.fail(`must be an integer, is ${value}`);
    }
    const integer = BigInt(value);
    return integer >= minimum && integer <= maximum
      ? integer
      : this.fail(`must be between ${minimum} and ${maximum}, is ${value}`);
  }

  oneOf<T extends string>(allowed: readonly T[]): T {
    const text = this.text();
    return allowed.includes(text as T)
      ? (text as T)
      : this.fail(`is ${quoted(text)}, must be one of ${allowed.join(", ")}`);
  }

  /** The elements, `null` ones included (which then read as absent). */
  elements(most = elementsMost): readonly Field[] {
    const { value } = this;
    if (!Array.isArray(value)) {
      return this.wrongType("an array");
    }
    if (value.length > most) {
      return this.fail(`has ${value.length} entries, at most ${most} are allowed`);
    }
    return value.map((element: unknown, index) => new Field(this.document, this, index, element));
  }

  array<T>(read: (element: Field) => T, most?: number): readonly T[] {
    return this.elements(most).map(read);
  }

  strings(): readonly string[] {
    return this.#plainStrings() ?? this.array((element) => element.string());
  }

  /** Of strings that are not empty. */
  filledStrings(): readonly string[] {
    const plain = this.#plainStrings();
    return plain !== undefined && !plain.includes("") ? plain : this.array((element) => element.filled());
  }

  /** Without a field for each (a seccomp profile has four hundred); undefined: one of them has something to tell. */
  #plainStrings(): readonly string[] | undefined {
    const { value } = this;
    if (!Array.isArray(value) || value.length > elementsMost) return undefined;
    for (const element of value) {
      if (typeof element !== "string" || element.includes("\0")) return undefined;
    }
    return [...(value as readonly string[])];
  }

  /** The members of an object, in their order. Keys are text of unknown origin. */
  entries(): readonly (readonly [string, Field])[] {
    return Object.entries(this.members()).map(([name, value]) => [
      name,
      new Field(this.document, this, name, value),
    ]);
  }

  record<T>(read: (member: Field, name: string) => T): Readonly<Record<string, T>> {
    // fromEntries defines properties: a member named __proto__ stays data.
    return Object.fromEntries(this.entries().map(([name, member]) => [name, read(member, name)]));
  }

  private members(): Readonly<Record<string, unknown>> {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return this.wrongType("an object");
    }
    return value as Readonly<Record<string, unknown>>;
  }

  private wrongType(expected: string): never {
    return this.value === undefined
      ? this.fail("is required")
      : this.fail(`must be ${expected}, is ${typeName(this.value)}`);
  }
}

/** `object` without the members that are undefined: absent and undefined compare and print alike. */
export function compact<T extends object>(object: T): T {
  for (const key of Object.keys(object) as (keyof T)[]) {
    if (object[key] === undefined) {
      delete object[key];
    }
  }
  return object;
}

function typeName(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  switch (typeof value) {
    case "object":
      return "an object";
    case "bigint":
    case "number":
      return "a number";
    case "string":
      return `the string ${quoted(value as string, 40)}`;
    default:
      return String(value);
  }
}

function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
