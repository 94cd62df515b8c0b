/** Reads values out of a parsed TOML file, with complaints that name file and key. */
import { VitrineError } from "../../base/mod.ts";

export class TomlField {
  private readonly value: unknown;
  private readonly file: string;
  private readonly name: string;

  constructor(value: unknown, file: string, name: string) {
    this.value = value;
    this.file = file;
    this.name = name;
  }

  at(key: string): TomlField {
    const table = this.table();
    const value = Object.hasOwn(table, key) ? table[key] : undefined;
    return new TomlField(value, this.file, this.name === "" ? key : `${this.name}.${key}`);
  }

  keys(): readonly string[] {
    return Object.keys(this.table());
  }

  text(): string | undefined {
    if (this.value === undefined || typeof this.value === "string") return this.value;
    return this.fail("is not a string");
  }

  flag(): boolean | undefined {
    if (this.value === undefined || typeof this.value === "boolean") return this.value;
    return this.fail("is not true or false");
  }

  texts(): readonly string[] | undefined {
    if (this.value === undefined) return undefined;
    if (Array.isArray(this.value) && this.value.every((item) => typeof item === "string")) return this.value;
    return this.fail("is not a list of strings");
  }

  tables(): readonly TomlField[] {
    if (this.value === undefined) return [];
    if (!Array.isArray(this.value)) return this.fail("is not a list of tables");
    return this.value.map((item, at) => new TomlField(item, this.file, `${this.name}[${at}]`));
  }

  /** Error: `registries-conf-invalid`. */
  fail(what: string): never {
    throw new VitrineError("invalid", `${this.file}: ${this.name} ${what}`, {
      code: "registries-conf-invalid",
      operand: this.file,
    });
  }

  private table(): Readonly<Record<string, unknown>> {
    if (this.value === undefined) return {};
    if (typeof this.value !== "object" || this.value === null || Array.isArray(this.value)) {
      return this.fail("is not a table");
    }
    return this.value as Readonly<Record<string, unknown>>;
  }
}
