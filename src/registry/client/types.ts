/** What the registry client is given and what it gives; the bodies are beside. */
import type { ByteStream } from "../../base/mod.ts";
import type { BlobFile, ImageReference, ImageSource } from "../../image/mod.ts";
import type { Descriptor, Digest, ParsedIndex, ParsedManifest } from "../../oci/mod.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What opens a registry. `identityToken` is Docker's refresh token, `registryToken` a bearer token as it is. */
export type Credentials =
  | { readonly kind: "password"; readonly user: string; readonly password: string }
  | { readonly kind: "identity"; readonly identityToken: string }
  | { readonly kind: "token"; readonly registryToken: string };

/** Times in milliseconds. */
export interface Timing {
  /** Until a connection (TLS included) stands. */
  readonly connect: number;
  /** Without a byte, or with fewer than `idleBytes`, while one is waited for. */
  readonly idle: number;
  readonly idleBytes: number;
  /** Until an answer to a request without content begins; default `idle`. */
  readonly answer?: number;
  /** First pause before a retry; doubled for each one after. */
  readonly backoff: number;
  /** How long a `Retry-After` may ask us to wait; more is an error that says so. */
  readonly longestPause: number;
  /** Tries of one request, the first included; also connections of one download without progress. */
  readonly attempts: number;
}

export interface ClientOptions {
  /** HOME, XDG_*, REGISTRY_AUTH_FILE, DOCKER_CONFIG, CONTAINERS_REGISTRIES_CONF, proxies, SSL_CERT_FILE. */
  readonly environment: Environment;
  readonly uid: number;
  /** `--authfile` */
  readonly authFile?: string;
  /** `--creds`: instead of any file. `none`: nobody is told who we are. */
  readonly credentials?: Credentials | "none";
  /** `--tls-verify`; undefined leaves it to registries.conf, and lets localhost be plain HTTP. */
  readonly tlsVerify?: boolean;
  /** `--cert-dir`: *.crt, *.cert and *.key for every registry. */
  readonly certificateDirectory?: string;
  readonly userAgent?: string;
  /** A text of a `Warning` header (spec.md#warnings), each once. Untrusted. */
  readonly onWarning?: (registry: string, text: string) => void;
  /** What a person who debugs wants to see: a retry, a mirror left out. Untrusted. */
  readonly onNote?: (text: string) => void;
  /** Who can be asked which of several registries a short name means; without it all are tried, or none. */
  readonly choosePlace?: ((text: string, places: readonly string[]) => number | undefined) | undefined;
  readonly timing?: Partial<Timing>;
  /** Where registries.conf lies by default; tests have their own. */
  readonly systemDirectory?: string;
}

/** One repository of one registry, its requests authorised. */
export interface Repository {
  /** `docker.io`, `localhost:5000`: as in references. */
  readonly registry: string;
  /** `library/alpine` */
  readonly name: string;

  /**
   * A manifest or an index, verified against the digest asked for, else against the one that the registry says.
   * Errors: `manifest-unknown`, `content-digest-mismatch`, `manifest-too-large`, those of `parseManifestOrIndex`.
   */
  getManifest(reference: string): Promise<FetchedManifest>;
  /** Undefined when it is not there. A registry that says no digest is asked for the whole. */
  headManifest(reference: string): Promise<Descriptor | undefined>;
  /** PUT, last of all. Tags are set with it where the registry can, one by one where not. */
  putManifest(manifest: OutgoingManifest, target: ManifestTarget): Promise<void>;
  deleteManifest(reference: string): Promise<void>;

  headBlob(digest: Digest): Promise<number | undefined>;
  /** Verified; goes on by Range where a connection broke. Errors: `blob-unknown`, `content-…-mismatch`, `download-broken`. */
  openBlob(descriptor: Descriptor): ByteStream;
  /** The bytes from `start` on, not verified: for whoever has the bytes before and verifies the whole. */
  openUnverifiedBlobFrom(descriptor: Descriptor, start: number): ByteStream;
  /** Returns how it came there. Errors: those of `open`, `upload-…`. */
  putBlob(blob: OutgoingBlob): Promise<BlobOutcome>;
  deleteBlob(digest: Digest): Promise<void>;

  /** All tags, over all pages, in the registry's order. */
  tags(): Promise<readonly string[]>;
  /** By the referrers API, else by the referrers tag (spec.md#listing-referrers). */
  referrers(digest: Digest, artifactType?: string): Promise<readonly Descriptor[]>;
}

export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly parsed: ParsedManifest | ParsedIndex;
}

export interface OutgoingManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly digest: Digest;
}

/** Where a manifest goes: under tags, or (without any) by its digest alone. */
export interface ManifestTarget {
  readonly tags: readonly string[];
}

export interface OutgoingBlob {
  readonly descriptor: Descriptor;
  /** Called once for each try. */
  readonly open: () => ByteStream;
  /** The file that holds the same bytes, if one does. */
  readonly file?: BlobFile | undefined;
  /** Repositories of the same registry that may have it. */
  readonly mountFrom?: readonly string[];
  /** Bytes of one PATCH; without it the blob goes in one request, and in chunks only where the registry wants it. */
  readonly chunkBytes?: number;
  readonly onProgress?: (bytes: number) => void;
}

export type BlobOutcome = "present" | "mounted" | "uploaded";

/** An image of a registry as a source; `has` is true of all that its documents name. */
export interface RegistrySource extends ImageSource {
  readonly reference: ImageReference;
  /** Where it came from: the repository itself or a mirror. */
  readonly repository: Repository;
  /** See `Repository.openUnverifiedBlobFrom`. */
  openUnverifiedBlobFrom(descriptor: Descriptor, start: number): ByteStream;
}

export interface RegistryClient {
  /** Mirrors of registries.conf are tried in order. Errors: `registry-blocked`, `manifest-unknown`, …; see `Repository`. */
  source(reference: ImageReference): Promise<RegistrySource>;
  /** The digest that a tag has now, by HEAD; undefined when it is not there. Mirrors as in `source`. */
  head(reference: ImageReference): Promise<Descriptor | undefined>;
  /**
   * Begins to ask what `head` will be asked for a name as typed, where that is one request to this machine's own registry; what is wrong with
   * it `head` tells. Once it is on its way the promise ends, so that the caller can do something else meanwhile.
   */
  ahead(text: string): Promise<void>;
  /** For everything but pulling: the primary location, no mirrors. */
  repository(reference: Pick<ImageReference, "domain" | "path">): Promise<Repository>;
  /** What a name without registry may stand for, by registries.conf; the first is tried first. */
  candidates(text: string): Promise<readonly ImageReference[]>;
  /** Keeps what `choosePlace` said for a text of `candidates`, now that it led to an image. */
  remember(text: string): Promise<void>;
  /** `/v2/` answers with these credentials. Errors: `registry-unauthorized`, `registry-unsupported`. */
  verifyLogin(registry: string, credentials: Credentials): Promise<LoginOutcome>;
  catalog(registry: string): Promise<readonly string[]>;
  /** Lets idle connections go: a process with them would not end. */
  close(): void;
}

/** What to keep: some registries give a token in exchange for the password. */
export interface LoginOutcome {
  readonly credentials: Credentials;
}
