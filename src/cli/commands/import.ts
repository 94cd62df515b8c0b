import * as fs from "node:fs";
import { errnoOf, readFileStream, VitrineError } from "../../base/mod.ts";
import { recordEvent } from "../../engine/mod.ts";
import { hostPlatform, importRootfs, normalizePlatform } from "../../image/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { interruptible } from "../framework/interrupt.ts";
import { readStdin } from "../framework/stdin.ts";
import { creationTime } from "../images/created.ts";
import { newName } from "../images/names.ts";
import { watched } from "../images/progress.ts";

export const command = defineCommand({
  description: `Makes an image of one layer from a tarball of a root filesystem, plain or compressed, and prints its ID. --change
    sets what 'run' does with it.`,
  options: {
    change: {
      type: "strings",
      short: "c",
      value: "INSTRUCTION",
      help: "apply CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR or ONBUILD to the config",
    },
    message: { type: "string", short: "m", value: "TEXT", help: "comment in the image's history" },
    os: { type: "string", value: "OS", help: "operating system of the image", defaultText: "linux" },
    arch: { type: "string", value: "ARCH", help: "architecture of the image", defaultText: "the host's" },
    variant: { type: "string", value: "VARIANT", help: "variant of the architecture" },
    quiet: { type: "boolean", short: "q", help: "show no progress" },
  },
  positionals: [
    { name: "FILE|-", completion: "file" },
    { name: "NAME", optional: true },
  ],
  examples: [
    {
      command: "vitrine import -c 'CMD [\"/bin/sh\"]' rootfs.tar.gz local/alpine",
      does: "an image that runs a shell",
    },
    { command: "tar -C rootfs -c . | vitrine import - local/base", does: "an image from a directory" },
  ],
  async run({ options, positionals, context }) {
    const file = positionals[0]!;
    const names = positionals[1] === undefined ? [] : [newName(positionals[1])];
    const input =
      file === "-"
        ? readStdin(context, { what: "a tarball", hint: "name a file, or redirect stdin" })
        : openFile(file);
    const host = hostPlatform();
    const platform = normalizePlatform({
      ...(options.arch === undefined ? host : { architecture: options.arch }),
      os: options.os ?? "linux",
      ...(options.variant === undefined ? {} : { variant: options.variant }),
    });
    const store = await context.store();
    await interruptible(async (guard) => {
      const archive = await importRootfs(guard.guard(input), {
        changes: options.change,
        message: options.message,
        platform,
        created: creationTime(context.environment["SOURCE_DATE_EPOCH"], context.now()),
        names,
        temporaryDirectory: store.temporaryDirectory(),
      });
      try {
        const source = watched(archive.images[0]!, guard, options.quiet ? undefined : "Importing");
        const { ids } = await store.put(source);
        for (const id of ids) {
          recordEvent(context.paths(), {
            type: "image",
            action: "import",
            id,
            attributes: { name: names[0] ?? id },
          });
        }
        context.out(ids.map((id) => `${id}\n`).join(""));
      } finally {
        await archive.close();
      }
    });
  },
});

function openFile(file: string): ReturnType<typeof readFileStream> {
  if (/^(?:https?|ftp):\/\//.test(file)) {
    throw new VitrineError("unsupported", "vitrine does not download a tarball", {
      code: "import-url",
      operand: file,
      hint: `curl -fL ${file} | vitrine import - NAME`,
    });
  }
  try {
    fs.accessSync(file, fs.constants.R_OK);
    if (!fs.statSync(file).isDirectory()) return readFileStream(file);
  } catch (cause) {
    const missing = errnoOf(cause) === "ENOENT" || errnoOf(cause) === "ENOTDIR";
    throw new VitrineError(
      missing ? "not-found" : "denied",
      `cannot read ${file}: ${errnoOf(cause) ?? cause}`,
      {
        code: missing ? "archive-not-found" : "archive-unreadable",
        operand: file,
        hint: missing ? "check the path" : "check its permissions",
        cause,
      },
    );
  }
  throw new VitrineError("invalid", `${file} is a directory`, {
    code: "archive-unknown-format",
    operand: file,
    hint: `tar -C ${file} -c . | vitrine import - NAME`,
  });
}
