/** Whether a registry's storage is whole: every name leads to bytes that are what their digest says. */
import { createHasher, VitrineError } from "../../../base/mod.ts";
import { type Digest, isDigest, splitDigest } from "../../../oci/mod.ts";
import { referencesOf } from "../repositories/accept-manifest.ts";
import { Repositories } from "../repositories/repositories.ts";
import type { RegistryStorage } from "../storage/types.ts";

export interface CheckProblem {
  /** `blob-corrupt`, `blob-missing`, `manifest-missing`, `tag-dangling`, `record-corrupt`, `manifest-invalid`. */
  readonly code: string;
  /** Where: a repository with what is in it, or a digest. */
  readonly where: string;
  readonly message: string;
}

export interface CheckReport {
  readonly repositories: number;
  readonly tags: number;
  readonly manifests: number;
  readonly blobs: number;
  readonly bytes: number;
  readonly problems: readonly CheckProblem[];
  /** Images whose content was deleted by somebody, or never pushed where that is allowed; not damage. */
  readonly incomplete: readonly CheckProblem[];
}

export interface CheckOptions {
  /** Reads every blob and verifies it; default true. Without, only sizes are compared. */
  readonly deep?: boolean;
  readonly onBlob?: (digest: Digest) => void;
}

export async function checkStorage(
  storage: RegistryStorage,
  options: CheckOptions = {},
): Promise<CheckReport> {
  const check = new Check(storage, options);
  await check.content();
  for (const name of await check.repositories.names()) await check.repository(name);
  return check.report();
}

class Check {
  readonly repositories: Repositories;
  private readonly storage: RegistryStorage;
  private readonly options: CheckOptions;
  private readonly problems: CheckProblem[] = [];
  private readonly incomplete: CheckProblem[] = [];
  private readonly present = new Map<Digest, number>();
  private counts = { repositories: 0, tags: 0, manifests: 0, bytes: 0 };

  constructor(storage: RegistryStorage, options: CheckOptions) {
    this.storage = storage;
    this.options = options;
    this.repositories = new Repositories(storage);
  }

  report(): CheckReport {
    const { problems, incomplete } = this;
    return { ...this.counts, blobs: this.present.size, problems, incomplete };
  }

  async content(): Promise<void> {
    for await (const { digest, size } of this.storage.blobs.list()) {
      this.options.onBlob?.(digest);
      this.present.set(digest, size);
      this.counts.bytes += size;
      if (this.options.deep === false) continue;
      const actual = await this.hash(digest);
      if (actual !== digest) this.problem("blob-corrupt", digest, `its bytes have the digest ${actual}`);
    }
  }

  private async hash(digest: Digest): Promise<string> {
    const reader = await this.storage.blobs.open(digest);
    if (reader === undefined) return "of nothing: it is gone";
    const { algorithm } = splitDigest(digest);
    const hasher = createHasher(algorithm);
    try {
      for await (const chunk of reader.stream(0, reader.size)) hasher.update(chunk);
    } finally {
      await reader.close();
    }
    return `${algorithm}:${hasher.hex()}`;
  }

  async repository(name: string): Promise<void> {
    this.counts.repositories += 1;
    const { repositories } = this;
    for (const digest of await repositories.blobs(name)) {
      const record = await this.read(name, () => repositories.blob(name, digest));
      if (record !== undefined) this.requireBytes(name, digest, record.size, "blob-missing");
    }
    for (const digest of await repositories.manifests(name)) {
      this.counts.manifests += 1;
      const record = await this.read(name, () => repositories.manifest(name, digest));
      if (record === undefined) continue;
      if (!this.requireBytes(name, digest, record.size, "manifest-missing")) continue;
      await this.manifest(name, digest, record);
    }
    for (const tag of await repositories.tags(name)) {
      this.counts.tags += 1;
      const record = await this.read(name, () => repositories.tag(name, tag));
      if (record === undefined) continue;
      if (!isDigest(record.digest) || (await repositories.manifest(name, record.digest)) === undefined) {
        this.problem("tag-dangling", `${name}:${tag}`, `points to ${record.digest}, which is not here`);
      }
    }
  }

  private async manifest(
    name: string,
    digest: Digest,
    record: { readonly size: number; readonly mediaType: string },
  ): Promise<void> {
    let references: readonly Digest[];
    try {
      references = referencesOf(await this.repositories.manifestBytes(digest, record.size), record.mediaType);
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      this.problem("manifest-invalid", `${name}@${digest}`, error.message);
      return;
    }
    for (const reference of references) {
      const known =
        (await this.repositories.blob(name, reference)) ??
        (await this.repositories.manifest(name, reference));
      if (known !== undefined) continue;
      this.incomplete.push({
        code: "content-absent",
        where: `${name}@${digest}`,
        message: `names ${reference}, which the repository does not have`,
      });
    }
  }

  private requireBytes(name: string, digest: Digest, size: number, code: string): boolean {
    const present = this.present.get(digest);
    if (present === size) return true;
    this.problem(
      code,
      `${name}@${digest}`,
      present === undefined ? "its bytes are missing" : `has ${present} bytes, ${size} were stored`,
    );
    return false;
  }

  private async read<T>(name: string, body: () => Promise<T>): Promise<T | undefined> {
    try {
      return await body();
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      this.problem("record-corrupt", error.operand ?? name, error.message);
      return undefined;
    }
  }

  private problem(code: string, where: string, message: string): void {
    this.problems.push({ code, where, message });
  }
}
