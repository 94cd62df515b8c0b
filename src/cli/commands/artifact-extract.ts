import * as fs from "node:fs";
import * as path from "node:path";
import { quoted, VitrineError } from "../../base/mod.ts";
import { openArtifacts } from "../../store/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { tarDigestKey, unpackDirectory, unpackKey } from "../remote/artifact-directory.ts";
import { readLayers, requireFree, writeFile, writeFiles } from "../remote/artifact-files.ts";

export const command = defineCommand({
  description: `Writes the files of an artifact of the store: into PATH where that is a directory, each under its title, one without a
    title under its digest; else the only file is written to PATH. Directories are unpacked.`,
  options: {
    digest: { type: "string", value: "DIGEST", help: "only the file with this digest" },
    title: { type: "string", value: "TITLE", help: "only the file with this title" },
  },
  positionals: [{ name: "ARTIFACT" }, { name: "PATH", completion: "file" }],
  async run({ options, positionals, context }) {
    const [name, target] = positionals as [string, string];
    if (options.digest !== undefined && options.title !== undefined) {
      throw new VitrineError("invalid", "--digest and --title exclude each other", {
        code: "flag-conflict",
        operand: "--digest",
      });
    }
    const artifacts = await openArtifacts(context.paths().root);
    const source = artifacts.source(artifacts.find(name));
    const { all, titled } = await readLayers(source);
    const chosen = all.flatMap((layer) => {
      const parts = titled.find((other) => other.layer === layer)?.parts;
      const wanted =
        (options.digest === undefined || layer.digest === options.digest) &&
        (options.title === undefined || parts?.join("/") === options.title);
      return wanted ? [{ layer, parts: parts ?? [layer.digest.replace(":", "-")] }] : [];
    });
    if (chosen.length === 0) throw nothing(name, options.title ?? options.digest);
    if (fs.statSync(target, { throwIfNoEntry: false })?.isDirectory() === true) {
      await writeFiles(source, chosen, target, true);
    } else if (chosen.length > 1) {
      throw new VitrineError(
        "invalid",
        `the artifact has ${chosen.length} files, and ${quoted(target)} is no directory`,
        {
          code: "artifact-extract-ambiguous",
          operand: target,
          hint: "name a directory that is there, or one file with --title or --digest",
        },
      );
    } else if (chosen[0]!.layer.annotations?.[unpackKey] === "true") {
      const { layer, parts } = chosen[0]!;
      requireFree(target, false);
      await unpackDirectory(
        source.openBlob(layer),
        parts.join("/"),
        target,
        layer.annotations?.[tarDigestKey],
      );
    } else await writeFile(source, chosen[0]!.layer, path.resolve(target));
    return 0;
  },
});

function nothing(name: string, what: string | undefined): VitrineError {
  return new VitrineError(
    "not-found",
    `artifact ${name} has no file${what === undefined ? "" : ` ${quoted(what)}`}`,
    {
      code: "artifact-file-not-found",
      operand: what ?? name,
      hint: "vitrine artifact inspect shows its files",
    },
  );
}
