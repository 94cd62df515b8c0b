/** Descriptors and platforms (descriptor.md, image-index.md) from untrusted documents. */
import { VitrineError } from "../base/mod.ts";
import { type Digest, digestOf, parseDigest, splitDigest } from "./digest.ts";
import { compact, type Field } from "./field.ts";
import type { Annotations, Descriptor, Platform } from "./image-types.ts";

/** RFC 6838 section 4.2, as the spec's own schema has it. */
const mediaTypeGrammar = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;
/** RFC 3986: a scheme, then only characters that a URI may hold. */
const uriGrammar = /^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#[\]@!$&'()*+,;=%-]+$/;
const base64Grammar = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const mostUrls = 64;

/**
 * Errors besides the document's own code: `digest-invalid`, `digest-algorithm-unsupported`,
 * `descriptor-data-mismatch` (embedded data that is not what size and digest say).
 */
export function parseDescriptor(field: Field): Descriptor {
  const descriptor: Descriptor = compact({
    mediaType: parseMediaType(field.at("mediaType")),
    digest: digestAt(field.at("digest")),
    size: field.at("size").integer(0, Number.MAX_SAFE_INTEGER),
    urls: field.at("urls").optional((urls) => urls.array(uri, mostUrls)),
    annotations: field.at("annotations").optional(parseAnnotations),
    data: field.at("data").optional((data) => data.text()),
    platform: field.at("platform").optional(parsePlatformFields),
    artifactType: field.at("artifactType").optional(parseMediaType),
  });
  if (descriptor.data !== undefined) {
    checkData(field.at("data"), descriptor, descriptor.data);
  }
  return descriptor;
}

export function parseMediaType(field: Field): string {
  const text = field.text();
  return mediaTypeGrammar.test(text) ? text : field.fail("is not a media type (RFC 6838)");
}

export function digestAt(field: Field): Digest {
  return parseDigest(field.text(), `${field.document.name}: ${field.pointer}`);
}

/** annotations.md#rules: keys are not empty, values are strings. `null` reads as the empty string, as in Go. */
export function parseAnnotations(field: Field): Annotations {
  return field.record((member, name) => {
    if (name === "") field.fail("has an empty key");
    return member.optional((value) => value.text()) ?? "";
  });
}

/** The platform fields of a descriptor or of an image config. */
export function parsePlatformFields(field: Field): Platform {
  return compact({
    architecture: field.at("architecture").string(),
    os: field.at("os").string(),
    "os.version": field.at("os.version").optional((version) => version.string()),
    "os.features": field.at("os.features").optional((features) => features.strings()),
    variant: field.at("variant").optional((variant) => variant.string()),
  });
}

function uri(field: Field): string {
  const text = field.text();
  return uriGrammar.test(text) ? text : field.fail("is not a URI (RFC 3986)");
}

function checkData(field: Field, descriptor: Descriptor, data: string): void {
  if (!base64Grammar.test(data)) {
    field.fail("is not base64 (RFC 4648 section 4)");
  }
  const bytes = Buffer.from(data, "base64");
  const { algorithm } = splitDigest(descriptor.digest);
  if (bytes.length !== descriptor.size || digestOf(bytes, algorithm) !== descriptor.digest) {
    throw new VitrineError(
      "corrupt",
      `${field.document.name}: ${field.pointer} is not the content that size and digest describe`,
      { code: "descriptor-data-mismatch", operand: descriptor.digest },
    );
  }
}
