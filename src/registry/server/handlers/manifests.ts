/** Manifests: pull, push, delete (spec.md, end-3, end-7, end-9). */
import { type Digest, digestOf, splitDigest } from "../../../oci/mod.ts";
import { headerNames, matchesEntityTag } from "../../protocol/headers.ts";
import { isTag, type ManifestReference } from "../../protocol/names.ts";
import { paths } from "../../protocol/paths.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";
import { requireQuota } from "../quota.ts";
import { acceptManifest } from "../repositories/accept-manifest.ts";
import type { Service } from "../service.ts";
import { readDigest, readReference } from "./requests.ts";

interface Found {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
}

/** GET and HEAD. What is remembered is answered without a turn of the event loop. */
export function getManifest(
  service: Service,
  exchange: Exchange,
  name: string,
  text: string,
): Promise<void> | undefined {
  const reference = readReference(text, false);
  const found = service.upstream === undefined ? peek(service, name, reference) : undefined;
  const bytes = found && service.repositories.peekManifestBytes(found.digest);
  if (found === undefined || bytes === undefined) return lookUp(service, exchange, name, reference);
  answer(service, exchange, name, reference, found, bytes);
  return undefined;
}

function peek(service: Service, name: string, reference: ManifestReference): Found | undefined {
  const { repositories } = service;
  const digest = reference.digest ?? repositories.peekTag(name, reference.tag)?.digest;
  const record = digest && repositories.peekManifest(name, digest);
  return record === undefined
    ? undefined
    : { digest: digest!, mediaType: record.mediaType, size: record.size };
}

async function lookUp(
  service: Service,
  exchange: Exchange,
  name: string,
  reference: ManifestReference,
): Promise<void> {
  const { repositories } = service;
  await service.upstream?.manifest(name, reference);
  const found = await findManifest(service, name, reference);
  if (found === undefined) {
    const known = await repositories.exists(name);
    throw new RegistryError(404, known ? "MANIFEST_UNKNOWN" : "NAME_UNKNOWN", {
      detail: { name, ...reference },
    });
  }
  const bytes = await repositories.manifestBytes(found.digest, found.size);
  answer(service, exchange, name, reference, found, bytes);
}

async function findManifest(
  service: Service,
  name: string,
  reference: ManifestReference,
): Promise<Found | undefined> {
  const { repositories } = service;
  const digest = reference.digest ?? (await repositories.tag(name, reference.tag))?.digest;
  // A tag whose manifest is gone is what a crash in the middle of a delete leaves: gone as well.
  const record = digest && (await repositories.manifest(name, digest));
  return record === undefined
    ? undefined
    : { digest: digest!, mediaType: record.mediaType, size: record.size };
}

function answer(
  service: Service,
  exchange: Exchange,
  name: string,
  reference: ManifestReference,
  found: Found,
  bytes: Uint8Array,
): void {
  const { digest, mediaType } = found;
  service.repositories.noteSeen(digest);
  const entityTag = `"${digest}"`;
  const condition = exchange.header("if-none-match");
  if (condition !== undefined && matchesEntityTag(condition, entityTag)) {
    exchange.send(304, { ETag: entityTag, [headerNames.contentDigest]: digest });
    return;
  }
  exchange.send(
    200,
    { "Content-Type": mediaType, [headerNames.contentDigest]: digest, ETag: entityTag },
    bytes,
  );
  if (exchange.method === "GET") {
    service.events.emit({
      type: "pull",
      what: "manifest",
      repository: name,
      digest,
      mediaType,
      size: found.size,
      ...(reference.tag !== undefined && { tags: [reference.tag] }),
      ...(exchange.identity?.user !== undefined && { user: exchange.identity.user }),
    });
  }
}

