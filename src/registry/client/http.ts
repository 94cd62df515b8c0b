/** One HTTP exchange over a connection of an agent: no redirect, no retry. Everything that waits has a limit. */
import type { IncomingMessage, RequestOptions } from "node:http";
import type { Socket } from "node:net";
import { type ByteStream, collect, type VitrineError } from "../../base/mod.ts";
import type { Route } from "./agents.ts";
import { connectionError, timeoutError } from "./failures.ts";
import type { Timing } from "./types.ts";

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface RequestBody {
  /** Bytes; undefined sends chunks. */
  readonly length: number | undefined;
  /** Called for each time that it is sent. */
  readonly open: () => ByteStream;
}

export interface HttpRequest {
  readonly method: Method;
  readonly url: URL;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
}

export class ResponseHeaders {
  private readonly raw: readonly string[];

  /** Names and values in turn, as node's `rawHeaders`. */
  constructor(raw: readonly string[]) {
    this.raw = raw;
  }

  /** The first of that name. */
  get(name: string): string | undefined {
    return this.all(name)[0];
  }

  all(name: string): readonly string[] {
    const wanted = name.toLowerCase();
    return this.raw.filter((_, at) => at % 2 === 1 && this.raw[at - 1]!.toLowerCase() === wanted);
  }
}

export interface HttpResponse {
  readonly status: number;
  /** Of the request that this answers, redirects followed. */
  readonly url: URL;
  readonly headers: ResponseHeaders;
  /** A 401 to somebody who said who he is: not the question is wrong, but the user name or the password. */
  readonly refusesCredentials?: boolean;
  /** A 401 to a token that was given to one who had said who he is. */
  readonly knowsUs?: boolean;
  /** Read it or `discard` it: until then the connection is taken. Errors: `registry-connection-broken`, `registry-timeout`. */
  readonly body: ByteStream;
  /** Reads what is left when it is little, so that the connection can be used again, else closes it. */
  discard(): Promise<void>;
}

/** Bytes of all headers of a response. */
const headerBytes = 64 * 1024;
const discardBytes = 256 * 1024;
/** Milliseconds; a new connection takes less. */
const discardTime = 1000;
/** How many times `idle` an answer to content may take. */
export const patience = 5;

/**
 * Errors: `registry-unreachable`, `registry-connection-broken`, `registry-timeout`, `registry-tls`, `registry-not-tls`,
 * `registry-malformed-response`, `proxy-failed`; those of the body.
 */
export function exchange(request: HttpRequest, route: Route, timing: Timing): Promise<HttpResponse> {
  const { method, url, body } = request;
  return new Promise((resolve, reject) => {
    const outgoing = route.request({
      ...route.options,
      agent: route.agent,
      method,
      path: route.options.path ?? url.pathname + url.search,
      headers: {
        host: url.host,
        ...(route.options.headers as Readonly<Record<string, string>> | undefined),
        ...request.headers,
        ...lengthHeader(request),
      },
      maxHeaderSize: headerBytes,
      setHost: false,
    } satisfies RequestOptions);
    let answered = false;
    const watch = new Watch(timing, (error) => outgoing.destroy(error), url);
    const fail = (error: unknown): void => {
      watch.stop();
      outgoing.destroy();
      reject(error);
    };
    // Stays for the life of the request: what comes after the response is thrown by its body.
    outgoing.on("error", (error) => fail(connectionError(error, url)));
    outgoing.once("socket", (socket: Socket & { readonly encrypted?: boolean }) => {
      if (!socket.connecting) watch.connected();
      else socket.once(socket.encrypted === true ? "secureConnect" : "connect", () => watch.connected());
    });
    outgoing.once("response", (incoming) => {
      answered = true;
      watch.answered();
      resolve(responseOf(incoming, request, watch, () => outgoing.destroy()));
    });
    if (body === undefined) {
      outgoing.end();
      return;
    }
    const send = async (): Promise<void> => {
      for await (const chunk of body.open()) {
        // Whoever answers early does not want the rest.
        if (answered || outgoing.destroyed) return;
        watch.resume();
        watch.add(chunk.length);
        if (!outgoing.write(chunk)) await drained(outgoing);
        if (answered || outgoing.destroyed) return;
        watch.pause();
      }
      watch.sent();
      outgoing.end();
    };
    send().catch((error: unknown) => fail(error));
  });
}

function lengthHeader({ method, body }: HttpRequest): Readonly<Record<string, string>> {
  if (body === undefined) {
    return method === "POST" || method === "PUT" || method === "PATCH" ? { "content-length": "0" } : {};
  }
  return body.length === undefined
    ? { "transfer-encoding": "chunked" }
    : { "content-length": String(body.length) };
}

function drained(outgoing: NodeJS.EventEmitter & { readonly destroyed: boolean }): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ["drain", "close", "response"]) outgoing.off(event, done);
      resolve();
    };
    for (const event of ["drain", "close", "response"]) outgoing.on(event, done);
    if (outgoing.destroyed) done();
  });
}

