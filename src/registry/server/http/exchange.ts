/** One request with its response: what handlers read from and answer on. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { VitrineError } from "../../../base/mod.ts";
import { encodeErrors } from "../../protocol/error-codes.ts";
import type { Identity } from "../access/types.ts";
import { RegistryError } from "../errors.ts";

export type Headers = Readonly<Record<string, string | number | readonly string[]>>;

/** What an unread body may still send after the answer, so that the client reads the answer instead of a reset. */
const drainBytes = 64 * 1024 * 1024;
const drainMilliseconds = 5000;

export interface BodyGuard {
  /** A body must bring this many bytes … */
  readonly progressBytes: number;
  /** … in each span of this length, or the request ends with 408. */
  readonly progressMilliseconds: number;
  /** A connection on which nothing moves for so long is closed. */
  readonly idleMilliseconds: number;
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** As it was sent, without the query. */
  readonly path: string;
  /** The address of the other end. */
  readonly remote: string;
  readonly started = performance.now();
  identity: Identity | undefined;
  /** For the access log and metrics; handlers set what they know. */
  repository: string | undefined;
  operation = "other";
  receivedBytes = 0;
  sentBytes = 0;
  /** Whether the server itself is at work, so that a silent socket is no idle one. */
  working = true;
  /** Texts for `Warning` headers. */
  readonly warnings: string[] = [];
  private readonly search: string;
  readonly guard: BodyGuard;
  private taken = false;
  /** The client sends its body when it is told to (RFC 9110 section 10.1.1), or is tired of waiting. */
  private awaited: boolean;
  private parameters: URLSearchParams | undefined;
  private extra: Record<string, string> | undefined;

  /** `awaited`: the request's `Expect: 100-continue` was not answered yet. */
  constructor(request: IncomingMessage, response: ServerResponse, guard: BodyGuard, awaited = false) {
    this.request = request;
    this.response = response;
    this.guard = guard;
    this.awaited = awaited;
    // Now: at the end of the request the socket may not know any more.
    this.remote = request.socket?.remoteAddress ?? "";
    this.method = request.method ?? "GET";
    // A proxy's form (RFC 9112, section 3.2.2) names us in front of the path.
    const target = (request.url ?? "/").replace(/^https?:\/\/[^/?]*(?=\/)/i, "");
    const question = target.indexOf("?");
    this.path = question === -1 ? target : target.slice(0, question);
    this.search = question === -1 ? "" : target.slice(question + 1);
  }

  get query(): URLSearchParams {
    this.parameters ??= new URLSearchParams(this.search);
    return this.parameters;
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return typeof value === "string" ? value : value?.join(", ");
  }

  /** Whether the client speaks TLS, with us or with the proxy before us. */
  get secure(): boolean {
    const { socket } = this.request;
    return (
      ("encrypted" in socket && socket.encrypted === true) || this.header("x-forwarded-proto") === "https"
    );
  }

  /** A header for the answer, whichever it will be. */
  setHeader(name: string, value: string): void {
    this.extra ??= {};
    this.extra[name] = value;
  }

  /** `Content-Length` of the request; undefined without one (chunked). */
  get contentLength(): number | undefined {
    const text = this.request.headers["content-length"];
    return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  }

  /** Whether the request has a body at all. */
  get hasBody(): boolean {
    return this.request.headers["transfer-encoding"] !== undefined || (this.contentLength ?? 0) > 0;
  }

  /**
   * The request's body. It ends with an error when the connection breaks (kind unavailable, `body-cut`) or when it
   * stalls (`body-stalled`).
   */
  async *body(): AsyncGenerator<Uint8Array, void> {
    const { progressBytes, progressMilliseconds } = this.guard;
    let stalled = false;
    let before = this.receivedBytes;
    let waiting = false;
    const timer = setInterval(() => {
      // Only what the client owes counts: not the time that our own disk takes.
      if (waiting && this.receivedBytes - before < progressBytes) {
        stalled = true;
        this.abandon();
      }
      before = this.receivedBytes;
    }, progressMilliseconds);
    this.working = false;
    try {
      this.welcomeBody();
      waiting = true;
      // Who leaves early, because it is too much, still wants the client to read why: `drain` sees to the rest.
      for await (const chunk of this.request.iterator({ destroyOnReturn: false })) {
        waiting = false;
        this.receivedBytes += chunk.length;
        yield chunk;
        waiting = true;
      }
      if (!this.request.complete) throw new Error("incomplete");
    } catch (cause) {
      if (!stalled && this.request.complete) throw cause;
      throw bodyFailure(stalled, cause);
    } finally {
      clearInterval(timer);
      this.working = true;
    }
  }

  /**
   * Takes the body away from the runtime, which reads no more of the connection; what it had read. What is missing of
   * `contentLength` is for the caller to read from the connection itself, which ends after the answer.
   * Only for a body with a `Content-Length`, before anything of it was asked for, on bun.
   */
  async takeBody(): Promise<readonly Uint8Array[]> {
    const { request } = this;
    this.taken = true;
    request.socket.pause();
    // Asked for more, it would let the runtime read on.
    request._read = () => undefined;
    this.welcomeBody();
    // What came together with the headers is on its way to `request`.
    for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    const early: Uint8Array[] = [];
    while (true) {
      const chunk = request.read() as Uint8Array | null;
      if (chunk === null) break;
      early.push(chunk);
      this.receivedBytes += chunk.length;
    }
    return early;
  }

