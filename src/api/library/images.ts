/** Images, as a program that uses the library handles them. */
import { readFileStream, streamOf } from "../../base/mod.ts";
import {
  formatReference,
  hostPlatform,
  importRootfs,
  openArchive,
  parsePlatform,
  parseReference,
} from "../../image/mod.ts";
import type { Digest, Platform } from "../../oci/mod.ts";
import { openRegistryClient, pushImage, type RegistryClient } from "../../registry/mod.ts";
import type { HistoryRow, ImageRow, Removal, StoredImage } from "../../store/mod.ts";
import type { Machine } from "../machine/machine.ts";
import { type Pulled, pullByName } from "../machine/pull.ts";
import { resolveImage } from "../machine/resolve.ts";

export interface RegistrySettings {
  readonly username?: string;
  readonly password?: string;
  /** False: plain HTTP and unknown certificates are taken. Default: registries.conf, and this machine's own may be plain HTTP. */
  readonly tlsVerify?: boolean;
  /** Instead of those of podman and docker. */
  readonly authFile?: string;
}

export interface PullSettings extends RegistrySettings {
  /** `linux/arm64` */
  readonly platform?: string;
  readonly allPlatforms?: boolean;
  readonly onBlob?: (blob: { readonly digest: Digest; readonly size: number }, state: string) => void;
}

export interface ImportSettings {
  readonly changes?: readonly string[];
  readonly message?: string;
  readonly platform?: string;
  /** Default: now. A fixed time makes the same tarball the same image. */
  readonly created?: Date;
}

export class Images {
  readonly #machine: Machine;

  /** Not to be called: see `Engine.images`. */
  constructor(machine: Machine) {
    this.#machine = machine;
  }

  async list(): Promise<readonly ImageRow[]> {
    return (await this.#machine.store()).list();
  }

  /** Errors: `image-not-found`, `image-ambiguous`, `platform-not-found`. */
  async get(reference: string, platform?: string): Promise<StoredImage> {
    return resolveImage(await this.#machine.store(), reference, platformOf(platform));
  }

  async history(reference: string): Promise<readonly HistoryRow[]> {
    const store = await this.#machine.store();
    return store.history(await resolveImage(store, reference));
  }

  /** Fetches an image; what is here already is not fetched again. Errors: those of registries, `platform-not-found`. */
  async pull(name: string, settings: PullSettings = {}): Promise<Pulled> {
    const store = await this.#machine.store();
    const platform = platformOf(settings.platform);
    const wishes = {
      allPlatforms: settings.allPlatforms === true,
      ...(platform === undefined ? {} : { platform, strict: true }),
    };
    const { onBlob } = settings;
    return withClient(this.#machine, settings, (client) =>
      pullByName(
        name,
        { client, store, machine: this.#machine },
        wishes,
        onBlob === undefined ? {} : { onBlob },
      ),
    );
  }

  /** Sends an image of the store to the registry that `destination` (default: its own name) names; the digest there. */
  async push(reference: string, destination = reference, settings: RegistrySettings = {}): Promise<Digest> {
    const store = await this.#machine.store();
    const source = store.source(await resolveImage(store, reference));
    const target = parseReference(destination);
    return withClient(this.#machine, settings, async (client) => {
      await pushImage(await client.repository(target), source, { tags: [target.tag ?? "latest"] });
      return source.root.digest;
    });
  }

  /** Loads the images of an archive (docker's or OCI's, compressed or not) or of a layout directory. Their names, or IDs. */
  async load(from: string | Uint8Array): Promise<readonly string[]> {
    const store = await this.#machine.store();
    const temporaryDirectory = store.temporaryDirectory();
    const archive = await openArchive(typeof from === "string" ? from : streamOf(from), {
      temporaryDirectory,
    });
    try {
      const loaded: string[] = [];
      for (const image of archive.images) {
        const { names, ids } = await store.put(image);
        loaded.push(...(names.length > 0 ? names : ids));
      }
      return loaded;
    } finally {
      await archive.close();
    }
  }

  /**
   * Makes an image of a root filesystem's tarball (compressed or not), as `vitrine import`. `changes` are instructions of a
   * Containerfile: `CMD ["/bin/sh"]`. Errors: those of `importRootfs`.
   */
  async import(tarball: string | Uint8Array, name: string, settings: ImportSettings = {}): Promise<Digest> {
    const store = await this.#machine.store();
    const input = typeof tarball === "string" ? readFileStream(tarball) : streamOf(tarball);
    const archive = await importRootfs(input, {
      changes: settings.changes ?? [],
      message: settings.message,
      platform: platformOf(settings.platform) ?? hostPlatform(),
      created: (settings.created ?? new Date()).getTime(),
      names: [newName(name)],
      temporaryDirectory: store.temporaryDirectory(),
    });
    try {
      const { ids } = await store.put(archive.images[0]!);
      return ids[0]!;
    } finally {
      await archive.close();
    }
  }

  /** Gives it another name. */
  async tag(reference: string, name: string): Promise<void> {
    await (await this.#machine.store()).tag(reference, newName(name));
  }

  /** As `vitrine rmi`. Errors: `image-in-use`, `image-has-names`, `image-not-found`. */
  async remove(reference: string, options: { readonly force?: boolean } = {}): Promise<readonly Removal[]> {
    return (await this.#machine.store()).remove(reference, options);
  }
}

function newName(name: string): string {
  return formatReference(parseReference(name));
}

function platformOf(text: string | undefined): Platform | undefined {
  return text === undefined ? undefined : parsePlatform(text, hostPlatform());
}

/** Runs `body` with a client and lets its connections go. */
async function withClient<T>(
  machine: Machine,
  { username, password = "", tlsVerify, authFile }: RegistrySettings,
  body: (client: RegistryClient) => Promise<T>,
): Promise<T> {
  const client = openRegistryClient({
    environment: machine.environment,
    uid: machine.uid,
    ...(authFile === undefined ? {} : { authFile }),
    ...(tlsVerify === undefined ? {} : { tlsVerify }),
    ...(username === undefined ? {} : { credentials: { kind: "password", user: username, password } }),
    userAgent: "vitrine",
    onWarning: (registry, text) => machine.log("warn", `${registry} says: ${text}`),
    onNote: (text) => machine.log("info", text),
  });
  try {
    return await body(client);
  } finally {
    client.close();
  }
}