function responseOf(
  incoming: IncomingMessage,
  request: HttpRequest,
  watch: Watch,
  destroy: () => void,
): HttpResponse {
  const stream = async function* (): AsyncGenerator<Uint8Array, void> {
    watch.resume();
    try {
      for await (const chunk of gathered(incoming)) {
        watch.add(chunk.length);
        // A slow consumer is not a slow registry.
        watch.pause();
        yield chunk;
        watch.resume();
      }
      if (!incoming.complete) throw connectionError(new Error("the response ended early"), request.url);
    } catch (error) {
      throw watch.problem ?? connectionError(error, request.url);
    } finally {
      watch.stop();
      if (!incoming.complete) destroy();
    }
  };
  const body = stream();
  const headers = new ResponseHeaders(incoming.rawHeaders);
  return {
    status: incoming.statusCode ?? 0,
    url: request.url,
    headers,
    body,
    async discard() {
      const said = Number(headers.get("content-length") ?? 0);
      if (said > discardBytes && request.method !== "HEAD") return destroy();
      const timer = setTimeout(destroy, discardTime);
      try {
        await collect(body, discardBytes);
      } catch {
        // More than it is worth, or broken: either way the connection is gone.
        destroy();
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** So much may wait for a slow reader; beyond it the connection is paused. */
const gatherBytes = 512 * 1024;

/** The body in the pieces that the system gave: a reader that wants larger ones puts them together where it needs no copy. */
async function* gathered(incoming: IncomingMessage): AsyncGenerator<Uint8Array, void> {
  let chunks: Uint8Array[] = [];
  let bytes = 0;
  let failure: { readonly error: unknown } | undefined;
  // It may have broken off before anybody read: then nothing tells of it any more.
  let ended = incoming.destroyed && !incoming.complete;
  let wake = (): void => undefined;
  incoming.on("data", (chunk: Uint8Array) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= gatherBytes) incoming.pause();
    wake();
  });
  incoming.once("error", (error) => {
    failure = { error };
    wake();
  });
  const end = (): void => {
    ended = true;
    wake();
  };
  incoming.once("end", end);
  // Broken off: the caller sees that it is not complete.
  incoming.once("close", end);
  while (true) {
    if (failure !== undefined) throw failure.error;
    if (bytes > 0) {
      const all = chunks;
      chunks = [];
      bytes = 0;
      incoming.resume();
      yield* all;
      continue;
    }
    if (ended) return;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

/**
 * The clock of one exchange. It runs only while the registry is waited for, and starts anew with each `idleBytes`: a registry
 * that drips a byte now and then does not hold us, a consumer or source that is slow is not held against it.
 */
class Watch {
  problem: VitrineError | undefined;
  private readonly timing: Timing;
  private readonly expire: (what: string) => void;
  private timer: NodeJS.Timeout | undefined;
  private limit: number;
  private waited = 0;
  private since: number | undefined = performance.now();
  private bytes = 0;
  private isConnected = false;
  private ended = false;

  constructor(timing: Timing, expire: (error: VitrineError) => void, url: URL) {
    this.timing = timing;
    this.limit = timing.connect;
    this.expire = (what) => {
      this.problem = timeoutError(url, what);
      expire(this.problem);
    };
    this.arm();
  }

  connected(): void {
    if (this.isConnected) return;
    this.isConnected = true;
    this.restart(this.timing.answer ?? this.timing.idle);
  }

  /** All is sent: a registry may take its time to check and keep a large blob. */
  sent(): void {
    this.restart(this.timing.idle * patience);
  }

  /** The answer has begun. */
  answered(): void {
    this.connected();
    this.restart(this.timing.idle);
    this.pause();
  }

  add(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes < this.timing.idleBytes) return;
    this.bytes = 0;
    this.waited = 0;
    if (this.since !== undefined) this.since = performance.now();
  }

  pause(): void {
    this.waited = this.elapsed();
    this.since = undefined;
  }

  resume(): void {
    this.since ??= performance.now();
  }

  stop(): void {
    this.ended = true;
    clearTimeout(this.timer);
  }

  private restart(limit: number): void {
    this.limit = limit;
    this.waited = 0;
    this.bytes = 0;
    this.since = performance.now();
    clearTimeout(this.timer);
    this.arm();
  }

  private elapsed(): number {
    return this.waited + (this.since === undefined ? 0 : performance.now() - this.since);
  }

  private arm(): void {
    if (this.ended) return;
    this.timer = setTimeout(
      () => {
        if (this.elapsed() < this.limit) return this.arm();
        this.expire(this.isConnected ? "sends nothing, or almost nothing" : "does not answer");
      },
      Math.max(this.limit - this.elapsed(), 10),
    );
    // The connection keeps the process; a response that nobody reads must not.
    this.timer.unref();
  }
}
