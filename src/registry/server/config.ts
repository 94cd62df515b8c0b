/** The one file of a served registry: YAML or JSON. What the command line says goes before it. */

import { parseJson, VitrineError } from "../../base/mod.ts";
import { compact, type DocumentKind, Field } from "../../oci/mod.ts";
import type { AccessOptions } from "./access/authenticate.ts";
import type { AccessRule } from "./access/rules.ts";
import type { RegistryEvent } from "./observe/events.ts";
import type { Webhook } from "./observe/webhooks.ts";
import type { PolicyOptions, RepositoryRule, Retention } from "./policy.ts";
import type { S3Encryption } from "./storage/s3/client.ts";

export interface ServeConfig extends PolicyOptions {
  /** `HOST:PORT`, `:PORT` for every address. */
  readonly addr?: string;
  readonly root?: string;
  /** Files. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  readonly auth?: Omit<AccessOptions, "now" | "onFailure">;
  readonly collect?: { readonly everyHours?: number; readonly graceHours?: number };
  readonly webhooks?: readonly Webhook[];
  /** A file, `-` for stdout. */
  readonly accessLog?: string;
  readonly metrics?: boolean;
  readonly page?: boolean;
  readonly mirror?: {
    readonly url: string;
    readonly user?: string;
    readonly passwordFile?: string;
    readonly tagSeconds?: number;
    /** A directory as one of certs.d, instead of it. */
    readonly certificates?: string;
  };
  /** Keeps content in an object store; `root` then holds only uploads under way. Credentials never stand in the file. */
  readonly s3?: {
    readonly endpoint: string;
    readonly bucket: string;
    readonly region?: string;
    readonly prefix?: string;
    readonly pathStyle?: boolean;
    readonly exclusive?: boolean;
    /** Blobs are read from the store itself: GETs are answered with a URL of it that was signed. */
    readonly redirect?: boolean;
    /** Where clients reach the store, when not at `endpoint`. */
    readonly publicEndpoint?: string;
    /** How the store encrypts what it keeps; without, as the bucket says. */
    readonly encryption?: S3Encryption;
  };
  readonly limits?: { readonly manifestBytes?: number; readonly blobBytes?: number };
  /** How long a stop lets running requests go on; default 10. */
  readonly stopSeconds?: number;
}

const kind: DocumentKind = { name: "registry config", code: "registry-config-invalid", errorKind: "invalid" };
const mostBytes = 1024 * 1024;
/** A day, in seconds. */
const longestStop = 24 * 3600;

/** Errors: `registry-config-invalid`, with the JSON pointer of what is wrong; a key that does not exist is wrong. */
export async function parseServeConfig(text: string, name: string): Promise<ServeConfig> {
  return readConfig(Field.root(kind, await parseText(text, name)));
}

async function parseText(text: string, name: string): Promise<unknown> {
  if (text.trimStart().startsWith("{")) return parseJson(Buffer.from(text), { maxBytes: mostBytes, name });
  const { parse } = await import("yaml");
  try {
    return text.length > mostBytes ? undefined : (parse(text, { maxAliasCount: 100 }) ?? {});
  } catch (cause) {
    throw new VitrineError("invalid", `${name} is no YAML: ${cause instanceof Error ? cause.message : ""}`, {
      code: "registry-config-invalid",
      operand: name,
      cause,
    });
  }
}

type Readers<T> = { readonly [Key in keyof T]-?: (field: Field) => T[Key] };

/** Reads an object by a table of its members; others are refused, so that a misspelt limit is not a missing one. */
function object<T extends object>(field: Field, readers: Readers<T>): T {
  for (const [name, member] of field.entries()) {
    if (!Object.hasOwn(readers, name)) {
      member.fail(`does not exist; there are ${Object.keys(readers).join(", ")}`);
    }
  }
  const value: Partial<T> = {};
  for (const key of Object.keys(readers) as (keyof T & string)[]) value[key] = readers[key](field.at(key));
  return compact(value as T);
}

const text = (field: Field): string => field.filled();
const maybe =
  <T>(read: (field: Field) => T) =>
  (field: Field): T | undefined =>
    field.optional(read);
const flag = maybe((field) => field.boolean());
const words = (field: Field): readonly string[] => field.array(text);
const amount = (most: number) => maybe((field) => field.integer(0, most));
const bytes = amount(Number.MAX_SAFE_INTEGER);
const count = amount(1_000_000_000);

