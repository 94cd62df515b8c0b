/** The socket that a registry listens on: its connections and their limits, certificates that change, and a graceful stop. */
import { lookup } from "node:dns/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, isIP, type Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { VitrineError } from "../../../base/mod.ts";
import { tuneListener, waitingConnections } from "./connection.ts";
import { Exchange } from "./exchange.ts";

/** PEM texts. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
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

export interface ListenerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: one that is free. */
  readonly port?: number;
  readonly tls?: KeyPair;
  readonly limits: ConnectionLimits;
  /** Answers a request, whatever happens; undefined: it is answered already. Never rejects. */
  readonly answer: (exchange: Exchange) => Promise<void> | undefined;
  /** When the answer is sent, or nobody is there for it any more. */
  readonly onEnd: (exchange: Exchange) => void;
}

export class Listener {
  readonly #options: ListenerOptions;
  /** What each connection is busy with. */
  readonly #sockets = new Map<Socket, Exchange | undefined>();
  readonly #running = new Set<Promise<void>>();
  /** Servers that take no more connections and still have some. */
  readonly #leaving = new Set<Promise<void>>();
  #stopping = false;
  #server!: Server;
  #place!: AddressInfo;

  private constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Resolves when it listens. Errors: `address-in-use`, `address-unusable`; those of the key pair. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options);
    listener.#server = await listener.#make(options.tls);
    await listen(listener.#server, options);
    listener.#place = listener.#server.address() as AddressInfo;
    await tuneListener(listener.#place);
    return listener;
  }

  get port(): number {
    return this.#place.port;
  }

  /** For new connections, from now on. Error: those of the pair, and then the old one stays. */
  async useKeyPair(pair: KeyPair): Promise<void> {
    const changeable: object = this.#server;
    if ("setSecureContext" in changeable) {
      const { certificate: cert, key } = pair;
      (changeable as TlsServer).setSecureContext({ cert, key, minVersion: "TLSv1.2" });
      return;
    }
    // bun's cannot be changed: another one takes its place. Who is connected stays with the old one.
    const next = await this.#make(pair);
    if (this.#stopping) return;
    this.#leave(this.#server);
    this.#server = next;
    await listen(this.#server, { ...this.#options, port: this.port });
    await tuneListener(this.#place);
  }

  /** Takes no more connections; running requests may end within so long. */
  async stop(milliseconds: number): Promise<void> {
    this.#stopping = true;
    this.#leave(this.#server);
    for (const [socket, exchange] of this.#sockets) if (exchange === undefined) socket.destroy();
    const late = setTimeout(() => {
      for (const socket of this.#sockets.keys()) socket.destroy();
    }, milliseconds);
    await Promise.all(this.#leaving);
    clearTimeout(late);
    await Promise.allSettled(this.#running);
  }

  async #make(tls: KeyPair | undefined): Promise<Server> {
    const { limits } = this.#options;
    const options = serverOptions(limits);
    const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
      this.#onRequest(request, response, false);
    const server: Server =
      tls === undefined
        ? createServer(options, onRequest)
        : (await import("node:https")).createServer(
            { ...options, cert: tls.certificate, key: tls.key, minVersion: "TLSv1.2" },
            onRequest,
          );
    // Whoever is refused is so before he sends his body.
    server.on("checkContinue", (request, response) => this.#onRequest(request, response, true));
    server.maxConnections = limits.connections;
    server.on("connection", (socket: Socket) => {
      this.#sockets.set(socket, undefined);
      socket.once("close", () => this.#sockets.delete(socket));
      socket.on("error", () => undefined);
    });
    server.setTimeout(limits.idleMilliseconds, (socket: Socket) => {
      if (this.#sockets.get(socket)?.working !== true) socket.destroy();
    });
    server.on("clientError", (error: Error, socket: Socket) => refuseMalformed(error, socket));
    return server;
  }

  /** `awaited`: see `Exchange`. */
  #onRequest(request: IncomingMessage, response: ServerResponse, awaited: boolean): void {
    const { limits, answer, onEnd } = this.#options;
    const exchange = new Exchange(request, response, limits, awaited);
    if (this.#stopping) exchange.setHeader("Connection", "close");
    this.#sockets.set(request.socket, exchange);
    response.once("close", () => {
      if (this.#sockets.has(request.socket)) this.#sockets.set(request.socket, undefined);
      onEnd(exchange);
      if (this.#stopping) request.socket?.end();
    });
    const answered = answer(exchange);
    if (answered === undefined) return;
    this.#running.add(answered);
    answered.finally(() => this.#running.delete(answered));
  }

  #leave(old: Server): void {
    const closed = new Promise<void>((resolve) => old.close(() => resolve()));
    this.#leaving.add(closed);
    closed.then(() => this.#leaving.delete(closed));
  }
}

function serverOptions(limits: ConnectionLimits) {
  return {
    // A long upload is no fault; what stalls is ended by the progress guard and the idle timeout.
    requestTimeout: 0,
    headersTimeout: limits.headerMilliseconds,
    connectionsCheckingInterval: Math.min(5000, limits.headerMilliseconds),
    keepAliveTimeout: limits.idleMilliseconds,
    maxHeaderSize: limits.headerBytes,
    noDelay: true,
    highWaterMark: 256 * 1024,
  };
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

async function listen(server: Server, options: Pick<ListenerOptions, "host" | "port">): Promise<void> {
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
