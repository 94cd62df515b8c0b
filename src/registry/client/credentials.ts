/**
 * Who we are to a registry: podman's auth.json (containers-auth.json(5)) and docker's config.json, which have one format,
 * and the programs that keep passwords for them.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  errnoOf,
  type JsonValue,
  parseJson,
  quoted,
  VitrineError,
  writeFileAtomically,
} from "../../base/mod.ts";
import { eraseWithHelper, getFromHelper, listOfHelper, storeWithHelper } from "./credential-helper.ts";
import type { Credentials, Environment } from "./types.ts";

/** Docker Hub has an old address of its own in these files. */
const hub = "docker.io";
const hubKey = "https://index.docker.io/v1/";
const mostBytes = 4 * 1024 * 1024;

export interface AuthFileOptions {
  readonly environment: Environment;
  readonly uid: number;
  /** `--authfile`: this file and no other. */
  readonly authFile?: string;
  /** The file is docker's, whatever its name: Docker Hub has its old key, and namespaces have none. */
  readonly dockerFormat?: boolean;
  /** `credential-helpers` of registries.conf, in order; undefined: the files alone. A file that was named stands before them. */
  readonly helpers?: readonly string[];
}

/** What registries.conf calls the files (containers-registries.conf(5), "credential-helpers"). */
export const authFilesHelper = "containers-auth.json";

/** A helper, or the files. */
function placesOf({ helpers, authFile }: AuthFileOptions): readonly string[] {
  return authFile !== undefined || helpers === undefined ? [authFilesHelper] : helpers;
}

interface AuthFile {
  readonly path: string;
  readonly content: Readonly<Record<string, JsonValue | undefined>>;
}

/** Where credentials are looked for, in order: podman's files first, then docker's. */
export function authFiles(options: AuthFileOptions): readonly string[] {
  const { environment, uid, authFile } = options;
  const named = authFile ?? (environment["REGISTRY_AUTH_FILE"] || undefined);
  if (named !== undefined) return [named];
  const { HOME, XDG_CONFIG_HOME, DOCKER_CONFIG } = environment;
  const config = XDG_CONFIG_HOME || (HOME ? path.join(HOME, ".config") : undefined);
  const docker = DOCKER_CONFIG || (HOME ? path.join(HOME, ".docker") : undefined);
  return [
    ...sessionFile(environment, uid),
    ...(config === undefined ? [] : [path.join(config, "containers/auth.json")]),
    ...(docker === undefined ? [] : [path.join(docker, "config.json")]),
  ];
}

/**
 * Gone at the end of the session, as podman's: a password is not kept longer than asked. A user without XDG_RUNTIME_DIR has
 * /run/containers/UID where somebody made it for them; else what is kept goes below the home directory.
 */
function sessionFile({ XDG_RUNTIME_DIR }: Environment, uid: number): readonly string[] {
  if (XDG_RUNTIME_DIR) return [path.join(XDG_RUNTIME_DIR, "containers/auth.json")];
  const directory = `/run/containers/${uid}`;
  return uid === 0 || mayUse(directory) ? [path.join(directory, "auth.json")] : [];
}

