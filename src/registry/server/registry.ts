/** The server: options → a listening registry that stops gracefully. */

import * as fs from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import { limits } from "../../base/mod.ts";
import { openAccess } from "./access/open.ts";
import type { Access } from "./access/types.ts";
import { startCarrier } from "./convey/carrier.ts";
import { type AnswerOptions, answerRequest, recordAnswer } from "./http/answer.ts";
import { type ConnectionLimits, type KeyPair, Listener } from "./http/listener.ts";
import { type MirrorOptions, startMirror } from "./mirror/mirror.ts";
import { type EventSink, noEvents } from "./observe/events.ts";
import { Metrics } from "./observe/metrics.ts";
import { Policy, type PolicyOptions } from "./policy.ts";
import { Repositories } from "./repositories/repositories.ts";
import type { Service, ServiceLimits } from "./service.ts";
import { type FilesystemStorage, openFilesystemStorage } from "./storage/filesystem.ts";
import type { RegistryStorage } from "./storage/types.ts";
import { UploadArea } from "./uploads.ts";

export interface RegistryOptions extends PolicyOptions, AnswerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: one that is free. */
  readonly port?: number;
  readonly tls?: KeyPair;
  /** Where it keeps things; default a new directory under the system's temporary one, removed at the end. */
  readonly root?: string;
  /** Instead of `root`: an open storage, which the registry disposes at its end. */
  readonly storage?: RegistryStorage;
  readonly access?: Access;
  readonly events?: EventSink;
  /** Makes this registry a pull-through cache; pushes are refused unless `readOnly` is false. */
  readonly mirror?: MirrorOptions;
  readonly limits?: Partial<ServiceLimits & ConnectionLimits>;
  /** `vitrine-helper`: with it, where the runtime can (bun), bodies of blobs pass beside this process. */
  readonly helperPath?: string;
  readonly now?: () => number;
}

const defaultLimits: ServiceLimits & ConnectionLimits = {
  manifestBytes: limits.manifestBytes,
  blobBytes: Number.MAX_SAFE_INTEGER,
  tagsPerPush: 64,
  pageEntries: 10_000,
  uploadLifetimeMilliseconds: 24 * 3600 * 1000,
  headerMilliseconds: 30_000,
  idleMilliseconds: 120_000,
  progressBytes: 1024,
  progressMilliseconds: 60_000,
  headerBytes: 32 * 1024,
  connections: 10_000,
  stopMilliseconds: 10_000,
};

/** A running registry. Disposing it is `stop`. */
export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:5000`: what stands before the first slash of an image's name. */
  readonly address: string;
  /** `http://127.0.0.1:5000` */
  readonly url: string;
  readonly port: number;
  readonly service: Service;
  /** Of one with TLS: for new connections, from now on. Error: those of the pair, and then the old one stays. */
  useKeyPair(pair: KeyPair): Promise<void>;
  /** Takes no more connections, lets running requests end (for a while), closes the storage. */
  stop(): Promise<void>;
}

/**
 * Starts a registry in this process; resolves when it listens.
 * Errors: those of `openFilesystemStorage`; `address-in-use`, `address-unusable`.
 */
export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  await using stack = new AsyncDisposableStack();
  const storage = stack.use(options.storage ?? (await openRoot(options, stack)));
  const settings = { ...defaultLimits, ...options.limits };
  const now = options.now ?? Date.now;
  const repositories = new Repositories(storage, now);
  if (isFilesystem(storage)) {
    storage.serveIndex({
      repositories: () => repositories.names(),
      descriptors: (name) => repositories.tagDescriptors(name),
    });
  }
  const uploads = new UploadArea(storage.uploadDirectory);
  const metrics = makeMetrics(uploads);
  const carrier = options.helperPath === undefined ? undefined : await startCarrier(options.helperPath);
  if (carrier !== undefined) stack.use(carrier);
  const { manifestBytes, blobBytes } = settings;
  const { mirror } = options;
  const upstream =
    mirror && startMirror(mirror, { repositories, uploads, metrics, manifestBytes, blobBytes, now });
  if (upstream !== undefined) stack.defer(() => upstream.close());
  const service: Service = {
    repositories,
    uploads,
    access: options.access ?? openAccess,
    policy: new Policy({ ...options, readOnly: options.readOnly ?? mirror !== undefined }),
    limits: settings,
    events: options.events ?? noEvents,
    metrics,
    upstream,
    carrier,
    now,
  };
  stack.use(sweepUploads(uploads, settings.uploadLifetimeMilliseconds, now));
  stack.defer(() => uploads.close());
  const listener = await Listener.open({
    ...options,
    limits: settings,
    answer: (exchange) => {
      metrics.inFlight += 1;
      return answerRequest(service, options, exchange);
    },
    onEnd: (exchange) => {
      metrics.inFlight -= 1;
      recordAnswer(service, options, exchange);
    },
  });
  const open = stack.move();
  const { port } = listener;
  const host = options.host ?? "127.0.0.1";
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= listener.stop(settings.stopMilliseconds).then(() => open.disposeAsync());
    return stopping;
  };
  return {
    address,
    url: `${options.tls === undefined ? "http" : "https"}://${address}`,
    port,
    service,
    useKeyPair: (pair) => listener.useKeyPair(pair),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function openRoot(options: RegistryOptions, stack: AsyncDisposableStack): Promise<RegistryStorage> {
  if (options.root !== undefined) return openFilesystemStorage(options.root);
  const root = await fs.mkdtemp(path.join(os.tmpdir(), "vitrine-registry-"));
  stack.defer(() => fs.rm(root, { recursive: true, force: true }));
  return openFilesystemStorage(root);
}

function isFilesystem(storage: RegistryStorage): storage is FilesystemStorage {
  return "serveIndex" in storage;
}

function makeMetrics(uploads: UploadArea): Metrics {
  const metrics = new Metrics();
  metrics.gauge(
    "vitrine_registry_uploads_open",
    "Uploads under way whose file is open.",
    () => uploads.active,
  );
  metrics.gauge(
    "process_resident_memory_bytes",
    "Resident memory size in bytes.",
    () => process.memoryUsage().rss,
  );
  metrics.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", () =>
    Math.round(Date.now() / 1000 - process.uptime()),
  );
  return metrics;
}

/** From time to time, uploads that nobody added to for `lifetime` milliseconds go. */
function sweepUploads(uploads: UploadArea, lifetime: number, now: () => number): Disposable {
  const sweep = setInterval(
    () => {
      uploads.sweep(lifetime, now()).catch(() => undefined);
    },
    Math.min(lifetime, 3600_000),
  );
  sweep.unref();
  return { [Symbol.dispose]: () => clearInterval(sweep) };
}