function readConfig(root: Field): ServeConfig {
  return object<ServeConfig>(root, {
    addr: maybe(text),
    root: maybe(text),
    tls: maybe((field) => object(field, { certificate: text, key: text })),
    readOnly: flag,
    deletes: flag,
    missingContent: maybe((field) => field.oneOf(["refuse", "indexes", "accept"])),
    rules: maybe((field) => field.array(readRepositoryRule)),
    auth: maybe(readAuth),
    collect: maybe((field) =>
      object<NonNullable<ServeConfig["collect"]>>(field, { everyHours: count, graceHours: count }),
    ),
    webhooks: maybe((field) => field.array(readWebhook)),
    accessLog: maybe(text),
    metrics: flag,
    page: flag,
    mirror: maybe((field) =>
      object<NonNullable<ServeConfig["mirror"]>>(field, {
        url: readUpstream,
        user: maybe(text),
        passwordFile: maybe(text),
        tagSeconds: count,
        certificates: maybe(text),
      }),
    ),
    s3: maybe((field) =>
      object<NonNullable<ServeConfig["s3"]>>(field, {
        endpoint: readUrl,
        bucket: text,
        region: maybe(text),
        prefix: maybe(readPrefix),
        pathStyle: flag,
        exclusive: flag,
        redirect: flag,
        publicEndpoint: maybe(readUrl),
        encryption: maybe((inner) =>
          object<S3Encryption>(inner, {
            algorithm: (algorithm) => algorithm.oneOf(["AES256", "aws:kms"]),
            keyId: maybe(text),
          }),
        ),
      }),
    ),
    limits: maybe((field) =>
      object<NonNullable<ServeConfig["limits"]>>(field, { manifestBytes: bytes, blobBytes: bytes }),
    ),
    stopSeconds: amount(longestStop),
  });
}

function readRepositoryRule(field: Field): RepositoryRule {
  return object<RepositoryRule>(field, {
    repositories: text,
    immutableTags: maybe(words),
    quotaBytes: bytes,
    retention: maybe((inner) =>
      object<Retention>(inner, {
        keepTags: count,
        maxAgeDays: count,
        exceptTags: maybe(words),
        untaggedDays: count,
      }),
    ),
  });
}

function readAuth(field: Field): NonNullable<ServeConfig["auth"]> {
  const auth = object<NonNullable<ServeConfig["auth"]>>(field, {
    htpasswd: maybe(text),
    token: maybe((inner) =>
      object<NonNullable<AccessOptions["token"]>>(inner, {
        realm: readUrl,
        service: text,
        issuer: text,
        keys: text,
      }),
    ),
    tokenService: flag,
    publicUrl: maybe(readUrl),
    rules: maybe((inner) => inner.array(readAccessRule)),
  });
  if (auth.htpasswd === undefined && auth.token === undefined) field.fail("needs htpasswd or token");
  return auth;
}

function readAccessRule(field: Field): AccessRule {
  return object<AccessRule>(field, {
    repositories: text,
    users: words,
    actions: (inner) => inner.array((action) => action.oneOf(["pull", "push", "delete", "list"])),
  });
}

function readWebhook(field: Field): Webhook {
  return object<Webhook>(field, {
    url: readUrl,
    headers: maybe((inner) => inner.record(text)),
    events: maybe((inner) =>
      inner.array((event) => event.oneOf<RegistryEvent["type"]>(["push", "pull", "delete", "mount"])),
    ),
  });
}

/** Slashes around it change nothing. */
function readPrefix(field: Field): string {
  const prefix = field.filled().replace(/^\/+|\/+$/g, "");
  const isKey = prefix.split("/").every((name) => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name));
  return prefix === "" || isKey ? prefix : field.fail("may hold letters, digits, '.', '_', '-' and '/'");
}

/** An upstream: its API is at the root, and its password does not stand in the URL. */
function readUpstream(field: Field): string {
  const url = readUrl(field);
  return isUpstreamUrl(url)
    ? url
    : field.fail("must be https://HOST or https://HOST:PORT; 'user' and 'passwordFile' log in");
}

/** Whether a registry can be at this URL: no path, no query, no user. */
export function isUpstreamUrl(text: string): boolean {
  if (!/^https?:\/\/[^\s/]/.test(text) || !URL.canParse(text)) return false;
  const { pathname, search, hash, username, password } = new URL(text);
  return pathname === "/" && search === "" && hash === "" && username === "" && password === "";
}

function readUrl(field: Field): string {
  const url = field.filled();
  return /^https?:\/\/[^\s/]/.test(url) && URL.canParse(url)
    ? url
    : field.fail("is not an http or https URL");
}
