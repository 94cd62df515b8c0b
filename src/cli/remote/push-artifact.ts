/** What `artifact push` and `artifact attach` share. */
import { writeFileAtomically } from "../../base/mod.ts";
import type { ImageReference, ImageSource } from "../../image/mod.ts";
import type { Descriptor } from "../../oci/mod.ts";
import { pushImage, type RegistryClient } from "../../registry/mod.ts";
import type { OptionTable } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { digestFile } from "../framework/flags.ts";
import { interruptible } from "../framework/interrupt.ts";
import { makeArtifact, parseAnnotationFlags } from "./artifact.ts";
import { BlobBoard, watchOf } from "./blob-board.ts";
import { watchedSource } from "./watched.ts";
import { withWorld } from "./world.ts";

export const artifactOptions = {
  "artifact-type": {
    type: "string",
    short: "t",
    value: "TYPE",
    default: "application/vnd.unknown.artifact.v1",
    help: "media type that says what the artifact is",
    aliases: ["type"],
  },
  annotation: { type: "strings", value: "KEY=VALUE", help: "annotation of the artifact" },
  digestfile: digestFile,
  quiet: { type: "boolean", short: "q", help: "show no progress" },
} as const satisfies OptionTable;

export interface ArtifactFlags {
  readonly "artifact-type": string;
  readonly annotation: readonly string[];
  readonly digestfile: string | undefined;
  readonly quiet: boolean;
}

/** Where an artifact goes: under tags, or (without any) by its digest alone. */
export interface ArtifactTarget {
  readonly client: RegistryClient;
  readonly reference: Pick<ImageReference, "domain" | "path">;
  readonly tags: readonly string[];
}

/** Makes one of files; `subject` is what it is attached to. Prints the digest. */
export async function pushArtifact(
  context: Context,
  target: ArtifactTarget,
  files: readonly string[],
  flags: ArtifactFlags,
  subject?: Descriptor,
): Promise<void> {
  await withWorld(context, target.client, async ({ temporaryDirectory }) => {
    const source = await makeArtifact({
      artifactType: flags["artifact-type"],
      files,
      annotations: parseAnnotationFlags(flags.annotation),
      created: new Date(context.now()).toISOString(),
      temporaryDirectory,
      ...(subject !== undefined && { subject }),
    });
    await sendArtifact(context, target, source, flags);
  });
}

/** Prints the digest. */
export async function sendArtifact(
  context: Context,
  { client, reference, tags }: ArtifactTarget,
  source: ImageSource,
  flags: Pick<ArtifactFlags, "digestfile" | "quiet">,
): Promise<void> {
  const repository = await client.repository(reference);
  const board = new BlobBoard({ quiet: flags.quiet });
  try {
    await interruptible((guard) =>
      pushImage(repository, watchedSource(source, guard), {
        tags,
        watch: watchOf(board),
      }),
    );
  } finally {
    board.close();
  }
  if (flags.digestfile !== undefined) writeFileAtomically(flags.digestfile, source.root.digest);
  context.out(`${source.root.digest}\n`);
}
