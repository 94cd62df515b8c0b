/** What refers to a manifest (spec.md#listing-referrers), and the tag that holds the list where the registry keeps none. */
import { collect, limits, VitrineError } from "../../base/mod.ts";
import {
  compact,
  type Descriptor,
  type Digest,
  digestOf,
  encodeIndex,
  mediaTypes,
  parseIndex,
  parseManifestOrIndex,
} from "../../oci/mod.ts";
import { type AccessScope, paths, referrersTag } from "../protocol/mod.ts";
import { responseError } from "./failures.ts";
import { nextPage } from "./lists.ts";
import type { Session } from "./session.ts";
import type { OutgoingManifest, Repository } from "./types.ts";

const mostPages = 1000;

export async function listReferrers(
  repository: Repository,
  session: Session,
  scopes: readonly AccessScope[],
  digest: Digest,
  artifactType: string | undefined,
): Promise<readonly Descriptor[]> {
  const query = artifactType === undefined ? "" : `?${new URLSearchParams({ artifactType })}`;
  let target: string | URL = `${paths.referrers(repository.name, digest)}${query}`;
  const found = new Map<string, Descriptor>();
  for (let page = 0; page < mostPages; page++) {
    const response = await session.send({
      method: "GET",
      target,
      scopes,
      headers: { accept: mediaTypes.index },
    });
    if (response.status === 404 || (page === 0 && notOffered.has(response.status))) {
      await response.discard();
      return filtered((await taggedList(repository, digest)) ?? [], artifactType);
    }
    if (response.status !== 200) throw await responseError(response, digest);
    const bytes = await collect(response.body, limits.layoutIndexBytes, digest);
    const { index } = parseIndex(bytes, mediaTypes.index, {
      maxBytes: limits.layoutIndexBytes,
      maxManifests: mostReferrers,
    });
    for (const descriptor of index.manifests) found.set(descriptor.digest, descriptor);
    const next = nextPage(session, response);
    if (next === undefined) break;
    target = next;
  }
  // A registry need not filter, and says when it did.
  return filtered([...found.values()], artifactType);
}

/** Registries that never heard of the API say it in different ways; only 404 is the spec's. */
const notOffered: ReadonlySet<number> = new Set([400, 405, 406, 501]);
const mostReferrers = 100_000;

function filtered(list: readonly Descriptor[], artifactType: string | undefined): readonly Descriptor[] {
  return artifactType === undefined ? list : list.filter((entry) => entry.artifactType === artifactType);
}

/** The index under the referrers tag; undefined where there is none. Error: `referrers-tag-invalid`. */
async function taggedList(
  repository: Repository,
  subject: Digest,
): Promise<readonly Descriptor[] | undefined> {
  const tag = referrersTag(subject);
  try {
    const { parsed } = await repository.getManifest(tag);
    if (parsed.kind === "index") return parsed.index.manifests;
  } catch (error) {
    if (error instanceof VitrineError && error.code === "manifest-unknown") return undefined;
    throw error;
  }
  throw new VitrineError("invalid", `tag ${tag} should list the referrers of ${subject}, but is an image`, {
    code: "referrers-tag-invalid",
    operand: tag,
  });
}

/** After a push that the registry did not answer with `OCI-Subject` (spec.md#pushing-manifests-with-subject). */
export async function addReferrer(repository: Repository, manifest: OutgoingManifest): Promise<void> {
  const parsed = parseManifestOrIndex(manifest.bytes, manifest.mediaType);
  const document = parsed.kind === "manifest" ? parsed.manifest : parsed.index;
  if (document.subject === undefined) return;
  const artifactType =
    document.artifactType || (parsed.kind === "manifest" ? parsed.manifest.config.mediaType : undefined);
  const entry: Descriptor = compact({
    mediaType: parsed.mediaType,
    digest: manifest.digest,
    size: manifest.bytes.length,
    artifactType,
    annotations: document.annotations,
  });
  await changeList(repository, document.subject.digest, (list) =>
    list.some(({ digest }) => digest === entry.digest) ? undefined : [...list, entry],
  );
}

/** After a manifest was deleted: it leaves the list, where there is one. */
export async function removeReferrer(repository: Repository, subject: Digest, digest: Digest): Promise<void> {
  const known = await taggedList(repository, subject).catch(() => undefined);
  if (known === undefined) return;
  await changeList(repository, subject, (list) => {
    const rest = list.filter((entry) => entry.digest !== digest);
    return rest.length === list.length ? undefined : rest;
  });
}

const mostTries = 40;
/** So often in a row a change must still be there. */
const mostLooks = 2;
const leastPause = 30;

/**
 * Who changes the list at the same time overwrites ours with what he read before: registries have no lock for it. So everybody looks
 * again, later than another needs for his change, whether his own lasted, and makes it once more where it did not. `change`: undefined
 * where there is nothing to do. Error: `referrers-contended`.
 */
async function changeList(
  repository: Repository,
  subject: Digest,
  change: (list: readonly Descriptor[]) => readonly Descriptor[] | undefined,
): Promise<void> {
  let looks = 0;
  for (let attempt = 1; attempt <= mostTries; attempt++) {
    const began = performance.now();
    const changed = change((await taggedList(repository, subject)) ?? []);
    if (changed !== undefined) {
      await putList(repository, subject, changed);
      looks = 0;
    } else {
      looks += 1;
      if (attempt === 1 || looks > mostLooks - 1) return;
    }
    const pause =
      Math.max(leastPause, performance.now() - began) * (changed === undefined ? 2 : 1 + attempt / 2);
    await new Promise((resolve) => setTimeout(resolve, pause * (1 + Math.random())));
  }
  throw new VitrineError("unavailable", `others change the list of referrers of ${subject} all the time`, {
    code: "referrers-contended",
    operand: subject,
    hint: "try again later: the artifact itself is there",
  });
}

async function putList(
  repository: Repository,
  subject: Digest,
  manifests: readonly Descriptor[],
): Promise<void> {
  const bytes = encodeIndex({ schemaVersion: 2, mediaType: mediaTypes.index, manifests });
  const list = { bytes, mediaType: mediaTypes.index, digest: digestOf(bytes) };
  await repository.putManifest(list, { tags: [referrersTag(subject)] });
}