function mayUse(directory: string): boolean {
  try {
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The credentials for `registry/name`, from the first place that has some; of the files, the longest key that leads to it, file by file.
 * Errors: `auth-file-invalid`, `auth-file-unreadable`, `credential-helper-failed`; `auth-file-missing` for a file that was named.
 */
export async function findCredentials(
  registry: string,
  name: string | undefined,
  options: AuthFileOptions,
): Promise<Credentials | undefined> {
  for (const place of placesOf(options)) {
    const found =
      place === authFilesHelper
        ? await findInFiles(registry, name, options)
        : await getFromHelper(place, serverName(registry), options.environment);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function findInFiles(
  registry: string,
  name: string | undefined,
  options: AuthFileOptions,
): Promise<Credentials | undefined> {
  for (const file of readFiles(options)) {
    const helper = helperOf(file, registry);
    if (helper !== undefined) {
      const found = await getFromHelper(helper, serverName(registry), options.environment);
      if (found !== undefined) return found;
    }
    const auths = object(file.content["auths"]);
    for (const key of keysFor(registry, name)) {
      const entry = auths[key] ?? legacyEntry(auths, key);
      const found = entry === undefined ? undefined : credentialsOf(entry, file.path, key);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** `host/a/b`, `host/a`, `host`, and what docker writes for Docker Hub. */
function keysFor(registry: string, name: string | undefined): readonly string[] {
  const parts = name?.split("/") ?? [];
  const keys = parts.map((_, at) => [registry, ...parts.slice(0, parts.length - at)].join("/"));
  return [...keys, registry, ...(registry === hub ? [hubKey, "index.docker.io"] : [])];
}

/** Docker wrote keys as URLs once: `https://host/v1/`. */
function legacyEntry(
  auths: Readonly<Record<string, JsonValue | undefined>>,
  key: string,
): JsonValue | undefined {
  const match = Object.keys(auths).find((stored) => plainKey(stored) === key);
  return match === undefined ? undefined : auths[match];
}

/** The host of a key that is a URL. */
function plainKey(stored: string): string | undefined {
  const plain = stored.replace(/^https?:\/\//, "");
  return plain === stored ? undefined : plain.replace(/\/(?:v[12]\/?)?$/, "");
}

/** What Docker's files and helpers call a registry. */
export function serverName(registry: string): string {
  return registry === hub ? hubKey : registry;
}

function helperOf(file: AuthFile, registry: string): string | undefined {
  const helpers = object(file.content["credHelpers"]);
  const own =
    helpers[registry] ?? (registry === hub ? (helpers["index.docker.io"] ?? helpers[hubKey]) : undefined);
  const chosen = own ?? file.content["credsStore"];
  return typeof chosen === "string" && chosen !== "" ? chosen : undefined;
}

function credentialsOf(entry: JsonValue, file: string, key: string): Credentials | undefined {
  const fields = object(entry);
  const text = (name: string): string => (typeof fields[name] === "string" ? (fields[name] as string) : "");
  if (text("identitytoken") !== "") return { kind: "identity", identityToken: text("identitytoken") };
  if (text("registrytoken") !== "") return { kind: "token", registryToken: text("registrytoken") };
  if (text("auth") === "") {
    return text("username") === ""
      ? undefined
      : { kind: "password", user: text("username"), password: text("password") };
  }
  const pair = Buffer.from(text("auth"), "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon < 1) {
    throw new VitrineError("invalid", `${file}: auth of ${quoted(key)} is not base64 of USER:PASSWORD`, {
      code: "auth-file-invalid",
      operand: file,
      hint: `log in again: vitrine login ${plainKey(key) ?? key}`,
    });
  }
  // Docker pads with NUL.
  return {
    kind: "password",
    user: pair.slice(0, colon),
    password: pair.slice(colon + 1).replace(/\0+$/, ""),
  };
}

function readFiles(options: AuthFileOptions): readonly AuthFile[] {
  const named = options.authFile !== undefined || Boolean(options.environment["REGISTRY_AUTH_FILE"]);
  return authFiles(options).flatMap((file) => {
    const content = readAuthFile(file);
    if (content === undefined && named && options.authFile !== undefined) {
      throw new VitrineError("not-found", `there is no file ${quoted(file)}`, {
        code: "auth-file-missing",
        operand: file,
        hint: "vitrine login --authfile makes it",
      });
    }
    return content === undefined ? [] : [{ path: file, content }];
  });
}

function readAuthFile(file: string): Readonly<Record<string, JsonValue | undefined>> | undefined {
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(file);
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw new VitrineError("denied", `cannot read ${file}: ${errno ?? "unknown error"}`, {
      code: "auth-file-unreadable",
      operand: file,
      cause,
    });
  }
  // A file made with `touch` to have its mode.
  if (bytes.length === 0) return {};
  try {
    return object(parseJson(bytes, { maxBytes: mostBytes, name: file }));
  } catch (cause) {
    throw new VitrineError("invalid", (cause as Error).message, {
      code: "auth-file-invalid",
      operand: file,
      hint: "mend it, or move it away and log in again",
      cause,
    });
  }
}

function object(value: JsonValue | undefined): Readonly<Record<string, JsonValue | undefined>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, JsonValue | undefined>>)
    : {};
}

/**
 * Keeps credentials under `key` (`host` or `host/namespace`) where a later look finds them: with the helper that is
 * configured, else in the first file. Returns where.
 */
export async function keepCredentials(
  key: string,
  credentials: Credentials,
  options: AuthFileOptions,
): Promise<string> {
  const registry = key.split("/")[0]!;
  const [place] = placesOf(options);
  // Helpers know hosts, no namespaces.
  if (place !== undefined && place !== authFilesHelper && key === registry && credentials.kind !== "token") {
    await storeWithHelper(place, serverName(key), credentials, options.environment);
    return `docker-credential-${place}`;
  }
  const [file] = authFiles(options);
  if (file === undefined) {
    throw new VitrineError("invalid", "there is no place to keep credentials", {
      code: "auth-file-missing",
      hint: "set HOME, or name a file with --authfile",
    });
  }
  const content = readAuthFile(file) ?? {};
  const helper = helperOf({ path: file, content }, registry);
  if (helper !== undefined && key === registry && credentials.kind !== "token") {
    await storeWithHelper(helper, serverName(key), credentials, options.environment);
    return `docker-credential-${helper}`;
  }
  // docker and skopeo know Docker Hub by its old key in docker's own file.
  const isDockers = options.dockerFormat === true || path.basename(file) === "config.json";
  const stored = isDockers ? serverName(key) : key;
  const auths = { ...object(content["auths"]), [stored]: entryOf(credentials) };
  writeAuthFile(file, { ...content, auths });
  return file;
}

function entryOf(credentials: Credentials): JsonValue {
  switch (credentials.kind) {
    case "password":
      return { auth: Buffer.from(`${credentials.user}:${credentials.password}`).toString("base64") };
    case "identity":
      return { identitytoken: credentials.identityToken };
    case "token":
      return { registrytoken: credentials.registryToken };
  }
}

/** Removes what is kept under `key` from every file and helper. Returns whether there was something. */
export async function dropCredentials(key: string, options: AuthFileOptions): Promise<boolean> {
  let found = false;
  const registry = key.split("/")[0]!;
  for (const place of placesOf(options)) {
    if (place === authFilesHelper || key !== registry) continue;
    found = (await eraseWithHelper(place, serverName(key), options.environment)) || found;
  }
  for (const file of readFiles(options)) {
    const helper = helperOf(file, registry);
    if (helper !== undefined && key === registry) {
      found = (await eraseWithHelper(helper, serverName(key), options.environment)) || found;
    }
    const auths = object(file.content["auths"]);
    const rest = Object.entries(auths).filter(
      ([stored]) => stored !== key && stored !== serverName(key) && plainKey(stored) !== key,
    );
    if (rest.length === Object.keys(auths).length) continue;
    writeAuthFile(file.path, { ...file.content, auths: Object.fromEntries(rest) });
    found = true;
  }
  return found;
}

/** `logout --all`: empties every file, and every helper that keeps for them. Returns the keys that were there. */
export async function dropAllCredentials(options: AuthFileOptions): Promise<readonly string[]> {
  const { environment } = options;
  const keys: string[] = [];
  const empty = async (helper: string): Promise<void> => {
    for (const server of await listOfHelper(helper, environment)) {
      if (await eraseWithHelper(helper, server, environment)) keys.push(server);
    }
  };
  for (const place of placesOf(options)) if (place !== authFilesHelper) await empty(place);
  for (const file of readFiles(options)) {
    for (const [registry, helper] of Object.entries(object(file.content["credHelpers"]))) {
      if (typeof helper !== "string" || helper === "") continue;
      if ((await getFromHelper(helper, serverName(registry), environment)) === undefined) continue;
      await eraseWithHelper(helper, serverName(registry), environment);
      keys.push(registry);
    }
    const store = file.content["credsStore"];
    if (typeof store === "string" && store !== "") await empty(store);
    const auths = Object.keys(object(file.content["auths"]));
    if (auths.length === 0) continue;
    keys.push(...auths);
    writeAuthFile(file.path, { ...file.content, auths: {} });
  }
  return [...new Set(keys)];
}

function writeAuthFile(file: string, content: Readonly<Record<string, JsonValue | undefined>>): void {
  // A link stays one: dotfiles often are.
  const target = fs.existsSync(file) ? fs.realpathSync(file) : file;
  try {
    fs.mkdirSync(path.dirname(target), { recursive: true, mode: 0o700 });
    writeFileAtomically(target, `${JSON.stringify(content, undefined, "\t")}\n`, { mode: 0o600 });
  } catch (cause) {
    throw new VitrineError("denied", `cannot write ${target}: ${errnoOf(cause) ?? "unknown error"}`, {
      code: "auth-file-unwritable",
      operand: target,
      hint: "choose another with --authfile FILE",
      cause,
    });
  }
}
