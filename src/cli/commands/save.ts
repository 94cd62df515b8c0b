import * as fs from "node:fs";
import * as path from "node:path";
import { type ByteStream, VitrineError, writeAll } from "../../base/mod.ts";
import {
  encodeArchive,
  formatReference,
  hostPlatform,
  type ImageSource,
  isFullImageId,
  parsePlatform,
  parseReference,
  renamed,
  writeArchiveFile,
  writeLayoutDirectory,
} from "../../image/mod.ts";
import type { Store, StoredImage } from "../../store/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { type Context, OutputClosed } from "../framework/context.ts";
import { outputFile } from "../framework/flags.ts";
import { interruptible } from "../framework/interrupt.ts";
import { watched } from "../images/progress.ts";
import { resolveImage } from "../images/resolve.ts";

const formats = ["docker-archive", "oci-archive", "oci-dir"] as const;

export const command = defineCommand({
  description: `Writes images as an archive that docker, podman, skopeo and vitrine load, or as an OCI image layout directory.
    The same images give the same bytes. An image named by a reference keeps that name in the archive, one named by ID has none.

    The OCI formats keep an image with all of its platforms as it is; a docker-archive holds one platform, and its layers
    uncompressed.`,
  options: {
    output: {
      ...outputFile,
      help: "file or (for oci-dir) directory to write; without it, or with '-', stdout",
    },
    format: {
      type: "string",
      value: "FORMAT",
      choices: formats,
      default: "docker-archive",
      help: "docker-archive, oci-archive or oci-dir",
    },
    platform: { type: "string", value: "OS/ARCH", help: "only this platform of an image" },
    "multi-image-archive": {
      type: "boolean",
      short: "m",
      help: "several images in one archive (several arguments are always images: accepted for compatibility)",
    },
    quiet: { type: "boolean", short: "q", help: "show no progress" },
  },
  positionals: [{ name: "IMAGE", variadic: true, completion: "image" }],
  examples: [
    { command: "vitrine save -o alpine.tar alpine", does: "an archive for docker load" },
    {
      command: "vitrine save --format oci-dir -o ./layout alpine debian:12",
      does: "two images as an OCI layout",
    },
    { command: "vitrine save alpine | zstd > alpine.tar.zst", does: "a compressed archive" },
  ],
  async run({ options, positionals, context }) {
    const format = options.format as (typeof formats)[number];
    const target = options.output === "-" ? undefined : options.output;
    requireTarget(format, target, context);
    const store = await context.store();
    const chosen = await choose(store, positionals, format, options.platform);
    await interruptible(async (guard) => {
      const progress = options.quiet || target === undefined ? undefined : "Saving";
      const images = chosen.map((image) => watched(image, guard, progress));
      if (format === "oci-dir") {
        await writeLayoutDirectory(images, target!);
        return;
      }
      const stream = encodeArchive(images, format, { temporaryDirectory: store.temporaryDirectory() });
      if (target === undefined) await copyToStdout(guard.guard(stream));
      else await writeArchiveFile(guard.guard(stream), target);
    });
  },
});

function requireTarget(format: string, target: string | undefined, context: Context): void {
  if (target === undefined && format === "oci-dir") {
    throw new VitrineError("invalid", "a layout is a directory: it cannot go to stdout", {
      code: "flag-conflict",
      operand: "--format",
      hint: "name it with --output DIR",
    });
  }
  if (target === undefined && context.stdoutIsTerminal) {
    throw new VitrineError("invalid", "cannot write an archive to a terminal", {
      code: "stdout-is-terminal",
      hint: "name a file with --output FILE, or redirect stdout",
    });
  }
  if (target !== undefined && !fs.existsSync(path.dirname(path.resolve(target)))) {
    throw new VitrineError("not-found", `there is no directory ${path.dirname(path.resolve(target))}`, {
      code: "directory-not-found",
      operand: target,
      hint: "make it first",
    });
  }
}

interface Choice {
  readonly image: StoredImage;
  readonly names: string[];
}

/** One source an image, with the names it was asked for by. */
async function choose(
  store: Store,
  references: readonly string[],
  format: (typeof formats)[number],
  platformText: string | undefined,
): Promise<readonly ImageSource[]> {
  const platform = platformText === undefined ? undefined : parsePlatform(platformText, hostPlatform());
  const wholeIndex = format !== "docker-archive" && platform === undefined;
  const choices = new Map<string, Choice>();
  for (const reference of references) {
    const image = await resolveImage(store, reference, platform);
    const key = wholeIndex ? image.root.digest : image.manifestDescriptor.digest;
    const choice = choices.get(key) ?? { image, names: [] };
    const name = nameIn(image, reference);
    if (name !== undefined && !choice.names.includes(name)) choice.names.push(name);
    choices.set(key, choice);
  }
  return [...choices.values()].map(({ image, names }) => renamed(store.source(image, { wholeIndex }), names));
}

/** The name a reference stands for, when it stands for one; an ID and a digest name nothing. */
function nameIn(image: StoredImage, reference: string): string | undefined {
  if (isFullImageId(reference)) return undefined;
  try {
    const name = formatReference(parseReference(reference));
    return image.names.includes(name) ? name : undefined;
  } catch (error) {
    if (error instanceof VitrineError) return undefined;
    throw error;
  }
}

async function copyToStdout(stream: ByteStream): Promise<void> {
  for await (const chunk of stream) {
    if (!writeAll(1, chunk)) throw new OutputClosed();
  }
}
