/** The server: options → a listening registry that stops gracefully. */

import { lookup } from "node:dns/promises";
import * as fs from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, isIP, type Socket } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import type { Server as TlsServer } from "node:tls";
import { limits, VitrineError } from "../../base/mod.ts";
import { openAccess } from "./access/open.ts";
import type { Access } from "./access/types.ts";
import { startCarrier } from "./convey/carrier.ts";
import { RegistryError } from "./errors.ts";
import { tuneListener, waitingConnections } from "./http/connection.ts";
import { Exchange } from "./http/exchange.ts";
import { answerOf } from "./http/failures.ts";
import { routeApi } from "./http/route.ts";
import { type MirrorOptions, startMirror } from "./mirror/mirror.ts";
import { type EventSink, noEvents } from "./observe/events.ts";
import { Metrics } from "./observe/metrics.ts";
import { Policy, type PolicyOptions } from "./policy.ts";
import { Repositories } from "./repositories/repositories.ts";
import type { Service, ServiceLimits } from "./service.ts";
import { type FilesystemStorage, openFilesystemStorage } from "./storage/filesystem.ts";
import type { RegistryStorage } from "./storage/types.ts";
import { UploadArea } from "./uploads.ts";

/** PEM texts. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface RegistryOptions extends PolicyOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free one. */
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
  /** Called after each answer: the access log. */
  readonly onAnswer?: (exchange: Exchange, status: number) => void;
  /** Called for an error that is the server's own fault. */
  readonly onFault?: (error: unknown, exchange: Exchange) => void;
  /** Answers what is not below /v2 (the page, metrics); false where it does not know the path. */
  readonly pages?: (service: Service, exchange: Exchange) => Promise<boolean>;
  /** `vitrine-helper`: with it, where the runtime can (bun), bodies of blobs pass beside this process. */
  readonly helperPath?: string;
  readonly now?: () => number;
}

export interface ConnectionLimits {
  /** Uploads nobody added to for so long are removed. */
  readonly uploadLifetimeMilliseconds: number;
  /** A connection may take so long to send a request's headers. */
  readonly headerMilliseconds: number;
  /** A connection on which nothing moves for so long is closed. */
  readonly idleMilliseconds: number;
  /** A body must bring `progressBytes` in each `progressMilliseconds`. */
  readonly progressBytes: number;
  readonly progressMilliseconds: number;
  readonly headerBytes: number;
  readonly connections: number;
  /** How long a stop waits for requests that are being answered. */
  readonly stopMilliseconds: number;
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
  const sweep = setInterval(
    () => {
      uploads.sweep(settings.uploadLifetimeMilliseconds, now()).catch(() => undefined);
    },
    Math.min(settings.uploadLifetimeMilliseconds, 3600_000),
  );
  sweep.unref();
  stack.defer(() => clearInterval(sweep));
  stack.defer(() => uploads.close());
  const connections = await serve(service, options, settings);
  const open = stack.move();
  const { port } = connections;
  const host = options.host ?? "127.0.0.1";
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= connections.stop(settings.stopMilliseconds).then(() => open.disposeAsync());
    return stopping;
  };
  return {
    address,
    url: `${options.tls === undefined ? "http" : "https"}://${address}`,
    port,
    service,
    useKeyPair: (pair) => connections.useKeyPair(pair),
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

interface Connections {
  readonly port: number;
  useKeyPair(pair: KeyPair): Promise<void>;
  stop(milliseconds: number): Promise<void>;
}

async function serve(
  service: Service,
  options: RegistryOptions,
  settings: ServiceLimits & ConnectionLimits,
): Promise<Connections> {
  const sockets = new Map<Socket, Exchange | undefined>();
  const running = new Set<Promise<void>>();
  let stopping = false;
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = new Exchange(request, response, settings);
    if (stopping) exchange.setHeader("Connection", "close");
    sockets.set(request.socket, exchange);
    service.metrics.inFlight += 1;
    response.once("close", () => {
      service.metrics.inFlight -= 1;
      if (sockets.has(request.socket)) sockets.set(request.socket, undefined);
      record(service, options, exchange);
      if (stopping) request.socket?.end();
    });
    const handled = handle(service, options, exchange);
    if (handled === undefined) return;
    running.add(handled);
    handled.finally(() => running.delete(handled));
  };
  const serverOptions = {
    // A long upload is no fault; what stalls is ended by the progress guard and the idle timeout.
    requestTimeout: 0,
    headersTimeout: settings.headerMilliseconds,
    connectionsCheckingInterval: Math.min(5000, settings.headerMilliseconds),
    keepAliveTimeout: settings.idleMilliseconds,
    maxHeaderSize: settings.headerBytes,
    noDelay: true,
    highWaterMark: 256 * 1024,
  };
  const make = async (tls: KeyPair | undefined): Promise<Server> => {
    const server: Server =
      tls === undefined
        ? createServer(serverOptions, listener)
        : (await import("node:https")).createServer(
            { ...serverOptions, cert: tls.certificate, key: tls.key, minVersion: "TLSv1.2" },
            listener,
          );
    server.maxConnections = settings.connections;
    server.on("connection", (socket: Socket) => {
      sockets.set(socket, undefined);
      socket.once("close", () => sockets.delete(socket));
      socket.on("error", () => undefined);
    });
    server.setTimeout(settings.idleMilliseconds, (socket: Socket) => {
      if (sockets.get(socket)?.working !== true) socket.destroy();
    });
    server.on("clientError", (error: Error, socket: Socket) => refuseMalformed(error, socket));
    return server;
  };
  let server = await make(options.tls);
  await listen(server, options);
  const place = server.address() as AddressInfo;
  await tuneListener(place);
  /** Servers that take no more connections and still have some. */
  const leaving = new Set<Promise<void>>();
  const leave = (old: Server): void => {
    const closed = new Promise<void>((resolve) => old.close(() => resolve()));
    leaving.add(closed);
    closed.then(() => leaving.delete(closed));
  };
  return {
    port: place.port,
    async useKeyPair(pair) {
      const changeable: object = server;
      if ("setSecureContext" in changeable) {
        const { certificate: cert, key } = pair;
        (changeable as TlsServer).setSecureContext({ cert, key, minVersion: "TLSv1.2" });
        return;
      }
      // bun's cannot be changed: another one takes its place. Who is connected stays with the old one.
      const next = await make(pair);
      if (stopping) return;
      leave(server);
      server = next;
      await listen(server, { ...options, port: place.port });
      await tuneListener(place);
    },
    async stop(milliseconds) {
      stopping = true;
      leave(server);
      for (const [socket, exchange] of sockets) if (exchange === undefined) socket.destroy();
      const late = setTimeout(() => {
        for (const socket of sockets.keys()) socket.destroy();
      }, milliseconds);
      await Promise.all(leaving);
      clearTimeout(late);
      await Promise.allSettled(running);
    },
  };
}