/** PUT by tag or digest; by digest also with `tag` parameters; by tag also with a `digest` parameter that names the algorithm. */
export async function putManifest(
  service: Service,
  exchange: Exchange,
  name: string,
  text: string,
): Promise<void> {
  const { repositories, policy, limits } = service;
  policy.requireWritable();
  const reference = readReference(text, true);
  const tags = tagsOf(exchange, reference, limits.tagsPerPush);
  const bytes = await exchange.smallBody(limits.manifestBytes);
  const expected = reference.digest ?? readOptionalDigest(exchange);
  const digest = digestOf(bytes, expected === undefined ? "sha256" : splitDigest(expected).algorithm);
  if (expected !== undefined && expected !== digest) {
    throw new RegistryError(400, "DIGEST_INVALID", {
      message: `the manifest's digest is ${digest}, not ${expected}`,
    });
  }
  const subject = await repositories.exclusively(name, async () => {
    for (const tag of tags) await requireMovable(service, name, tag, digest);
    const accept = () =>
      acceptManifest(repositories, name, bytes, exchange.header("content-type"), {
        maxBytes: limits.manifestBytes,
        missingContent: policy.missingContent,
      });
    const accepted = await accept();
    // One that is here takes no more room, whatever tags it gets.
    if ((await repositories.manifest(name, digest)) === undefined) {
      await requireQuota(service, name, bytes.length);
    }
    await repositories.putManifest(name, digest, accepted, tags, async () => void (await accept()));
    service.events.emit({
      type: "push",
      what: "manifest",
      repository: name,
      digest,
      tags,
      mediaType: accepted.mediaType,
      size: bytes.length,
      ...(exchange.identity?.user !== undefined && { user: exchange.identity.user }),
    });
    return accepted.subject;
  });
  service.metrics.add("vitrine_registry_manifests_pushed_total");
  exchange.send(201, {
    Location: paths.manifest(name, digest),
    [headerNames.contentDigest]: digest,
    ...(subject !== undefined && { [headerNames.subject]: subject }),
    ...(reference.digest !== undefined && tags.length > 0 && { [headerNames.tag]: tags.join(", ") }),
  });
}

/** A digest beside a tag says which algorithm is meant, and is held against the bytes. */
function readOptionalDigest(exchange: Exchange): Digest | undefined {
  const text = exchange.query.get("digest");
  return text === null ? undefined : readDigest(text);
}

function tagsOf(exchange: Exchange, reference: ManifestReference, most: number): readonly string[] {
  if (reference.tag !== undefined) return [reference.tag];
  const tags = [...new Set(exchange.query.getAll("tag"))];
  if (tags.length > most) {
    throw new RegistryError(414, "UNSUPPORTED", { message: `more than ${most} tags in one push` });
  }
  const wrong = tags.find((tag) => !isTag(tag));
  if (wrong !== undefined) {
    throw new RegistryError(400, "MANIFEST_INVALID", { message: "not a tag", detail: { tag: wrong } });
  }
  return tags;
}

async function requireMovable(service: Service, name: string, tag: string, digest: Digest): Promise<void> {
  if (!service.policy.isImmutable(name, tag)) return;
  const current = await service.repositories.tag(name, tag);
  if (current === undefined || current.digest === digest) return;
  throw new RegistryError(403, "DENIED", {
    message: `tag ${tag} is immutable and points to ${current.digest}`,
    detail: { tag, digest: current.digest },
  });
}

/** DELETE of a tag, or of a manifest with its tags. */
export async function deleteManifest(
  service: Service,
  exchange: Exchange,
  name: string,
  text: string,
): Promise<void> {
  const { repositories, policy } = service;
  policy.requireDeletes();
  const reference = readReference(text, false);
  const deleted = await repositories.exclusively(name, async () => {
    const tags =
      reference.tag !== undefined ? [reference.tag] : await repositories.tagsOf(name, reference.digest);
    const held = tags.find((tag) => policy.isImmutable(name, tag));
    if (held !== undefined) {
      throw new RegistryError(403, "DENIED", { message: `tag ${held} is immutable`, detail: { tag: held } });
    }
    return reference.tag !== undefined
      ? repositories.deleteTag(name, reference.tag)
      : repositories.deleteManifest(name, reference.digest);
  });
  if (!deleted) {
    const known = await repositories.exists(name);
    throw new RegistryError(404, known ? "MANIFEST_UNKNOWN" : "NAME_UNKNOWN", {
      detail: { name, ...reference },
    });
  }
  service.events.emit({
    type: "delete",
    what: reference.tag === undefined ? "manifest" : "tag",
    repository: name,
    ...(reference.digest !== undefined && { digest: reference.digest }),
    ...(reference.tag !== undefined && { tags: [reference.tag] }),
    ...(exchange.identity?.user !== undefined && { user: exchange.identity.user }),
  });
  exchange.send(202, {});
}
