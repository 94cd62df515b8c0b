/**
 * Manifests and indexes of the image spec and of Docker schema 2 from untrusted bytes. Both formats have one in-memory
 * shape; the raw bytes stay beside it because every digest is over them.
 */
import { limits, parseJson, VitrineError } from "../base/mod.ts";
import { compact, type DocumentKind, Field } from "./field.ts";
import type { Descriptor, Index, Manifest, ParsedIndex, ParsedManifest } from "./image-types.ts";
import {
  isConfigMediaType,
  isIndexMediaType,
  isManifestMediaType,
  isSchema1MediaType,
  layerMediaType,
  mediaTypes,
} from "./media-types.ts";
import { parseAnnotations, parseDescriptor, parseMediaType } from "./parse-descriptor.ts";

const manifestKind: DocumentKind = { name: "image manifest", code: "manifest-invalid", errorKind: "invalid" };
const indexKind: DocumentKind = { name: "image index", code: "index-invalid", errorKind: "invalid" };

export interface DocumentLimits {
  /** Default `limits.manifestBytes`. */
  readonly maxBytes?: number;
  /** Default `limits.manifestsPerIndex`. */
  readonly maxManifests?: number;
}

/**
 * Parses a manifest or an index, whichever it is. `expected` is what the descriptor or header that led here said: the
 * document must not claim to be something else (CVE-2021-41190).
 * Errors: `manifest-invalid`, `index-invalid`, `manifest-schema1`, `manifest-media-type-unsupported`,
 * `manifest-media-type-mismatch`, `manifest-ambiguous`, `manifest-too-many-layers`, `index-too-many-manifests`, those of
 * `parseDescriptor` and of `parseJson`.
 */
export function parseManifestOrIndex(
  bytes: Uint8Array,
  expected?: string,
  bounds: DocumentLimits = {},
): ParsedManifest | ParsedIndex {
  const value = parseJson(bytes, {
    maxBytes: bounds.maxBytes ?? limits.manifestBytes,
    name: manifestKind.name,
  });
  const root = Field.root(manifestKind, value);
  const mediaType = documentMediaType(root, expected);
  return isIndexMediaType(mediaType)
    ? { kind: "index", format: formatOf(mediaType), mediaType, bytes, ...readIndex(value, bounds) }
    : { kind: "manifest", format: formatOf(mediaType), mediaType, bytes, manifest: readManifest(root) };
}

/** As `parseManifestOrIndex`; an index is `manifest-media-type-mismatch`. */
export function parseManifest(bytes: Uint8Array, expected?: string): ParsedManifest {
  const parsed = parseManifestOrIndex(bytes, expected);
  return parsed.kind === "manifest" ? parsed : mismatch(parsed.mediaType, "an image manifest");
}

/** As `parseManifestOrIndex`; a manifest is `manifest-media-type-mismatch`. `index.json` of a layout needs wider bounds. */
export function parseIndex(bytes: Uint8Array, expected?: string, bounds: DocumentLimits = {}): ParsedIndex {
  const parsed = parseManifestOrIndex(bytes, expected, bounds);
  return parsed.kind === "index" ? parsed : mismatch(parsed.mediaType, "an image index");
}

/**
 * Throws unless the manifest is of a container image whose layers can be unpacked. Kept apart from parsing: what only
 * stores or copies must not fail on media types it does not know (manifest.md).
 * Errors (unsupported): `not-an-image`, `layer-media-type-unsupported`.
 */
export function requireImage(manifest: Manifest): void {
  if (!isConfigMediaType(manifest.config.mediaType)) {
    const what = manifest.artifactType ?? manifest.config.mediaType;
    throw new VitrineError("unsupported", `this is not a container image but an artifact of type ${what}`, {
      code: "not-an-image",
      operand: what,
      hint: "an artifact can be stored and copied, not run",
    });
  }
  for (const layer of manifest.layers) {
    if (layerMediaType(layer.mediaType) === undefined) {
      throw new VitrineError("unsupported", `layer media type ${layer.mediaType} is not supported`, {
        code: "layer-media-type-unsupported",
        operand: layer.digest,
        hint: layer.mediaType.includes("encrypted")
          ? "the layer is encrypted: decrypt the image first"
          : "layers are tar, plain or compressed by gzip or zstd",
      });
    }
  }
}

/** Decides what the document is, from what it says of itself, what was said of it, and its shape. */
function documentMediaType(root: Field, expected: string | undefined): string {
  const schemaVersion = root.at("schemaVersion");
  if (isSchema1(root, expected)) {
    schema1(root);
  }
  const stated = root.at("mediaType").optional(parseMediaType);
  if (stated !== undefined && !isIndexMediaType(stated) && !isManifestMediaType(stated)) {
    root.at("mediaType").fail(`is ${stated}, which is neither a manifest nor an index that vitrine knows`, {
      kind: "unsupported",
      code: "manifest-media-type-unsupported",
    });
  }
  const known =
    expected !== undefined && (isIndexMediaType(expected) || isManifestMediaType(expected))
      ? expected
      : undefined;
  if (stated !== undefined && known !== undefined && stated !== known) {
    root.at("mediaType").fail(`is ${stated}, but the descriptor that led here said ${known}`, {
      code: "manifest-media-type-mismatch",
    });
  }
  const mediaType = stated ?? known ?? (holds(root, "manifests") ? mediaTypes.index : mediaTypes.manifest);
  refuseAmbiguity(root, mediaType);
  if (schemaVersion.integer(0, 0xffff) !== 2) {
    schemaVersion.fail(`must be 2, is ${String(schemaVersion.value)}`);
  }
  return mediaType;
}

