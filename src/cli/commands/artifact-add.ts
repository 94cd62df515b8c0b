import { VitrineError } from "../../base/mod.ts";
import type { ImageSource } from "../../image/mod.ts";
import { openArtifacts } from "../../store/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { appendToArtifact, makeArtifact, parseAnnotationFlags } from "../remote/artifact.ts";
import { withSpool } from "../remote/world.ts";

export const command = defineCommand({
  description: `Makes an artifact of files in the store, where 'artifact push' finds it, and prints its digest. A directory is packed as
    oras does it.`,
  options: {
    annotation: {
      type: "strings",
      value: "KEY=VALUE",
      help: "annotation of these files, and of a new artifact",
    },
    append: { type: "boolean", short: "a", help: "add files to an artifact that is there" },
    "file-type": { type: "string", value: "TYPE", help: "media type of the files that name none" },
    replace: { type: "boolean", help: "put it in the place of one of that name" },
    type: {
      type: "string",
      value: "TYPE",
      default: "application/vnd.unknown.artifact.v1",
      help: "media type that says what the artifact is",
    },
  },
  positionals: [{ name: "ARTIFACT" }, { name: "PATH[:TYPE]", variadic: true, completion: "file" }],
  examples: [{ command: "vitrine artifact add localhost:5000/config:1 app.yaml", does: "keeps a file" }],
  async run({ options, positionals, given, context }) {
    const [name, ...files] = positionals as [string, ...string[]];
    for (const flag of ["replace", "type"] as const)
      if (options.append && given.has(flag)) throw conflict(flag);
    const artifacts = await openArtifacts(context.paths().root);
    const fileAnnotations = parseAnnotationFlags(options.annotation);
    await withSpool(context, async (temporaryDirectory) => {
      const wishes = {
        files,
        fileAnnotations,
        temporaryDirectory,
        ...(options["file-type"] !== undefined && { fileType: options["file-type"] }),
      };
      const old = options.append ? artifacts.find(name) : undefined;
      const source: ImageSource =
        old === undefined
          ? await makeArtifact({
              ...wishes,
              artifactType: options.type,
              annotations: fileAnnotations,
              created: new Date(context.now()).toISOString(),
            })
          : await appendToArtifact(artifacts.source(old), old.manifest, wishes);
      await artifacts.put(source, old?.name ?? name, { replace: options.replace || options.append });
      context.out(`${source.root.digest}\n`);
    });
    return 0;
  },
});

function conflict(flag: string): VitrineError {
  return new VitrineError("invalid", `--append and --${flag} exclude each other`, {
    code: "flag-conflict",
    operand: `--${flag}`,
  });
}
