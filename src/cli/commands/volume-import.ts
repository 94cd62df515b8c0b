import * as fs from "node:fs";
import { errnoOf, readFileStream, VitrineError } from "../../base/mod.ts";
import { findVolume, loadVolumeArchives } from "../../engine/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { interruptible } from "../framework/interrupt.ts";
import { readStdin } from "../framework/stdin.ts";
import { archiveDeps } from "../volumes/archive.ts";
import { volumeExit } from "../volumes/each.ts";

export const command = defineCommand({
  description: "Unpacks a tar archive, compressed or not, in a volume. What the volume has besides stays.",
  options: {},
  positionals: [
    { name: "VOLUME", completion: "volume" },
    { name: "FILE|-", optional: true, completion: "file" },
  ],
  examples: [
    { command: "vitrine volume import db db.tar", does: "what volume export wrote" },
    { command: "tar -C site -c . | vitrine volume import site -", does: "a directory of the host" },
  ],
  exitCodes: volumeExit,
  async run({ positionals, context }) {
    const volume = findVolume(context.paths(), positionals[0]!);
    const file = positionals[1] ?? "-";
    const input =
      file === "-"
        ? readStdin(context, { what: "an archive", hint: "name a file, or redirect stdin" })
        : readFileStream(readable(file));
    const { importVolume } = await loadVolumeArchives();
    const deps = await archiveDeps(context);
    await interruptible((guard) => importVolume(volume, guard.guard(input), deps));
  },
});

function readable(file: string): string {
  try {
    fs.accessSync(file, fs.constants.R_OK);
    return file;
  } catch (cause) {
    throw new VitrineError("not-found", `cannot read ${file}: ${errnoOf(cause)}`, {
      code: "archive-not-found",
      operand: file,
      hint: "check the path",
      cause,
    });
  }
}