  /** The runtime reads no more of the connection until `readBodyOnce` or `resumeBody`. Only on bun, for a body that comes in chunks. */
  pauseBody(): void {
    // Asked for more, it would let the runtime read on.
    this.request._read = () => undefined;
    this.request.socket?.pause();
    this.welcomeBody();
  }

  /** After `pauseBody`: the runtime reads as it likes, for `body`. */
  resumeBody(): void {
    Reflect.deleteProperty(this.request, "_read");
    this.request.socket?.resume();
  }

  /**
   * After `pauseBody`: what the runtime gives of the body when it reads the connection once, in its pieces, and pauses again; none at the
   * end of the body. Error: `body-stalled`, where nothing comes for too long.
   */
  async readBodyOnce(): Promise<readonly Uint8Array[]> {
    const { request } = this;
    const pieces: Uint8Array[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const take = (piece: Uint8Array): void => {
      if (pieces.length === 0) {
        request.socket?.pause();
        // The other pieces of the same read come at once.
        setImmediate(resolve);
      }
      pieces.push(piece);
      this.receivedBytes += piece.length;
    };
    const ends = ["end", "close", "error"] as const;
    let stalled = false;
    const late = setTimeout(() => {
      stalled = true;
      resolve();
    }, this.guard.progressMilliseconds);
    for (const name of ends) request.once(name, resolve);
    request.on("data", take);
    request.socket?.resume();
    request.resume();
    await promise;
    clearTimeout(late);
    request.pause();
    request.off("data", take);
    for (const name of ends) request.off(name, resolve);
    if (stalled && pieces.length === 0) throw bodyFailure(true);
    return pieces;
  }

  /** Somebody else reads the rest of the body from the connection, which ends after the answer. It is paused. */
  leaveBody(): void {
    this.taken = true;
  }

  /** All of a small body. Error: 413 beyond `most`, before reading when `Content-Length` tells. */
  async smallBody(most: number): Promise<Uint8Array> {
    const refuse = (): never => {
      throw new RegistryError(413, "SIZE_INVALID", { message: `more than the ${most} bytes allowed` });
    };
    if ((this.contentLength ?? 0) > most) refuse();
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of this.body()) {
      bytes += chunk.length;
      if (bytes > most) refuse();
      chunks.push(chunk);
    }
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  /** Answers with all of a body. For HEAD, `Content-Length` is that of the body, which is not sent. */
  send(status: number, headers: Headers, body?: Uint8Array | string): void {
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    this.begin(status, bytes === undefined ? headers : { ...headers, "Content-Length": bytes.length });
    if (bytes === undefined || this.method === "HEAD") {
      this.response.end();
    } else {
      this.sentBytes += bytes.length;
      this.response.end(bytes);
    }
  }

  /** Sends status and headers; the body follows on `response`, in chunks where it is not `sized`. */
  begin(status: number, headers: Headers, sized = true): void {
    const all: Record<string, string | number | string[]> = {
      "Docker-Distribution-API-Version": "registry/2.0",
      "X-Content-Type-Options": "nosniff",
      ...this.extra,
      ...(headers as Record<string, string | number | string[]>),
    };
    if (sized && status !== 204 && status !== 304) all["Content-Length"] ??= 0;
    if (this.taken) {
      all["Connection"] = "close";
      // The runtime waits for a body that it will not see.
      const { socket } = this.request;
      this.response.once("close", () => socket?.destroy());
    } else if (this.awaited) {
      // It will not be sent: what comes next on this connection could be it or another request.
      all["Connection"] = "close";
    } else if (this.bodyIsUnread()) {
      this.drain();
    }
    this.response.writeHead(status, all);
  }

  json(status: number, headers: Headers, value: unknown): void {
    this.send(status, { "Content-Type": "application/json", ...headers }, `${JSON.stringify(value)}\n`);
  }

  /** Ends the connection, for a client that is not there, or must see that what it has is not whole. */
  abandon(): void {
    // The response alone, ended without a status, would be a "200 OK".
    this.request.socket?.destroy();
    this.response.destroy();
  }

  fail(error: RegistryError): void {
    if (this.response.headersSent) {
      // Too late for a status.
      this.abandon();
      return;
    }
    const { code, message, detail } = error;
    const body = encodeErrors([{ code, message, detail }]);
    this.send(error.status, { ...error.headers, "Content-Type": "application/json" }, body);
  }

  private welcomeBody(): void {
    if (!this.awaited) return;
    this.awaited = false;
    this.response.writeContinue();
  }

  private bodyIsUnread(): boolean {
    return this.hasBody && !this.request.complete && !this.request.destroyed;
  }

  /**
   * Reads what is left of a body that nobody wants, as long as that is little, else closes the connection. The answer does not say
   * `Connection: close`: with that the runtime closes at once, and who still sends finds a reset instead of the answer.
   */
  private drain(): void {
    const { request } = this;
    let left = drainBytes;
    const end = (): void => {
      request.socket?.destroy();
    };
    const timer = setTimeout(end, drainMilliseconds);
    timer.unref();
    request.on("data", (chunk: Uint8Array) => {
      left -= chunk.length;
      if (left < 0) end();
    });
    request.on("error", () => undefined);
    request.on("close", () => clearTimeout(timer));
    request.resume();
  }
}

/** Why no more came of a body. */
export function bodyFailure(stalled: boolean, cause?: unknown): VitrineError {
  return new VitrineError(
    "unavailable",
    stalled ? "the request's body stalled" : "the connection broke in the request's body",
    { code: stalled ? "body-stalled" : "body-cut", cause },
  );
}
