/**
 * The documents that vitrine makes itself, as bytes: fixed key order (that of the Go structs of image-spec and Docker),
 * sorted maps, no white space. The same value always gives the same bytes and so the same digest.
 */
import { encodeText } from "../base/mod.ts";
import type {
  Descriptor,
  ExecutionConfig,
  HistoryEntry,
  ImageConfig,
  Index,
  LayoutHeader,
  Manifest,
  Platform,
} from "./image-types.ts";
import type { RuntimeConfig } from "./runtime-config.ts";
import type { ContainerProcessState, State } from "./runtime-state.ts";

export function encodeManifest(manifest: Manifest): Uint8Array {
  return imageDocument({
    schemaVersion: 2,
    mediaType: manifest.mediaType,
    artifactType: manifest.artifactType,
    config: descriptor(manifest.config),
    layers: manifest.layers.map(descriptor),
    subject: manifest.subject && descriptor(manifest.subject),
    annotations: sortedMap(manifest.annotations),
  });
}

export function encodeIndex(index: Index): Uint8Array {
  return imageDocument({
    schemaVersion: 2,
    mediaType: index.mediaType,
    artifactType: index.artifactType,
    manifests: index.manifests.map(descriptor),
    subject: index.subject && descriptor(index.subject),
    annotations: sortedMap(index.annotations),
  });
}

export function encodeImageConfig(image: ImageConfig): Uint8Array {
  return imageDocument({
    created: image.created,
    author: text(image.author),
    ...platform(image),
    config: image.config && execution(image.config),
    rootfs: { type: "layers", diff_ids: image.rootfs.diff_ids },
    history: list(image.history?.map(historyEntry)),
  });
}

export function encodeLayoutHeader(header: LayoutHeader): Uint8Array {
  return imageDocument({ imageLayoutVersion: header.imageLayoutVersion });
}

/** config.json in the order of its members, two spaces a level, with a last newline. */
export function encodeRuntimeConfig(config: RuntimeConfig): Uint8Array {
  return encodeText(`${toJson(config, 2)}\n`);
}

/** What hooks read on their standard input. */
export function encodeState(state: State): Uint8Array {
  return encodeText(toJson(ordered(state)));
}

export function encodeContainerProcessState(process: ContainerProcessState): Uint8Array {
  return encodeText(
    toJson({
      ociVersion: process.ociVersion,
      fds: process.fds,
      pid: process.pid,
      metadata: process.metadata,
      state: ordered(process.state),
    }),
  );
}

/**
 * JSON text in the order of members, `undefined` left out. Beyond JSON.stringify: a `bigint` is an integer, a `Map` an
 * object in its own order (a plain object moves keys such as `10` to the front).
 */
export function toJson(value: unknown, indent = 0): string {
  return write(value, indent, indent === 0 ? "" : "\n");
}

function write(value: unknown, indent: number, newline: string): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const inner = indent === 0 ? "" : newline + " ".repeat(indent);
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    // A seccomp profile names four hundred system calls.
    return value.every(isText)
      ? JSON.stringify(value, undefined, indent).replaceAll("\n", newline)
      : `[${value.map((element) => inner + write(element, indent, inner)).join(",")}${newline}]`;
  }
  const colon = indent === 0 ? ":" : ": ";
  const members = (value instanceof Map ? [...value] : Object.entries(value))
    .filter(([, member]) => member !== undefined)
    .map(([name, member]) => `${inner}${JSON.stringify(name)}${colon}${write(member, indent, inner)}`);
  return members.length === 0 ? "{}" : `{${members.join(",")}${newline}}`;
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

/** Go's writer escapes these characters in strings, and they stand nowhere else: equal values, equal digests. */
function imageDocument(value: object): Uint8Array {
  const json = toJson(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return encodeText(json);
}

function ordered(state: State): object {
  return {
    ociVersion: state.ociVersion,
    id: state.id,
    status: state.status,
    pid: state.pid,
    bundle: state.bundle,
    annotations: sortedMap(state.annotations),
  };
}

function descriptor(from: Descriptor): object {
  return {
    mediaType: from.mediaType,
    digest: from.digest,
    size: from.size,
    urls: list(from.urls),
    annotations: sortedMap(from.annotations),
    data: text(from.data),
    platform: from.platform && platform(from.platform),
    artifactType: text(from.artifactType),
  };
}

function platform(from: Platform): object {
  return {
    architecture: from.architecture,
    os: from.os,
    "os.version": text(from["os.version"]),
    "os.features": list(from["os.features"]),
    variant: text(from.variant),
  };
}

function execution(from: ExecutionConfig): object {
  return {
    User: text(from.User),
    ExposedPorts: set(from.ExposedPorts),
    Env: list(from.Env),
    Entrypoint: list(from.Entrypoint),
    Cmd: list(from.Cmd),
    Volumes: set(from.Volumes),
    WorkingDir: text(from.WorkingDir),
    Labels: sortedMap(from.Labels),
    StopSignal: text(from.StopSignal),
    ArgsEscaped: from.ArgsEscaped || undefined,
    Healthcheck: from.Healthcheck && {
      Test: list(from.Healthcheck.Test),
      Interval: from.Healthcheck.Interval || undefined,
      Timeout: from.Healthcheck.Timeout || undefined,
      StartPeriod: from.Healthcheck.StartPeriod || undefined,
      StartInterval: from.Healthcheck.StartInterval || undefined,
      Retries: from.Healthcheck.Retries || undefined,
    },
    OnBuild: list(from.OnBuild),
    Shell: list(from.Shell),
  };
}

function historyEntry(from: HistoryEntry): object {
  return {
    created: from.created,
    created_by: text(from.created_by),
    author: text(from.author),
    comment: text(from.comment),
    empty_layer: from.empty_layer || undefined,
  };
}

// Go's `omitempty`: empty text, lists and maps are left out.
function text(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function list<T>(values: readonly T[] | undefined): readonly T[] | undefined {
  return values?.length === 0 ? undefined : values;
}

function sortedMap(
  map: Readonly<Record<string, string>> | undefined,
): ReadonlyMap<string, string> | undefined {
  const entries = Object.entries(map ?? {});
  return entries.length === 0 ? undefined : new Map(entries.sort(([a], [b]) => compareBytes(a, b)));
}

function set(names: readonly string[] | undefined): ReadonlyMap<string, object> | undefined {
  return names === undefined || names.length === 0
    ? undefined
    : new Map([...names].sort(compareBytes).map((name) => [name, {}]));
}

/** Go sorts map keys by their UTF-8 bytes; JavaScript's own order differs beyond U+FFFF. */
function compareBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
