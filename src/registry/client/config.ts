/** registries.conf, version 2 (containers-registries.conf(5)) with its drop-ins: where names lead. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, noting, quoted, VitrineError } from "../../base/mod.ts";
import type { ImageReference } from "../../image/mod.ts";
import { parsePlainToml } from "./plain-toml.ts";
import { TomlField } from "./toml-field.ts";
import type { Environment } from "./types.ts";

export type PullFromMirror = "all" | "digest-only" | "tag-only";

export interface Mirror {
  readonly location: string;
  readonly insecure: boolean;
  readonly pull: PullFromMirror;
}

export interface RegistryEntry {
  /** `host[:port][/namespace…]` or `*.domain`. */
  readonly prefix: string;
  /** Takes the place of the prefix; undefined changes nothing. */
  readonly location: string | undefined;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrors: readonly Mirror[];
}

export type ShortNameMode = "enforcing" | "permissive" | "disabled";

export interface RegistriesConfig {
  /** Undefined: nobody says, and Docker Hub is meant, as with docker. */
  readonly searched: readonly string[] | undefined;
  readonly mode: ShortNameMode;
  /** Short name → `host/path`. */
  readonly aliases: ReadonlyMap<string, string>;
  readonly registries: readonly RegistryEntry[];
  /** Where credentials are looked for and kept: names of helpers, and `authFilesHelper` for the files. Undefined: the files. */
  readonly helpers?: readonly string[];
}

/** A place to ask for an image. */
export interface Endpoint {
  readonly domain: string;
  readonly path: string;
  readonly insecure: boolean;
  readonly isMirror: boolean;
}

export interface ConfigOptions {
  readonly environment: Environment;
  readonly uid: number;
  /** `/etc`, or a test's own. */
  readonly systemDirectory: string;
}

const mostBytes = 4 * 1024 * 1024;

/** Reads what is there; nothing is needed. Errors: `registries-conf-invalid`, `registries-conf-unreadable`. */
export async function loadRegistriesConfig(options: ConfigOptions): Promise<RegistriesConfig> {
  const files = configFiles(options);
  const parts: Part[] = [];
  for (const file of files) {
    const text = readIfThere(file);
    if (text !== undefined) parts.push(await parsePart(text, file));
  }
  return merge(parts);
}

/** `credential-helpers` of registries.conf. Errors: those of `loadRegistriesConfig`. */
export async function credentialHelpers(
  options: Omit<ConfigOptions, "systemDirectory"> & { readonly systemDirectory?: string },
): Promise<readonly string[] | undefined> {
  return (await loadRegistriesConfig({ systemDirectory: "/etc", ...options })).helpers;
}

/** The main file, then drop-ins in the order of their names, the user's after the machine's. */
function configFiles(options: ConfigOptions): readonly string[] {
  const { environment, systemDirectory } = options;
  const named =
    environment["CONTAINERS_REGISTRIES_CONF"] || environment["REGISTRIES_CONFIG_PATH"] || undefined;
  const { HOME, XDG_CONFIG_HOME } = environment;
  const config = XDG_CONFIG_HOME || (HOME ? path.join(HOME, ".config") : undefined);
  const own = config === undefined ? undefined : path.join(config, "containers/registries.conf");
  const system = path.join(systemDirectory, "containers/registries.conf");
  const usesOwn = named === undefined && own !== undefined && fs.existsSync(own);
  const main = named ?? (usesOwn ? own : system);
  const dropIns = [
    // Whoever has a file of their own does not want the machine's additions.
    ...(usesOwn || named !== undefined ? [] : listConf(`${system}.d`)),
    ...(own === undefined || named !== undefined ? [] : listConf(`${own}.d`)),
  ];
  const recorded = aliasFile(options);
  return [main, ...dropIns, ...(recorded === undefined ? [] : [recorded])];
}

/** Where podman and we keep what a user chose for a short name; the machine's for root. */
export function aliasFile({ environment, uid, systemDirectory }: ConfigOptions): string | undefined {
  const { HOME, XDG_CACHE_HOME } = environment;
  const own = XDG_CACHE_HOME || (HOME ? path.join(HOME, ".cache") : undefined);
  const cache = uid === 0 ? path.join(systemDirectory, "../var/cache") : own;
  return cache === undefined ? undefined : path.join(cache, "containers/short-name-aliases.conf");
}

