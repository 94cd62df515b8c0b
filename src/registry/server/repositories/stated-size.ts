/** How large a blob is, from the manifests of its repository that name it. */
import { type Digest, parseManifestOrIndex } from "../../../oci/mod.ts";
import type { Repositories } from "./repositories.ts";

/** Of a repository that has more manifests, the others are not looked at. */
const mostManifests = 1000;

/** Undefined where no manifest that is here names it, or two say different sizes. */
export async function statedSize(
  repositories: Repositories,
  name: string,
  digest: Digest,
): Promise<number | undefined> {
  const sizes = new Set<number>();
  for (const manifest of (await repositories.manifests(name)).slice(0, mostManifests)) {
    const record = await repositories.manifest(name, manifest);
    if (record === undefined) continue;
    const bytes = await repositories.manifestBytes(manifest, record.size).catch(() => undefined);
    if (bytes === undefined) continue;
    const parsed = parseManifestOrIndex(bytes, record.mediaType, { maxBytes: bytes.length });
    const named =
      parsed.kind === "manifest"
        ? [parsed.manifest.config, ...parsed.manifest.layers]
        : parsed.index.manifests;
    for (const descriptor of named) if (descriptor.digest === digest) sizes.add(descriptor.size);
  }
  return sizes.size === 1 ? [...sizes][0] : undefined;
}
