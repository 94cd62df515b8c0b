import { printable } from "../../base/mod.ts";
import { recordEvent } from "../../engine/mod.ts";
import { openArchive } from "../../image/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { interruptible } from "../framework/interrupt.ts";
import { readStdin } from "../framework/stdin.ts";
import { watched } from "../images/progress.ts";

export const command = defineCommand({
  description: `Takes every image of an archive into the store: a docker-archive or an OCI archive, plain or compressed with
    gzip, zstd, xz or bzip2, or the directory of an OCI image layout. Every byte is verified on the way.`,
  options: {
    input: {
      type: "string",
      short: "i",
      value: "FILE",
      completion: "file",
      help: "archive or layout directory to read, '-' or nothing for stdin",
    },
    quiet: { type: "boolean", short: "q", help: "show no progress" },
  },
  positionals: [],
  examples: [
    { command: "docker save alpine | vitrine load", does: "take an image over from Docker" },
    { command: "vitrine load -i image.tar.zst", does: "load a compressed archive" },
  ],
  async run({ options, context }) {
    const fromStdin = options.input === undefined || options.input === "-";
    const stdin = fromStdin
      ? readStdin(context, { what: "an archive", hint: "name it with --input FILE, or redirect stdin" })
      : undefined;
    const store = await context.store();
    await interruptible(async (guard) => {
      const archive = await openArchive(stdin === undefined ? options.input! : guard.guard(stdin), {
        temporaryDirectory: store.temporaryDirectory(),
      });
      try {
        for (const image of archive.images) {
          const result = await store.put(watched(image, guard, options.quiet ? undefined : "Loading"));
          for (const id of result.ids) {
            const name = result.names[0] ?? id;
            recordEvent(context.paths(), { type: "image", action: "load", id, attributes: { name } });
          }
          const shown = result.names.length > 0 ? result.names : result.ids;
          context.out(shown.map((name) => `Loaded image: ${printable(name)}\n`).join(""));
          for (const name of result.replaced) context.log("info", `${name} led to another image before`);
        }
      } finally {
        await archive.close();
      }
    });
  },
});
