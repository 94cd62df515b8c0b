import * as path from "node:path";
import { writeAll } from "../../base/mod.ts";
import { findContainer, loadFiles } from "../../engine/mod.ts";
import { writeArchiveFile } from "../../image/mod.ts";
import { sweep } from "../container-trees.ts";
import { defineCommand } from "../framework/command.ts";
import { OutputClosed } from "../framework/context.ts";
import { outputFile } from "../framework/flags.ts";
import { interruptible } from "../framework/interrupt.ts";
import { requireNoTerminal } from "./cp.ts";

export const command = defineCommand({
  description: `Writes the files of a container as a tar archive: its image's and its own, without volumes and without what is mounted
    in it. The same content gives the same bytes. 'vitrine import' makes an image of it.`,
  options: {
    output: outputFile,
  },
  positionals: [{ name: "CONTAINER", completion: "container" }],
  examples: [{ command: "vitrine export web | tar -t", does: "what is in it" }],
  exitCodes: { "not-found": 1 },
  async run({ options, positionals, context }) {
    const { exportContainer } = await loadFiles();
    await sweep(context, 8);
    const deps = { paths: context.paths(), helperPath: context.helperPath() };
    const container = findContainer(deps.paths, positionals[0]!);
    if (options.output === undefined || options.output === "-") {
      requireNoTerminal(context);
      await interruptible((guard) =>
        exportContainer(container, deps, async (stream) => {
          for await (const chunk of guard.guard(stream)) if (!writeAll(1, chunk)) throw new OutputClosed();
        }),
      );
      return;
    }
    const target = path.resolve(options.output);
    await interruptible((guard) =>
      exportContainer(container, deps, (stream) => writeArchiveFile(guard.guard(stream), target)),
    );
  },
});
