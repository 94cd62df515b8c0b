/** What `push`, `copy` and `sync` share: choose platforms, convert, write, tell. */
import { quoted, VitrineError } from "../../base/mod.ts";
import {
  type Conversion,
  type Converted,
  convertImage,
  converts,
  hostPlatform,
  type ImageSource,
  onlyPlatform,
  parsePlatform,
  withCompressions,
} from "../../image/mod.ts";
import { type Digest, isIndexMediaType } from "../../oci/mod.ts";
import type { OptionTable } from "../framework/command.ts";
import { digestFile } from "../framework/flags.ts";
import { interruptible } from "../framework/interrupt.ts";
import { BlobBoard, watchOf } from "./blob-board.ts";
import { type OpenedPlace, type Place, type World, type WriteOptions, writePlace } from "./places.ts";
import { watchedSource } from "./watched.ts";

export const sendOptions = {
  all: { type: "boolean", help: "all platforms of the image, as it is", aliases: ["all-platforms"] },
  platform: { type: "string", value: "OS/ARCH", help: "this platform of the image" },
  format: {
    type: "string",
    short: "f",
    value: "FORMAT",
    choices: ["oci", "v2s2"],
    help: "write manifests as oci or v2s2 (docker's)",
    defaultText: "as they are",
  },
  "compression-format": {
    type: "string",
    value: "FORMAT",
    choices: ["gzip", "zstd", "zstd:chunked", "none"],
    help: "compress layers with gzip, zstd or zstd:chunked (whose files podman fetches one by one), or not",
    defaultText: "as they are; to a registry, gzip for those that are not compressed",
    aliases: ["dest-compress-format"],
  },
  "compression-level": {
    type: "number",
    value: "N",
    help: "compress all layers, this hard: 1 to 9 (gzip) or 22 (zstd)",
    aliases: ["dest-compress-level"],
  },
  "force-compression": {
    type: "boolean",
    help: "compress layers anew that have the format already",
    aliases: ["dest-force-compress-format"],
  },
  "preserve-digests": { type: "boolean", help: "fail rather than change a byte of a manifest" },
  digestfile: digestFile,
  quiet: { type: "boolean", short: "q", help: "show no progress" },
} as const satisfies OptionTable;

export interface SendFlags {
  readonly all: boolean;
  readonly platform: string | undefined;
  readonly format: string | undefined;
  readonly "compression-format": string | undefined;
  readonly "compression-level": number | undefined;
  readonly "force-compression": boolean;
  readonly "preserve-digests": boolean;
  readonly quiet: boolean;
  /** Of an index: further copies of its images. */
  readonly "add-compression"?: readonly string[];
}

/** Error: `flag-conflict`. */
export function readConversion(flags: SendFlags): Conversion {
  const changing = (["format", "compression-format", "compression-level", "force-compression"] as const).find(
    (name) => flags[name] !== undefined && flags[name] !== false,
  );
  if (flags["preserve-digests"] && changing !== undefined) {
    throw new VitrineError("invalid", `--preserve-digests and --${changing} exclude each other`, {
      code: "flag-conflict",
      operand: `--${changing}`,
    });
  }
  return {
    ...(flags["force-compression"] && { force: true }),
    ...(flags.format !== undefined && { format: flags.format === "v2s2" ? "docker" : "oci" }),
    ...(flags["compression-format"] !== undefined && {
      compression: flags["compression-format"] as Exclude<Conversion["compression"], undefined>,
    }),
    ...(flags["compression-level"] !== undefined && { level: flags["compression-level"] }),
  };
}

/** Copies one opened image to a place. Returns the digest of what is there now. Errors: those of all parts; `flag-conflict`. */
export async function sendImage(
  opened: OpenedPlace,
  target: Place,
  world: World,
  flags: SendFlags,
  options: Omit<WriteOptions, "watch"> = {},
): Promise<Digest> {
  const board = new BlobBoard({ quiet: flags.quiet });
  try {
    return await interruptible(async (guard) => {
      // To a registry, the upload counts: what it has already is never read.
      const counts = target.transport === "docker";
      const source = watchedSource(opened.source, guard, (blob, bytes) => {
        if (!counts) board.progress(blob, bytes);
      });
      const asked = readConversion(flags);
      const part = await choosePart(source, flags, target);
      await using more = await withVariants(part, flags, world);
      const chosen = more.source;
      const conversion = packsPlain(opened, target, flags)
        ? { compression: "gzip-plain" as const, ...asked }
        : asked;
      if (!converts(conversion)) return await write(chosen, opened, target, world, options, board);
      await using converted = await convertImage(chosen, conversion, await world.temporaryDirectory());
      return await write(converted.source, opened, target, world, options, board);
    });
  } finally {
    board.close();
  }
}

async function write(
  source: ImageSource,
  opened: OpenedPlace,
  target: Place,
  world: World,
  options: Omit<WriteOptions, "watch">,
  board: BlobBoard,
): Promise<Digest> {
  await writePlace(target, source, world, {
    mountFrom: mountFrom(opened, target),
    ...options,
    watch: watchOf(board),
  });
  board.close();
  return source.root.digest;
}

/** Errors: `invalid-flag-value`, those of `withCompressions`. */
async function withVariants(source: ImageSource, flags: SendFlags, world: World): Promise<Converted> {
  const { "add-compression": said = [], "compression-level": level } = flags;
  if (said.length === 0) return { source, [Symbol.asyncDispose]: async () => undefined };
  const known = ["gzip", "zstd", "zstd:chunked"] as const;
  const wanted = said
    .flatMap((text) => text.split(","))
    .map((text) => {
      const compression = known.find((name) => name === text);
      if (compression !== undefined) return compression;
      throw new VitrineError("invalid", `invalid value ${quoted(text)} for --add-compression`, {
        code: "invalid-flag-value",
        operand: "--add-compression",
        hint: `one of ${known.join(", ")}`,
      });
    });
  return withCompressions(
    source,
    wanted,
    level === undefined ? {} : { level },
    await world.temporaryDirectory(),
  );
}

/** Plain layers (of docker-archive, of `docker load`) do not go over a network as they are; what one registry has is copied as it is. */
function packsPlain(opened: OpenedPlace, target: Place, flags: SendFlags): boolean {
  if (target.transport !== "docker" || opened.remote !== undefined) return false;
  return !flags.all && !flags["preserve-digests"] && target.reference.digest === undefined;
}

/** Within one registry, blobs are mounted from where they come. */
function mountFrom(opened: OpenedPlace, target: Place): (() => readonly string[]) | undefined {
  const { remote } = opened;
  if (remote === undefined || target.transport !== "docker") return undefined;
  if (remote.repository.registry !== target.reference.domain) return undefined;
  return () => [remote.repository.name];
}

/** The whole, one platform, or (of an index, nobody having said) the one for this machine. */
async function choosePart(source: ImageSource, flags: SendFlags, target: Place): Promise<ImageSource> {
  if (flags.all && flags.platform !== undefined) {
    throw new VitrineError("invalid", "--all and --platform exclude each other", {
      code: "flag-conflict",
      operand: "--all",
    });
  }
  if (flags.all) return source;
  if (flags.platform !== undefined) {
    return onlyPlatform(source, parsePlatform(flags.platform, hostPlatform()), { strict: true });
  }
  // By its digest a whole index was named.
  const named = target.transport === "docker" && target.reference.digest === source.root.digest;
  return isIndexMediaType(source.root.mediaType) && !named ? onlyPlatform(source, hostPlatform()) : source;
}