function handle(service: Service, options: RegistryOptions, exchange: Exchange): Promise<void> | undefined {
  try {
    requirePlainChunks(exchange);
    const handled = exchange.path.startsWith("/v2")
      ? routeApi(service, exchange)
      : otherPages(service, options, exchange);
    return handled?.catch((error: unknown) => fail(options, exchange, error));
  } catch (error) {
    fail(options, exchange, error);
    return undefined;
  }
}

/** The runtime's parser takes "gzip, chunked" as well, and would give what is still compressed (RFC 9112 section 6.1). */
function requirePlainChunks(exchange: Exchange): void {
  const coding = exchange.header("transfer-encoding");
  if (coding === undefined || coding.toLowerCase() === "chunked") return;
  throw new RegistryError(501, "UNSUPPORTED", {
    message: "of transfer codings only chunked is known here",
    headers: { Connection: "close" },
  });
}

async function otherPages(service: Service, options: RegistryOptions, exchange: Exchange): Promise<void> {
  if (options.pages !== undefined && (await options.pages(service, exchange))) return;
  throw new RegistryError(404, "UNSUPPORTED", { message: "no such page; the API is at /v2/" });
}

function fail(options: RegistryOptions, exchange: Exchange, error: unknown): void {
  const answer = answerOf(error);
  if (answer === undefined) {
    exchange.abandon();
    return;
  }
  if (answer.status >= 500) options.onFault?.(error, exchange);
  try {
    exchange.fail(answer);
  } catch (cause) {
    options.onFault?.(cause, exchange);
    exchange.abandon();
  }
}

function record(service: Service, options: RegistryOptions, exchange: Exchange): void {
  const { metrics } = service;
  const { response } = exchange;
  // 499: the client left before the answer (as in nginx's log).
  const status = response.headersSent ? response.statusCode : 499;
  const seconds = (performance.now() - exchange.started) / 1000;
  metrics.observe(exchange.operation, knownMethod(exchange.method), status, seconds);
  metrics.add("vitrine_registry_received_bytes_total", exchange.receivedBytes);
  metrics.add("vitrine_registry_sent_bytes_total", exchange.sentBytes);
  options.onAnswer?.(exchange, status);
}

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);
function knownMethod(method: string): string {
  return methods.has(method) ? method : "other";
}

/** What is no HTTP is answered in its own words, and the connection ends. */
function refuseMalformed(error: Error, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const code = "code" in error ? error.code : undefined;
  const status =
    code === "HPE_HEADER_OVERFLOW"
      ? "431 Request Header Fields Too Large"
      : code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? "408 Request Timeout"
        : "400 Bad Request";
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

async function listen(server: Server, options: RegistryOptions): Promise<void> {
  const { host = "127.0.0.1", port = 0 } = options;
  const place = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  // bun says anything but this of a name that does not exist.
  const unknown = isIP(host) === 0 ? await lookup(host).then(() => undefined, failureOf) : undefined;
  await new Promise<void>((resolve, reject) => {
    const refused = (cause: Error & { readonly code?: string }): void => {
      const taken = cause.code === "EADDRINUSE";
      reject(
        new VitrineError(
          "unavailable",
          `cannot listen on ${place}: ${listenFailures[cause.code ?? ""] ?? cause.message}`,
          {
            code: taken ? "address-in-use" : "address-unusable",
            operand: place,
            hint: taken
              ? "choose another port with --addr"
              : "check --addr; ports below 1024 need privileges",
            cause,
          },
        ),
      );
    };
    if (unknown !== undefined) {
      refused(unknown);
      return;
    }
    server.once("error", refused);
    server.listen({ host, port, backlog: waitingConnections }, () => {
      server.off("error", refused);
      resolve();
    });
  });
}

function failureOf(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

/** The runtimes have words of their own. */
const listenFailures: Readonly<Record<string, string>> = {
  EADDRINUSE: "something else listens there",
  EADDRNOTAVAIL: "this machine does not have that address",
  EACCES: "permission denied",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name cannot be looked up now",
};
