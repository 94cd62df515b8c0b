/** The list of `sync`, in the format of skopeo-sync(1), with patterns in the list of tags as well. */
import * as fs from "node:fs";
import { errnoOf, quoted, VitrineError } from "../../base/mod.ts";
import { compareTags, tagPattern } from "./tag-list.ts";

export interface SyncRegistry {
  readonly registry: string;
  readonly tlsVerify: boolean | undefined;
  readonly certificateDirectory: string | undefined;
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
  readonly repositories: readonly SyncRepository[];
}

export interface SyncRepository {
  /** `library/alpine` */
  readonly path: string;
  readonly digests: readonly string[];
  /** Tags that need no list. */
  readonly tags: readonly string[];
  /** Chooses among the tags that there are; undefined: none but `tags`. */
  readonly choose: ((all: readonly string[]) => readonly string[]) | undefined;
}

const mostBytes = 4 * 1024 * 1024;

/** Errors: `sync-list-invalid`, `sync-list-unreadable`, `pattern-invalid`. */
export async function readSyncList(file: string): Promise<readonly SyncRegistry[]> {
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8");
  } catch (cause) {
    throw new VitrineError("not-found", `cannot read ${quoted(file)}: ${errnoOf(cause) ?? "unknown error"}`, {
      code: "sync-list-unreadable",
      operand: file,
      cause,
    });
  }
  if (text.length > mostBytes) throw invalid(file, "it is too large");
  const { parseDocument } = await import("yaml");
  const document = parseDocument(text, { uniqueKeys: true });
  const [problem] = document.errors;
  if (problem !== undefined) throw invalid(file, problem.message.split("\n")[0]!);
  // Aliases multiply: a small file could become a large value.
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  return entriesOf(file, value, "the list").map(([registry, settings]) =>
    readRegistry(file, registry, settings),
  );
}

function readRegistry(file: string, registry: string, value: unknown): SyncRegistry {
  const fields = Object.fromEntries(entriesOf(file, value, registry));
  const known = [
    "images",
    "images-by-tag-regex",
    "images-by-semver",
    "credentials",
    "tls-verify",
    "cert-dir",
  ];
  const unknown = Object.keys(fields).find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw invalid(file, `${registry} has ${quoted(unknown)}, which is not ${known.join(", ")}`);
  const repositories = [
    ...entriesOf(file, fields["images"] ?? {}, `${registry}.images`).map(([path, tags]) =>
      readImages(file, path, tags),
    ),
    ...entriesOf(file, fields["images-by-tag-regex"] ?? {}, `${registry}.images-by-tag-regex`).map(
      ([path, text]) => {
        const pattern = tagPattern(`/${requireText(file, text, path)}/`);
        return chosen(path, (tag) => pattern.test(tag));
      },
    ),
    ...entriesOf(file, fields["images-by-semver"] ?? {}, `${registry}.images-by-semver`).map(
      ([path, text]) => {
        const suits = versionRange(file, requireText(file, text, path));
        return chosen(path, suits);
      },
    ),
  ];
  const credentials = Object.fromEntries(
    entriesOf(file, fields["credentials"] ?? {}, `${registry}.credentials`),
  );
  const { username, password } = credentials;
  const verify = fields["tls-verify"];
  if (verify !== undefined && typeof verify !== "boolean")
    throw invalid(file, `${registry}.tls-verify is true or false`);
  const directory = fields["cert-dir"];
  return {
    registry,
    repositories,
    tlsVerify: verify,
    certificateDirectory:
      directory === undefined ? undefined : requireText(file, directory, `${registry}.cert-dir`),
    credentials:
      username === undefined
        ? undefined
        : {
            user: requireText(file, username, `${registry}.credentials.username`),
            password: requireText(file, password, `${registry}.credentials.password`),
          },
  };
}

function chosen(path: string, suits: (tag: string) => boolean): SyncRepository {
  return { path, digests: [], tags: [], choose: (all) => all.filter(suits) };
}