/** Case is ignored: Go's JSON reader, which most other tools use, would take `Layers` for `layers`. */
function holds(root: Field, ...names: readonly string[]): boolean {
  return root.entries().some(([name, member]) => member.present && names.includes(name.toLowerCase()));
}

/** CVE-2021-41190: two readers must never see two images in one document. */
function refuseAmbiguity(root: Field, mediaType: string): void {
  const [what, foreign] = isIndexMediaType(mediaType)
    ? ["an index", ["layers", "config", "fslayers"]]
    : ["a manifest", ["manifests", "fslayers"]];
  if (holds(root, ...foreign)) {
    root.fail(`is ${what} and must not have ${foreign.join(" or ")}`, { code: "manifest-ambiguous" });
  }
}

function isSchema1(root: Field, expected: string | undefined): boolean {
  const stated = root.at("mediaType").value;
  return (
    (typeof stated === "string" && isSchema1MediaType(stated)) ||
    (expected !== undefined && isSchema1MediaType(expected)) ||
    root.at("schemaVersion").value === 1
  );
}

function schema1(root: Field): never {
  return root.fail("is of Docker's schema 1, which has been obsolete since 2017", {
    kind: "unsupported",
    code: "manifest-schema1",
    hint: "convert it: skopeo copy --format oci … or docker pull and docker save with a recent Docker",
  });
}

function readManifest(root: Field): Manifest {
  const layers = root.at("layers");
  if (Array.isArray(layers.value) && layers.value.length > limits.layersPerImage) {
    layers.fail(`has ${layers.value.length} layers, at most ${limits.layersPerImage} are allowed`, {
      code: "manifest-too-many-layers",
    });
  }
  const manifest: Manifest = compact({
    schemaVersion: 2,
    mediaType: root.at("mediaType").optional(parseMediaType),
    artifactType: root.at("artifactType").optional(parseMediaType),
    config: parseDescriptor(root.at("config")),
    // A null where an array belongs is what Go writes for an image of no layers.
    layers: layers.optional((present) => present.array(parseDescriptor)) ?? [],
    subject: root.at("subject").optional(parseDescriptor),
    annotations: root.at("annotations").optional(parseAnnotations),
  });
  if (manifest.config.mediaType === mediaTypes.empty && manifest.artifactType === undefined) {
    root.at("artifactType").fail("is required where the config is the empty descriptor");
  }
  return manifest;
}

function readIndex(value: unknown, bounds: DocumentLimits): Pick<ParsedIndex, "index" | "unverifiable"> {
  const root = Field.root(indexKind, value);
  const manifests = root.at("manifests");
  const most = bounds.maxManifests ?? limits.manifestsPerIndex;
  if (Array.isArray(manifests.value) && manifests.value.length > most) {
    manifests.fail(`has ${manifests.value.length} entries, at most ${most} are allowed`, {
      code: "index-too-many-manifests",
    });
  }
  const unverifiable: string[] = [];
  const index: Index = compact({
    schemaVersion: 2,
    mediaType: root.at("mediaType").optional(parseMediaType),
    artifactType: root.at("artifactType").optional(parseMediaType),
    manifests: manifests
      .elements(most)
      .map((entry) => verifiableDescriptor(entry, unverifiable))
      .filter((entry) => entry !== undefined),
    subject: root.at("subject").optional(parseDescriptor),
    annotations: root.at("annotations").optional(parseAnnotations),
  });
  return { index, unverifiable };
}

/** One entry with a digest we cannot verify does not spoil the others (descriptor.md#digests): it is set aside. */
function verifiableDescriptor(entry: Field, unverifiable: string[]): Descriptor | undefined {
  try {
    return parseDescriptor(entry);
  } catch (error) {
    if (error instanceof VitrineError && error.code === "digest-algorithm-unsupported") {
      unverifiable.push(entry.at("digest").text());
      return undefined;
    }
    throw error;
  }
}

function formatOf(mediaType: string): "oci" | "docker" {
  return mediaType === mediaTypes.dockerManifest || mediaType === mediaTypes.dockerManifestList
    ? "docker"
    : "oci";
}

function mismatch(mediaType: string, wanted: string): never {
  throw new VitrineError("invalid", `expected ${wanted}, found ${mediaType}`, {
    code: "manifest-media-type-mismatch",
    operand: mediaType,
  });
}
