/** Places of images as `podman` and `skopeo` name them: `docker-archive:FILE`, `oci:DIRECTORY:TAG`, `docker://alpine`. */
import { quoted, VitrineError } from "../base/mod.ts";
import { type ImageReference, parseReference } from "./reference.ts";

export type TransportReference =
  /** A registry. */
  | { readonly transport: "docker"; readonly reference: ImageReference }
  /** One image of a docker-archive: by name, by index (`@0`), or the only one. */
  | {
      readonly transport: "docker-archive";
      readonly path: string;
      readonly reference?: ImageReference;
      readonly index?: number;
    }
  /** One image of a layout or its tar: by `org.opencontainers.image.ref.name`, by index, or the only one. */
  | {
      readonly transport: "oci" | "oci-archive";
      readonly path: string;
      readonly name?: string;
      readonly index?: number;
    }
  | { readonly transport: "dir"; readonly path: string };

const known = ["docker", "docker-archive", "oci", "oci-archive", "dir"];
/** Transports of other tools, refused by name rather than taken for an image called so. */
const foreign = ["docker-daemon", "containers-storage", "ostree", "sif", "tarball", "atomic"];

/** How an image comes out of a store that only its own tool can read. */
const ways: Readonly<Record<string, (name: string) => string>> = {
  "docker-daemon": (name) => `docker save -o image.tar ${name}, then docker-archive:image.tar`,
  "containers-storage": (name) =>
    `podman save --format oci-archive -o image.tar ${name}, then oci-archive:image.tar`,
};

/**
 * Parses `TRANSPORT:…`; undefined when the text begins with no transport. `oci:v1` is a transport here: a place where
 * plain references are expected must not call this.
 * Errors: `transport-unsupported`, `transport-invalid`, those of `parseReference`.
 */
export function parseTransport(text: string): TransportReference | undefined {
  const colon = text.indexOf(":");
  const transport = text.slice(0, Math.max(colon, 0));
  const rest = text.slice(colon + 1);
  if (foreign.includes(transport)) {
    throw new VitrineError("unsupported", `transport ${transport} is not supported`, {
      code: "transport-unsupported",
      operand: text,
      hint:
        ways[transport]?.(rest) ?? `vitrine knows ${known.join(", ")}, and vitrine:NAME for its own store`,
    });
  }
  switch (transport) {
    case "docker":
      if (!rest.startsWith("//")) throw invalid(text, "docker: is followed by //, as in docker://alpine");
      return { transport, reference: parseReference(rest.slice(2)) };
    case "dir":
      return { transport, path: required(text, rest) };
    case "docker-archive": {
      const { path, selector } = splitPath(text, rest);
      if (selector === undefined) return { transport, path };
      const index = indexOf(text, selector);
      return index === undefined
        ? { transport, path, reference: parseReference(selector) }
        : { transport, path, index };
    }
    case "oci":
    case "oci-archive": {
      const { path, selector } = splitPath(text, rest);
      if (selector === undefined) return { transport, path };
      const index = indexOf(text, selector);
      return index === undefined ? { transport, path, name: selector } : { transport, path, index };
    }
    default:
      return undefined;
  }
}

/** PATH[:SELECTOR]; as in the other tools a path cannot hold a colon. */
function splitPath(text: string, rest: string): { path: string; selector: string | undefined } {
  const colon = rest.indexOf(":");
  const path = required(text, colon === -1 ? rest : rest.slice(0, colon));
  const selector = colon === -1 ? undefined : rest.slice(colon + 1);
  if (selector === "") throw invalid(text, "nothing follows the last colon");
  return { path, selector };
}

function indexOf(text: string, selector: string): number | undefined {
  if (!selector.startsWith("@")) return undefined;
  const digits = selector.slice(1);
  if (!/^[0-9]{1,9}$/.test(digits)) throw invalid(text, `${quoted(selector)} is not an index such as @0`);
  return Number(digits);
}

function required(text: string, path: string): string {
  if (path === "" || path.includes("\0")) throw invalid(text, "a path must follow the transport");
  return path;
}

function invalid(text: string, message: string): VitrineError {
  return new VitrineError("invalid", `invalid image location ${quoted(text)}: ${message}`, {
    code: "transport-invalid",
    operand: text,
    hint: "TRANSPORT:PATH[:NAME], for example oci:./layout:latest",
  });
}