/** An empty list means every tag. */
function readImages(file: string, path: string, value: unknown): SyncRepository {
  const list = value === null ? [] : value;
  if (!Array.isArray(list)) throw invalid(file, `${path} has no list of tags`);
  // YAML reads 1.10 as a number: it would become the tag 1.1.
  const texts = list.map((item) => requireText(file, item, `${path}: a tag`));
  if (texts.length === 0) return { path, digests: [], tags: [], choose: (all) => all };
  const digests = texts.filter((text) => text.includes(":"));
  const patterns = texts.filter((text) => /[*?[\]/]/.test(text)).map(tagPattern);
  const tags = texts.filter((text) => !text.includes(":") && !/[*?[\]/]/.test(text));
  const choose =
    patterns.length === 0
      ? undefined
      : (all: readonly string[]) => all.filter((tag) => patterns.some((pattern) => pattern.test(tag)));
  return { path, digests, tags, choose };
}

const comparator = /^(>=|<=|>|<|=|\^|~)?\s*v?(\d{1,9}(?:\.\d{1,9}){0,2})$/;

/** `>= 3.12.0, < 4` (all must hold), `^1.2`, `~1.2.3`; alternatives by `||`. Only plain versions suit, no pre-releases. */
export function versionRange(file: string, text: string): (tag: string) => boolean {
  const alternatives = text.split("||").map((part) =>
    part
      .replace(/(>=|<=|>|<|=|\^|~)\s+/g, "$1")
      .split(/[\s,]+/)
      .filter((item) => item !== "")
      .map((item) => {
        const match = comparator.exec(item);
        if (match === null) throw invalid(file, `${quoted(text)} is no range of versions`);
        return [match[1] ?? "=", match[2]!] as const;
      }),
  );
  return (tag) => {
    const version = /^v?(\d+(?:\.\d+){0,2})$/.exec(tag)?.[1];
    if (version === undefined) return false;
    return alternatives.some((all) =>
      all.every(([operator, bound]) => holds(padded(version), operator, bound)),
    );
  };
}

function holds(version: string, operator: string, bound: string): boolean {
  const difference = compareTags(version, padded(bound));
  switch (operator) {
    case ">=":
      return difference >= 0;
    case "<=":
      return difference <= 0;
    case ">":
      return difference > 0;
    case "<":
      return difference < 0;
    case "^":
      return difference >= 0 && compareTags(version, ceiling(bound, firstNonZero(bound))) < 0;
    case "~":
      return difference >= 0 && compareTags(version, ceiling(bound, bound.includes(".") ? 1 : 0)) < 0;
    default:
      return version.split(".").slice(0, bound.split(".").length).join(".") === bound;
  }
}

function padded(version: string): string {
  const parts = version.split(".");
  while (parts.length < 3) parts.push("0");
  return parts.map((part) => String(Number(part))).join(".");
}

/** The first version above those that share the part at `at` and all before it. */
function ceiling(bound: string, at: number): string {
  const parts = padded(bound).split(".").map(Number);
  return parts.map((part, place) => (place < at ? part : place === at ? part + 1 : 0)).join(".");
}

/** semver's caret: what is left of the first number that is not 0 stays. */
function firstNonZero(bound: string): number {
  const parts = padded(bound).split(".").map(Number);
  const found = parts.findIndex((part) => part !== 0);
  return found === -1 ? parts.length - 1 : found;
}

function entriesOf(file: string, value: unknown, where: string): readonly (readonly [string, unknown])[] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return Object.entries(value);
  throw invalid(file, `${where} is no table`);
}

function requireText(file: string, value: unknown, where: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw invalid(file, `${where} is ${JSON.stringify(value) ?? "missing"}, not a text: put it in quotes`);
}

function invalid(file: string, what: string): VitrineError {
  return new VitrineError("invalid", `${file}: ${what}`, {
    code: "sync-list-invalid",
    operand: file,
    hint: "see 'vitrine help sync' for an example",
  });
}