/** What is kept there. */
export async function readAliasFile(file: string): Promise<ReadonlyMap<string, string>> {
  const text = readIfThere(file);
  return text === undefined ? new Map() : (await parsePart(text, file)).aliases;
}

function listConf(directory: string): readonly string[] {
  const listed = noting.noter?.listing();
  try {
    const names = fs.readdirSync(directory).filter((name) => name.endsWith(".conf"));
    return names.sort().map((name) => path.join(directory, name));
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return [];
    throw unreadable(directory, error);
  } finally {
    listed?.();
  }
}

function readIfThere(file: string): string | undefined {
  try {
    if ((fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0) > mostBytes) {
      throw new VitrineError("invalid", `${file} is too large`, {
        code: "registries-conf-invalid",
        operand: file,
      });
    }
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    if (error instanceof VitrineError) throw error;
    throw unreadable(file, error);
  }
}

function unreadable(file: string, cause: unknown): VitrineError {
  return new VitrineError("denied", `cannot read ${file}: ${errnoOf(cause) ?? "unknown error"}`, {
    code: "registries-conf-unreadable",
    operand: file,
    cause,
  });
}

/** One file. */
interface Part {
  readonly searched: readonly string[] | undefined;
  readonly mode: ShortNameMode | undefined;
  readonly aliases: ReadonlyMap<string, string>;
  readonly registries: readonly RegistryEntry[];
  readonly helpers: readonly string[] | undefined;
}

async function parsePart(text: string, file: string): Promise<Part> {
  return partOf(parsePlainToml(text) ?? (await parseToml(text, file)), file);
}

/** Most machines have no more than comments and aliases, and the parser takes as long to load as all the rest of this. */
async function parseToml(text: string, file: string): Promise<unknown> {
  const { parse, TomlError } = await import("smol-toml");
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const what = cause.message.split("\n")[0]!;
    throw new VitrineError("invalid", `${file}:${cause.line}:${cause.column}: ${what}`, {
      code: "registries-conf-invalid",
      operand: file,
      cause,
    });
  }
}

function partOf(value: unknown, file: string): Part {
  const root = new TomlField(value, file, "");
  const mode = root.at("short-name-mode").text();
  if (mode !== undefined && !["", "enforcing", "permissive", "disabled"].includes(mode)) {
    root.at("short-name-mode").fail("is enforcing, permissive or disabled");
  }
  return {
    searched: root.at("unqualified-search-registries").texts() ?? oldList(root, "search"),
    mode: (mode || undefined) as ShortNameMode | undefined,
    aliases: readAliases(root.at("aliases")),
    helpers: root.at("credential-helpers").texts(),
    registries: [...root.at("registry").tables().map(readEntry), ...oldEntries(root)],
  };
}

/** Version 1: `[registries.search] registries = […]`. */
function oldList(root: TomlField, name: "search" | "insecure" | "block"): readonly string[] | undefined {
  return root.at("registries").at(name).at("registries").texts();
}

function oldEntries(root: TomlField): readonly RegistryEntry[] {
  const insecure = oldList(root, "insecure") ?? [];
  const blocked = oldList(root, "block") ?? [];
  return [...new Set([...insecure, ...blocked])].map((prefix) => ({
    prefix,
    location: undefined,
    insecure: insecure.includes(prefix),
    blocked: blocked.includes(prefix),
    mirrors: [],
  }));
}

function readAliases(field: TomlField): ReadonlyMap<string, string> {
  return new Map(field.keys().map((name) => [name, field.at(name).text() ?? ""]));
}

