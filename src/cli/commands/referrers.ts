import { formatBytes, printable, VitrineError } from "../../base/mod.ts";
import { type Descriptor, type Digest, isDigest } from "../../oci/mod.ts";
import type { Repository } from "../../registry/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { registryOptions, withClient } from "../remote/client.ts";

export const command = defineCommand({
  description: `Shows what refers to an image in its registry as a tree: signatures, SBOMs, attestations and other artifacts, and what
    refers to those. Registries without the referrers API are asked for the referrers tag.`,
  options: {
    "artifact-type": { type: "string", value: "TYPE", help: "only artifacts of this type" },
    depth: { type: "number", value: "N", default: 4, help: "how far to follow" },
    format: { type: "string", value: "FORMAT", choices: ["json"], help: "json" },
    ...registryOptions,
  },
  positionals: [{ name: "IMAGE" }],
  examples: [{ command: "vitrine referrers localhost:5000/app:1.0", does: "the tree" }],
  async run({ options, positionals, given, context }) {
    return withClient(context, options, given, async (client) => {
      const [reference] = await client.candidates(positionals[0]!.replace(/^docker:\/\//, ""));
      const repository = await client.repository(reference!);
      const root = await digestOfReference(repository, reference!.digest ?? reference!.tag!);
      const tree = await grow(repository, root, options["artifact-type"], options.depth, new Set([root]));
      if (options.format === "json") context.out(`${jsonText({ digest: root, referrers: tree }, 4)}\n`);
      else {
        context.out(`${printable(`${repository.registry}/${repository.name}`)}@${root}\n`);
        context.out(render(tree, ""));
      }
      return 0;
    });
  },
});

async function digestOfReference(repository: Repository, reference: string): Promise<Digest> {
  if (isDigest(reference)) return reference;
  const found = await repository.headManifest(reference);
  if (found !== undefined) return found.digest;
  throw new VitrineError("not-found", `${repository.registry}/${repository.name} has no ${reference}`, {
    code: "manifest-unknown",
    operand: reference,
  });
}

interface Node extends Descriptor {
  readonly referrers: readonly Node[];
}

/** Registries could answer in a circle: each digest is followed once. */
async function grow(
  repository: Repository,
  digest: Digest,
  artifactType: string | undefined,
  depth: number,
  seen: Set<string>,
): Promise<readonly Node[]> {
  if (depth <= 0) return [];
  const nodes: Node[] = [];
  for (const descriptor of await repository.referrers(digest, artifactType)) {
    if (seen.has(descriptor.digest)) continue;
    seen.add(descriptor.digest);
    const referrers = await grow(repository, descriptor.digest, undefined, depth - 1, seen);
    nodes.push({ ...descriptor, referrers });
  }
  return nodes;
}

function render(nodes: readonly Node[], indent: string): string {
  return nodes
    .map((node, at) => {
      const last = at === nodes.length - 1;
      const type = printable(node.artifactType ?? node.mediaType);
      const line = `${indent}${last ? "└── " : "├── "}${type} ${node.digest} ${formatBytes(node.size)}\n`;
      return line + render(node.referrers, indent + (last ? "    " : "│   "));
    })
    .join("");
}
