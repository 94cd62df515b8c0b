/** How much a repository holds, held against its quota. */
import { RegistryError } from "./errors.ts";
import type { Repositories } from "./repositories/repositories.ts";
import type { Service } from "./service.ts";

/** Bytes of the blobs and manifests of a repository, each counted once. */
async function repositoryBytes(repositories: Repositories, name: string): Promise<number> {
  let bytes = 0;
  for (const digest of await repositories.blobs(name)) {
    bytes += (await repositories.blob(name, digest))?.size ?? 0;
  }
  for (const digest of await repositories.manifests(name)) {
    bytes += (await repositories.manifest(name, digest))?.size ?? 0;
  }
  return bytes;
}

/** Throws 403 DENIED when `more` bytes do not fit. */
export async function requireQuota(service: Service, name: string, more: number): Promise<void> {
  const left = await quotaLeft(service, name);
  if (more <= left) return;
  const quota = service.policy.quotaOf(name);
  throw new RegistryError(403, "DENIED", {
    message: `the quota of ${name} is ${quota} bytes; ${Math.max(0, left)} are left, ${more} are needed`,
    detail: { quota, left: Math.max(0, left), needed: more },
  });
}

/** Bytes that still fit; infinite without a quota. */
export async function quotaLeft(service: Service, name: string): Promise<number> {
  const quota = service.policy.quotaOf(name);
  return quota === undefined
    ? Number.POSITIVE_INFINITY
    : quota - (await repositoryBytes(service.repositories, name));
}
