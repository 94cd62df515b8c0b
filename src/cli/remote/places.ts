/** Places of images on a command line: `vitrine:NAME`, and the transports of podman and skopeo. */
import { quoted, VitrineError } from "../../base/mod.ts";
import {
  addToLayout,
  encodeArchive,
  formatReference,
  type ImageArchive,
  type ImageSource,
  openArchive,
  openDirectory,
  parseReference,
  parseTransport,
  renamed,
  type TransportReference,
  withRoot,
  writeArchiveFile,
  writeDirectory,
} from "../../image/mod.ts";
import type { Descriptor } from "../../oci/mod.ts";
import { type BlobWatch, pushImage, type RegistryClient, type RegistrySource } from "../../registry/mod.ts";
import type { Store } from "../../store/mod.ts";
import { resolveImage } from "../images/resolve.ts";

export type Place = TransportReference | { readonly transport: "vitrine"; readonly name: string };

/** Errors: `place-without-transport`, those of `parseTransport`. */
export function parsePlace(text: string): Place {
  if (text.startsWith("vitrine:")) return { transport: "vitrine", name: text.slice("vitrine:".length) };
  const place = parseTransport(text);
  if (place !== undefined) return place;
  throw new VitrineError("invalid", `${quoted(text)} does not say what kind of place it is`, {
    code: "place-without-transport",
    operand: text,
    hint: `docker://${text} is in a registry, vitrine:${text} in the store; others are oci:, oci-archive:, docker-archive: and dir:`,
  });
}

const anyTransport =
  /^(?:docker|docker-archive|oci|oci-archive|dir|vitrine|docker-daemon|containers-storage|ostree|sif|tarball|atomic):/;

/** Where something is sent: a plain name is one in a registry. */
export function placeOfDestination(text: string): Place {
  return anyTransport.test(text)
    ? parsePlace(text)
    : { transport: "docker", reference: parseReference(text) };
}

/** Where something is read: a plain name is one of the store when it is there, else in a registry. */
export function placeOfImage(text: string, isStored: boolean): Place {
  return isStored ? { transport: "vitrine", name: text } : placeOfDestination(text);
}

/** What places need; the store only where one is in it. */
export interface World {
  readonly client: RegistryClient;
  store(): Promise<Store>;
  /** For what must be spooled. Existing. */
  temporaryDirectory(): Promise<string>;
}

export interface OpenedPlace {
  readonly source: ImageSource;
  /** Set for docker://. */
  readonly remote?: RegistrySource;
  close(): Promise<void>;
}

const nothingToClose = async (): Promise<void> => {};

/** Opens an image. Errors: those of each kind; `archive-image-not-found`, `archive-image-ambiguous`. */
export async function openPlace(place: Place, world: World): Promise<OpenedPlace> {
  switch (place.transport) {
    case "docker": {
      const remote = await world.client.source(place.reference);
      return { source: remote, remote, close: nothingToClose };
    }
    case "vitrine": {
      const store = await world.store();
      return { source: await storedSource(store, place.name), close: nothingToClose };
    }
    case "dir":
      return { source: openDirectory(place.path), close: nothingToClose };
    default: {
      const archive = await openArchive(place.path, { temporaryDirectory: await world.temporaryDirectory() });
      try {
        return { source: pick(archive, place), close: () => archive.close() };
      } catch (error) {
        await archive.close();
        throw error;
      }
    }
  }
}

/** All that a name of the store leads to, whatever platforms it has. */
async function storedSource(store: Store, name: string): Promise<ImageSource> {
  try {
    return store.rootSource(name);
  } catch (error) {
    if (!(error instanceof VitrineError && error.code === "image-not-found")) throw error;
    // The image that the executable carries, or the error with a hint.
    return store.source(await resolveImage(store, name), { wholeIndex: true });
  }
}

type ArchivePlace = Extract<Place, { readonly transport: "docker-archive" | "oci" | "oci-archive" }>;

/** By index, by name, or the only one. */
function pick(archive: ImageArchive, place: ArchivePlace): ImageSource {
  const { images } = archive;
  const wanted = wantedName(place);
  const found =
    place.index !== undefined
      ? images[place.index]
      : wanted !== undefined
        ? images.find(({ names }) => names.some((name) => isNamed(name, wanted)))
        : images.length === 1
          ? images[0]
          : undefined;
  if (found !== undefined) return found;
  const names = images.flatMap((image) => image.names).slice(0, 8);
  const ambiguous = wanted === undefined && place.index === undefined;
  throw new VitrineError(
    ambiguous ? "invalid" : "not-found",
    ambiguous
      ? `${place.path} holds ${images.length} images`
      : `${place.path} has no image ${quoted(wanted ?? `@${place.index}`)}`,
    {
      code: ambiguous ? "archive-image-ambiguous" : "archive-image-not-found",
      operand: place.path,
      hint:
        names.length === 0 ? "name one by its index: :@0" : `it has ${names.join(", ")}; or by index: :@0`,
    },
  );
}

function wantedName(place: ArchivePlace): string | undefined {
  if (place.transport !== "docker-archive") return place.name;
  return place.reference === undefined ? undefined : formatReference(place.reference);
}

/** Layouts have any text as a name, often a tag alone, which was completed when it was read. */
function isNamed(name: string, wanted: string): boolean {
  if (name === wanted || name.endsWith(`:${wanted}`)) return true;
  try {
    return formatReference(parseReference(name)) === formatReference(parseReference(wanted));
  } catch {
    return false;
  }
}

export interface WriteOptions {
  /** Tags beside the one of the reference. */
  readonly moreTags?: readonly string[];
  readonly mountFrom?: (blob: Descriptor) => readonly string[];
  readonly watch?: BlobWatch;
  readonly chunkBytes?: number;
}

/** Writes an image. Errors: those of each kind; `push-digest-mismatch`. */
export async function writePlace(
  place: Place,
  source: ImageSource,
  world: World,
  options: WriteOptions = {},
): Promise<void> {
  switch (place.transport) {
    case "docker": {
      const { reference } = place;
      if (reference.digest !== undefined && reference.digest !== source.root.digest) {
        throw new VitrineError("invalid", `the image is ${source.root.digest}, not ${reference.digest}`, {
          code: "push-digest-mismatch",
          operand: formatReference(reference),
          hint: "name a tag to push to; the digest follows from the content",
        });
      }
      const tags = [...(reference.tag === undefined ? [] : [reference.tag]), ...(options.moreTags ?? [])];
      const repository = await world.client.repository(reference);
      await pushImage(repository, source, { ...options, tags });
      return;
    }
    case "vitrine": {
      const store = await world.store();
      await store.put(source, { names: place.name === "" ? [] : [place.name] });
      return;
    }
    case "dir":
      return writeDirectory(source, place.path);
    case "oci":
      return addToLayout(source, place.path, place.name);
    case "oci-archive":
    case "docker-archive": {
      const name = wantedName(place);
      const named = { ...withRoot(source, source.root), names: name === undefined ? [] : [name] };
      const temporaryDirectory = await world.temporaryDirectory();
      const image = place.transport === "docker-archive" ? renamed(named, named.names) : named;
      return writeArchiveFile(encodeArchive([image], place.transport, { temporaryDirectory }), place.path);
    }
  }
}
