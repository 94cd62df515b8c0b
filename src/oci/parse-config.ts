/** The image config (config.md, with Docker's additions) and the layout header from untrusted bytes. */
import { limits, parseJson, VitrineError } from "../base/mod.ts";
import { compact, type DocumentKind, Field } from "./field.ts";
import type {
  ExecutionConfig,
  Healthcheck,
  HistoryEntry,
  ImageConfig,
  LayoutHeader,
  Manifest,
  ParsedConfig,
  RootFs,
} from "./image-types.ts";
import { digestAt, parseAnnotations, parsePlatformFields } from "./parse-descriptor.ts";

const configKind: DocumentKind = { name: "image config", code: "image-config-invalid", errorKind: "invalid" };
const layoutKind: DocumentKind = { name: "oci-layout", code: "layout-invalid", errorKind: "invalid" };

/** RFC 3339 section 5.6, as Go's reader takes it. */
const timestampGrammar = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/**
 * Errors: `image-config-invalid`, `rootfs-type-unsupported`, `manifest-too-many-layers`, `digest-invalid`,
 * `digest-algorithm-unsupported`, those of `parseJson`.
 */
export function parseImageConfig(bytes: Uint8Array): ParsedConfig {
  const value = parseJson(bytes, { maxBytes: limits.configBytes, name: configKind.name });
  const root = Field.root(configKind, value);
  const platform = parsePlatformFields(root);
  const config: ImageConfig = compact({
    created: root.at("created").optional(timestamp),
    author: root.at("author").optional((author) => author.text()),
    ...platform,
    config: root.at("config").optional(readExecution),
    rootfs: readRootFs(root.at("rootfs")),
    history: root.at("history").optional((history) => history.array(readHistory)),
  });
  return { bytes, config };
}

/**
 * Throws `layer-count-mismatch` (corrupt) unless manifest and config speak of the same number of layers: a layer without
 * diffID could not be verified, a diffID without layer would be missing.
 */
export function requireSameLayers(manifest: Manifest, config: ImageConfig): void {
  const layers = manifest.layers.length;
  const diffIDs = config.rootfs.diff_ids.length;
  if (layers !== diffIDs) {
    throw new VitrineError("corrupt", `the manifest has ${layers} layers, the image config ${diffIDs}`, {
      code: "layer-count-mismatch",
      operand: manifest.config.digest,
    });
  }
}

/** The file `oci-layout` (image-layout.md). Errors: `layout-invalid`, `layout-version-unsupported`. */
export function parseLayoutHeader(bytes: Uint8Array): LayoutHeader {
  const root = Field.root(layoutKind, parseJson(bytes, { maxBytes: 64 * 1024, name: layoutKind.name }));
  const version = root.at("imageLayoutVersion");
  if (version.text() !== "1.0.0") {
    version.fail(`is ${String(version.value)}, only 1.0.0 is known`, {
      kind: "unsupported",
      code: "layout-version-unsupported",
    });
  }
  return { imageLayoutVersion: "1.0.0" };
}

function timestamp(field: Field): string {
  const text = field.text();
  return timestampGrammar.test(text) && !Number.isNaN(Date.parse(text))
    ? text
    : field.fail("is not a date and time (RFC 3339)");
}

function readRootFs(field: Field): RootFs {
  const type = field.at("type");
  if (type.text() !== "layers") {
    type.fail('must be "layers"', { kind: "unsupported", code: "rootfs-type-unsupported" });
  }
  const ids = field.at("diff_ids");
  if (Array.isArray(ids.value) && ids.value.length > limits.layersPerImage) {
    ids.fail(`has ${ids.value.length} layers, at most ${limits.layersPerImage} are allowed`, {
      code: "manifest-too-many-layers",
    });
  }
  // Docker leaves the list out of an image that has no layer.
  return { type: "layers", diff_ids: ids.optional((present) => present.array(digestAt)) ?? [] };
}

function readHistory(field: Field): HistoryEntry {
  return compact({
    created: field.at("created").optional(timestamp),
    created_by: field.at("created_by").optional((text) => text.text()),
    author: field.at("author").optional((text) => text.text()),
    comment: field.at("comment").optional((text) => text.text()),
    empty_layer: field.at("empty_layer").optional((flag) => flag.boolean()),
  });
}

function readExecution(field: Field): ExecutionConfig {
  const text = (name: string) => field.at(name).optional((value) => value.string());
  const list = (name: string) => field.at(name).optional((value) => value.strings());
  return compact({
    User: text("User"),
    ExposedPorts: field.at("ExposedPorts").optional(readSet),
    Env: field.at("Env").optional((env) => env.array(readVariable)),
    Entrypoint: list("Entrypoint"),
    Cmd: list("Cmd"),
    Volumes: field.at("Volumes").optional(readSet),
    WorkingDir: text("WorkingDir"),
    Labels: field.at("Labels").optional(parseAnnotations),
    StopSignal: text("StopSignal"),
    ArgsEscaped: field.at("ArgsEscaped").optional((flag) => flag.boolean()),
    Healthcheck: field.at("Healthcheck").optional(readHealthcheck),
    OnBuild: list("OnBuild"),
    Shell: list("Shell"),
  });
}

/** Go's `map[string]struct{}`: an object whose values say nothing. */
function readSet(field: Field): readonly string[] {
  return field
    .entries()
    .map(([name]) => (name.includes("\0") ? field.fail("has a key with a NUL character") : name))
    .sort();
}

function readVariable(field: Field): string {
  const variable = field.string();
  return variable.indexOf("=") > 0 ? variable : field.fail("must have the form NAME=value");
}

function readHealthcheck(field: Field): Healthcheck {
  const nanoseconds = (name: string) =>
    field.at(name).optional((value) => Number(value.bigint(0n, 2n ** 63n - 1n)));
  return compact({
    Test: field.at("Test").optional((test) => test.strings()),
    Interval: nanoseconds("Interval"),
    Timeout: nanoseconds("Timeout"),
    StartPeriod: nanoseconds("StartPeriod"),
    StartInterval: nanoseconds("StartInterval"),
    Retries: field.at("Retries").optional((retries) => retries.integer(0, 0x7fff_ffff)),
  });
}
