import { openArtifacts, type StoredArtifact } from "../../store/mod.ts";
import { humanAgo, humanSize } from "../format/human.ts";
import { defineCommand } from "../framework/command.ts";
import { nameParts, shortId } from "../images/names.ts";
import { createdKey } from "../remote/artifact.ts";
import { renderRows } from "../template/mod.ts";

export const command = defineCommand({
  description: "Lists the artifacts of the store.",
  options: {
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json', or a Go template with .Repository .Tag .Digest .Created .Size .VirtualSize",
    },
    "no-trunc": { type: "boolean", help: "show whole digests" },
    noheading: { type: "boolean", short: "n", help: "leave the headings out" },
  },
  positionals: [],
  async run({ options, context }) {
    const artifacts = (await openArtifacts(context.paths().root)).list();
    const rows = artifacts.map((artifact) => view(artifact, context.now(), options["no-trunc"]));
    context.out(
      renderRows(
        rows,
        { headings: {}, standard: "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.Created}}\t{{.Size}}" },
        { format: options.format, heading: !options.noheading, forTerminal: context.stdoutIsTerminal },
      ),
    );
    return 0;
  },
});

/** As podman's: the size is that of the files. */
function view({ name, root, manifest }: StoredArtifact, now: number, whole: boolean) {
  const { repository, tag } = nameParts(name);
  const created = Date.parse(manifest.annotations?.[createdKey] ?? "");
  const size = manifest.layers.reduce((bytes, layer) => bytes + layer.size, 0);
  return {
    Repository: repository,
    Tag: tag,
    Digest: whole ? root.digest.split(":")[1]! : shortId(root.digest),
    Created: Number.isNaN(created) ? "N/A" : humanAgo(created, now),
    Size: humanSize(size),
    VirtualSize: size,
  };
}
