/**
 * Artifacts (image-spec manifest.md, "Guidelines for Artifact Usage"): files and directories as layers, named by their titles, as
 * oras has it.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { createHasher, errnoOf, quoted, readFileStream, VitrineError } from "../../base/mod.ts";
import { type ImageSource, memoryContent, sourceOf } from "../../image/mod.ts";
import {
  type Annotations,
  type Descriptor,
  type Digest,
  digestOf,
  encodeManifest,
  formatDigest,
  type Manifest,
  mediaTypes,
} from "../../oci/mod.ts";

export const titleKey = "org.opencontainers.image.title";
export const createdKey = "org.opencontainers.image.created";
const emptyConfig = Buffer.from("{}");
const defaultType = "application/octet-stream";
const mediaTypeGrammar = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

export interface FileWishes {
  /** `FILE[:MEDIA-TYPE]` or `DIRECTORY[:MEDIA-TYPE]` */
  readonly files: readonly string[];
  /** Of files that say none. */
  readonly fileType?: string;
  readonly fileAnnotations?: Annotations;
  /** For what directories are packed into; it lives as long as the artifact. */
  readonly temporaryDirectory: () => Promise<string>;
}

export interface ArtifactWishes extends FileWishes {
  readonly artifactType: string;
  readonly annotations: Annotations;
  readonly subject?: Descriptor;
  /** For the annotation `created`; a file of its own so that the same files give the same digest when it is given. */
  readonly created: string;
}

/** Errors: `artifact-file-unreadable`, `artifact-type-invalid`, `artifact-title-twice`, those of `packDirectory`. */
export async function makeArtifact(wishes: ArtifactWishes): Promise<ImageSource> {
  requireMediaType(wishes.artifactType);
  const { files, layers } = await describeFiles(wishes, []);
  const config: Descriptor = {
    mediaType: mediaTypes.empty,
    digest: digestOf(emptyConfig),
    size: emptyConfig.length,
  };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: wishes.artifactType,
    config,
    // A manifest has a layer at least (manifest.md): without files it is the empty one.
    layers: layers.length === 0 ? [config] : layers,
    ...(wishes.subject !== undefined && { subject: wishes.subject }),
    annotations: { [createdKey]: wishes.created, ...wishes.annotations },
  };
  return artifactSource(manifest, files);
}

/** An artifact with more files than it had. Errors: see `makeArtifact`. */
export async function appendToArtifact(
  before: ImageSource,
  manifest: Manifest,
  wishes: FileWishes,
): Promise<ImageSource> {
  const old = manifest.layers.filter(({ mediaType }) => mediaType !== mediaTypes.empty);
  const { files, layers } = await describeFiles(wishes, old);
  const added = artifactSource({ ...manifest, layers: [...old, ...layers] }, files);
  const from = (descriptor: Descriptor): ImageSource => (added.has(descriptor) ? added : before);
  return {
    root: added.root,
    names: [],
    has: (descriptor) => from(descriptor).has(descriptor),
    readDocument: (descriptor) => from(descriptor).readDocument(descriptor),
    openBlob: (descriptor) => from(descriptor).openBlob(descriptor),
  };
}

/** No two layers of an artifact, those there were included, have one title. */
async function describeFiles(
  wishes: FileWishes,
  before: readonly Descriptor[],
): Promise<{ readonly files: ReadonlyMap<Digest, string>; readonly layers: readonly Descriptor[] }> {
  const files = new Map<Digest, string>();
  const layers: Descriptor[] = [];
  for (const text of wishes.files) {
    const { file, descriptor } = await describeFile(text, wishes);
    const title = descriptor.annotations![titleKey];
    if ([...before, ...layers].some((other) => other.annotations?.[titleKey] === title)) {
      throw new VitrineError("invalid", `two files are called ${quoted(title!)}`, {
        code: "artifact-title-twice",
        operand: text,
      });
    }
    files.set(descriptor.digest, file);
    layers.push({ ...descriptor, annotations: { ...wishes.fileAnnotations, ...descriptor.annotations } });
  }
  return { files, layers };
}

function artifactSource(manifest: Manifest, files: ReadonlyMap<Digest, string>): ImageSource {
  const bytes = encodeManifest(manifest);
  const root: Descriptor = { mediaType: mediaTypes.manifest, digest: digestOf(bytes), size: bytes.length };
  const documents = memoryContent(
    new Map<Digest, Uint8Array>([
      [root.digest, bytes],
      [digestOf(emptyConfig), emptyConfig],
    ]),
  );
  return sourceOf(
    {
      has: (digest) => documents.has(digest) || files.has(digest),
      openUnverified: (digest) => {
        const file = files.get(digest);
        return file === undefined ? documents.openUnverified(digest) : readFileStream(file);
      },
    },
    root,
    [],
  );
}

async function describeFile(
  text: string,
  { temporaryDirectory, fileType }: FileWishes,
): Promise<{ readonly file: string; readonly descriptor: Descriptor }> {
  const colon = text.lastIndexOf(":");
  const hasType = colon > 0 && mediaTypeGrammar.test(text.slice(colon + 1));
  const file = hasType ? text.slice(0, colon) : text;
  const mediaType = hasType ? text.slice(colon + 1) : fileType;
  const title = path.basename(path.resolve(file));
  const hasher = createHasher("sha256");
  let size = 0;
  try {
    const stat = fs.statSync(file);
    if (stat.isDirectory())
      return await describeDirectory(file, title, mediaType, await temporaryDirectory());
    if (!stat.isFile()) throw unreadable(file, "it is no file");
    for await (const chunk of readFileStream(file)) {
      hasher.update(chunk);
      size += chunk.length;
    }
  } catch (cause) {
    if (cause instanceof VitrineError) throw cause;
    throw unreadable(file, errnoOf(cause) ?? "unknown error");
  }
  const digest = formatDigest("sha256", hasher.hex());
  return {
    file,
    descriptor: { mediaType: mediaType ?? defaultType, digest, size, annotations: { [titleKey]: title } },
  };
}

async function describeDirectory(
  directory: string,
  title: string,
  mediaType: string | undefined,
  temporaryDirectory: string,
): Promise<{ readonly file: string; readonly descriptor: Descriptor }> {
  const { packDirectory } = await import("./artifact-directory.ts");
  const { file, descriptor } = await packDirectory(directory, title, temporaryDirectory);
  const annotations = { ...descriptor.annotations, [titleKey]: title };
  const named = { ...descriptor, ...(mediaType !== undefined && { mediaType }), annotations };
  return { file, descriptor: named };
}

function unreadable(file: string, what: string): VitrineError {
  return new VitrineError("not-found", `cannot read ${quoted(file)}: ${what}`, {
    code: "artifact-file-unreadable",
    operand: file,
    hint: "an artifact is made of files and directories: FILE or FILE:MEDIA/TYPE",
  });
}

function requireMediaType(text: string): void {
  if (mediaTypeGrammar.test(text)) return;
  throw new VitrineError("invalid", `${quoted(text)} is no media type`, {
    code: "artifact-type-invalid",
    operand: text,
    hint: "for example application/vnd.example.sbom.v1+json",
  });
}

/** `KEY=VALUE` of a command line. Error: `annotation-invalid`. */
export function parseAnnotationFlags(list: readonly string[]): Annotations {
  return Object.fromEntries(
    list.map((text) => {
      const equals = text.indexOf("=");
      if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
      throw new VitrineError("invalid", `annotation ${quoted(text)} is not KEY=VALUE`, {
        code: "annotation-invalid",
        operand: text,
      });
    }),
  );
}
