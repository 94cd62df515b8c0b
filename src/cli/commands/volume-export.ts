import { writeAll } from "../../base/mod.ts";
import { findVolume, loadVolumeArchives } from "../../engine/mod.ts";
import { writeArchiveFile } from "../../image/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { OutputClosed } from "../framework/context.ts";
import { outputFile } from "../framework/flags.ts";
import { interruptible } from "../framework/interrupt.ts";
import { archiveDeps } from "../volumes/archive.ts";
import { volumeExit } from "../volumes/each.ts";
import { requireNoTerminal } from "./cp.ts";

export const command = defineCommand({
  description: "Writes what is in a volume as a tar archive, with owners, modes and extended attributes.",
  options: {
    output: outputFile,
  },
  positionals: [{ name: "VOLUME", completion: "volume" }],
  examples: [{ command: "vitrine volume export -o db.tar db", does: "a copy of a volume" }],
  exitCodes: volumeExit,
  async run({ options, positionals, context }) {
    const volume = findVolume(context.paths(), positionals[0]!);
    const target = options.output === "-" ? undefined : options.output;
    if (target === undefined) requireNoTerminal(context);
    const { exportVolume } = await loadVolumeArchives();
    const deps = await archiveDeps(context);
    await interruptible((guard) =>
      exportVolume(volume, deps, async (stream) => {
        if (target !== undefined) return writeArchiveFile(guard.guard(stream), target);
        for await (const chunk of guard.guard(stream)) {
          if (!writeAll(1, chunk)) throw new OutputClosed();
        }
      }),
    );
  },
});
