/** index.json from what is left of it, and from the blobs. */
import * as fs from "node:fs";
import { hashHex, VitrineError } from "../base/mod.ts";
import {
  annotationKeys,
  type Descriptor,
  type Digest,
  isDigest,
  isIndexMediaType,
  isManifestMediaType,
  parseManifestOrIndex,
  splitDigest,
} from "../oci/mod.ts";
import { listBlobs } from "./blobs.ts";
import { blobFile, type StoreContext } from "./context.ts";
import { type IndexEntry, normalizedName } from "./index-file.ts";

/** No manifest is larger. */
const largestDocument = 4 * 1024 * 1024;

/** Entries whose text is whole keep their names; what no other document leads to comes without one. */
export function rebuildIndex(context: StoreContext): readonly IndexEntry[] {
  const documents = documentsIn(context);
  const named = salvaged(context.indexFile).filter(({ root }) => documents.has(root.digest));
  const known = new Set<Digest>(named.map(({ root }) => root.digest));
  const below = new Set<Digest>([...documents.values()].flatMap(({ children }) => children));
  const loose = [...documents.values()].filter(
    ({ root }) => !known.has(root.digest) && !below.has(root.digest),
  );
  return [...named, ...loose.map(({ root }) => ({ name: undefined, root }))];
}

/** Descriptors that stand whole in a damaged file. */
export function salvaged(indexFile: string): readonly IndexEntry[] {
  let text: string;
  try {
    text = fs.readFileSync(indexFile, "utf8");
  } catch {
    return [];
  }
  const entries: IndexEntry[] = [];
  const names = new Set<string>();
  for (let at = text.indexOf("{", 1); at >= 0; at = text.indexOf("{", at + 1)) {
    const value = objectAt(text, at);
    if (value === undefined) continue;
    const { mediaType, digest, size, annotations } = value as Readonly<Record<string, unknown>>;
    if (
      typeof mediaType !== "string" ||
      typeof digest !== "string" ||
      !isDigest(digest) ||
      typeof size !== "number"
    )
      continue;
    const marks = annotations as Readonly<Record<string, string>> | undefined;
    const name = normalizedName(marks?.[annotationKeys.refName]);
    if (name !== undefined && names.has(name)) continue;
    if (name !== undefined) names.add(name);
    entries.push({ name, root: { mediaType, digest, size } });
  }
  return entries;
}

/** The JSON object that begins there, if it ends. */
function objectAt(text: string, start: number): object | undefined {
  let depth = 0;
  let quoted = false;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (quoted && character === "\\") at += 1;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && character === "{") depth += 1;
    else if (!quoted && character === "}" && --depth === 0) {
      try {
        return JSON.parse(text.slice(start, at + 1)) as object;
      } catch {
        return undefined;
      }
    }
  }
  return undefined;
}

interface Document {
  readonly root: Descriptor;
  readonly children: readonly Digest[];
}

/** Every manifest and index among the blobs, undamaged. */
export function documentsIn(context: Pick<StoreContext, "layout">): ReadonlyMap<Digest, Document> {
  const found = new Map<Digest, Document>();
  for (const [digest, size] of listBlobs(context)) {
    if (size > largestDocument) continue;
    const bytes = fs.readFileSync(blobFile(context, digest));
    const { algorithm, hex } = splitDigest(digest);
    if (bytes[0] !== 0x7b || hashHex(algorithm, bytes) !== hex) continue;
    const document = documentOf(bytes, digest);
    if (document !== undefined) found.set(digest, document);
  }
  return found;
}

function documentOf(bytes: Buffer, digest: Digest): Document | undefined {
  try {
    const { mediaType } = JSON.parse(bytes.toString("utf8")) as { readonly mediaType?: unknown };
    if (typeof mediaType !== "string" || !(isManifestMediaType(mediaType) || isIndexMediaType(mediaType)))
      return undefined;
    const parsed = parseManifestOrIndex(bytes, mediaType);
    const children = parsed.kind === "index" ? parsed.index.manifests.map((entry) => entry.digest) : [];
    return { root: { mediaType, digest, size: bytes.length }, children };
  } catch (error) {
    if (error instanceof VitrineError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