const place = /^(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?(?:\/[a-z0-9._-]+)*$/;

function readEntry(table: TomlField): RegistryEntry {
  const location = readPlace(table.at("location"));
  const prefix = table.at("prefix").text() || location;
  if (prefix === undefined) return table.fail("needs a prefix or a location");
  if (prefix.includes("*")) {
    if (!/^\*(?:\.[A-Za-z0-9-]+)+$/.test(prefix))
      table.at("prefix").fail("may have * only as in *.example.com");
  }
  const digestOnly = table.at("mirror-by-digest-only").flag() ?? false;
  return {
    prefix: prefix.replace(/\/+$/, ""),
    location,
    insecure: table.at("insecure").flag() ?? false,
    blocked: table.at("blocked").flag() ?? false,
    mirrors: table
      .at("mirror")
      .tables()
      .map((mirror) => {
        const pull = mirror.at("pull-from-mirror").text() || (digestOnly ? "digest-only" : "all");
        if (!["all", "digest-only", "tag-only"].includes(pull)) {
          mirror.at("pull-from-mirror").fail("is all, digest-only or tag-only");
        }
        return {
          location: readPlace(mirror.at("location")) ?? mirror.fail("needs a location"),
          insecure: mirror.at("insecure").flag() ?? false,
          pull: pull as PullFromMirror,
        };
      }),
  };
}

function readPlace(field: TomlField): string | undefined {
  const text = field.text()?.replace(/\/+$/, "");
  if (text === undefined || text === "") return undefined;
  if (!place.test(text)) field.fail(`is HOST[:PORT][/NAMESPACE], not ${quoted(text)}`);
  return text;
}

/** Later files win; an entry for the same prefix replaces, an empty alias removes. */
function merge(parts: readonly Part[]): RegistriesConfig {
  const registries = new Map<string, RegistryEntry>();
  const aliases = new Map<string, string>();
  let searched: readonly string[] | undefined;
  let mode: ShortNameMode | undefined;
  let helpers: readonly string[] | undefined;
  for (const part of parts) {
    for (const entry of part.registries) registries.set(entry.prefix, entry);
    for (const [name, target] of part.aliases) {
      if (target === "") aliases.delete(name);
      else aliases.set(name, target);
    }
    searched = part.searched ?? searched;
    mode = part.mode ?? mode;
    helpers = part.helpers ?? helpers;
  }
  return {
    searched,
    mode: mode ?? "permissive",
    aliases,
    registries: [...registries.values()],
    ...(helpers !== undefined && helpers.length > 0 && { helpers }),
  };
}

/** The entry whose prefix is the longest that leads to the reference. */
export function entryFor(
  config: RegistriesConfig,
  reference: Pick<ImageReference, "domain" | "path" | "tag" | "digest">,
): RegistryEntry | undefined {
  const repository = `${reference.domain}/${reference.path}`;
  const full = `${repository}${reference.tag === undefined ? "" : `:${reference.tag}`}${reference.digest === undefined ? "" : `@${reference.digest}`}`;
  const matching = config.registries.filter(({ prefix }) => {
    if (prefix.startsWith("*.")) return hostname(reference.domain).endsWith(prefix.slice(1));
    return full === prefix || (full.startsWith(prefix) && "/:@".includes(full[prefix.length]!));
  });
  return matching.sort((left, right) => right.prefix.length - left.prefix.length)[0];
}

/**
 * Where to ask, in order: the mirrors that serve such a reference, then the place itself. Error: `registry-blocked`.
 */
export function endpointsFor(
  config: RegistriesConfig,
  reference: Pick<ImageReference, "domain" | "path" | "tag" | "digest">,
): readonly Endpoint[] {
  const entry = entryFor(config, reference);
  const own = { domain: reference.domain, path: reference.path, insecure: false, isMirror: false };
  if (entry === undefined) return [own];
  if (entry.blocked) {
    throw new VitrineError("denied", `registries.conf blocks ${entry.prefix}`, {
      code: "registry-blocked",
      operand: entry.prefix,
      hint: "it says blocked = true for this prefix",
    });
  }
  const kind = reference.digest === undefined ? "tag-only" : "digest-only";
  const mirrors = entry.mirrors
    .filter(({ pull }) => pull === "all" || pull === kind)
    .map((mirror) => ({
      ...relocated(reference, entry.prefix, mirror.location),
      insecure: mirror.insecure,
      isMirror: true,
    }));
  const primary =
    entry.location === undefined ? own : { ...own, ...relocated(reference, entry.prefix, entry.location) };
  return [...mirrors, { ...primary, insecure: entry.insecure }];
}

/** `prefix` at the head of the name replaced by `location`; of a wildcard, the whole host. */
function relocated(
  { domain, path: name }: Pick<ImageReference, "domain" | "path">,
  prefix: string,
  location: string,
): Pick<Endpoint, "domain" | "path"> {
  const whole = `${domain}/${name}`;
  const head = prefix.startsWith("*.") ? domain : withoutTag(prefix);
  const moved = location + whole.slice(head.length);
  const slash = moved.indexOf("/");
  return { domain: moved.slice(0, slash), path: moved.slice(slash + 1) };
}

/** A prefix may be a whole reference; a location never is. */
function withoutTag(prefix: string): string {
  return prefix.replace(/(\/[^/:@]*)[:@][^/]*$/, "$1");
}

function hostname(domain: string): string {
  return domain.replace(/:[0-9]+$/, "");
}
