/**
 * Requests to an object store: signed, sent again with growing pauses where that may help, by a clock that follows the store's.
 * Every request here may be repeated: it names what shall be, not what shall change.
 */
import * as http from "node:http";
import * as https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { VitrineError } from "../../../../base/mod.ts";
import { failure, readAnswer, type S3Answer, unreachable } from "./answers.ts";
import { canonicalQuery, encode, presign, type S3Credentials, sha256Hex, signRequest } from "./signature.ts";

export interface S3Options {
  /** `https://s3.eu-central-1.amazonaws.com`, `http://127.0.0.1:9000` */
  readonly endpoint: string;
  readonly bucket: string;
  /** Default `us-east-1`, which those who have no regions accept. */
  readonly region?: string;
  /** As a function: asked for each request, since they may end. */
  readonly credentials: S3Credentials | (() => Promise<S3Credentials>);
  /** The bucket is part of the path, not of the host; default true, which everybody understands. */
  readonly pathStyle?: boolean;
  /** Where others reach the store, when that is not `endpoint`: for URLs that are given away. */
  readonly publicEndpoint?: string;
  /** The pause before the second attempt; each further one is twice as long, 3 seconds at most. Default 100. */
  readonly firstPauseMilliseconds?: number;
  /** Nothing moves on the connection for so long; default a minute. */
  readonly idleMilliseconds?: number;
}

export interface Call {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The store takes it for so long and no longer, by the time that was when `since` was taken from `now()`. */
  readonly expires?: { readonly since: number; readonly seconds: number };
}

const attempts = 6;
/** A store that says to be slow means it. */
const attemptsWhenBusy = 9;
const longestPauseMilliseconds = 3000;
const mostRetryAfterSeconds = 10;
const passing = new Set([408, 429, 500, 502, 503, 504]);
/** S3 refuses what is 15 minutes off. */
const mostSkewMilliseconds = 5 * 60_000;

export class S3Connection {
  readonly options: S3Options;
  private readonly url: URL;
  private readonly agent: http.Agent;
  /** The store's clock is so much ahead of this machine's. */
  private skew = 0;

  constructor(options: S3Options) {
    this.options = options;
    this.url = new URL(options.endpoint);
    const settings = { keepAlive: true, maxSockets: 64 };
    this.agent = this.url.protocol === "https:" ? new https.Agent(settings) : new http.Agent(settings);
  }

  close(): void {
    this.agent.destroy();
  }

  /** The store's time, as far as it is known. */
  now(): number {
    return Date.now() + this.skew;
  }

  /** The answer, whole; one that is cut off is asked for again. Error: `s3-unreachable`. */
  request(call: Call): Promise<S3Answer> {
    return this.repeat(async () => {
      const answer = await readAnswer(await this.send(call), call.method);
      return { answer, value: answer };
    });
  }

  /** An answer whose body the caller reads, where it is one; else the error that it is. */
  open(call: Call, key: string): Promise<http.IncomingMessage> {
    return this.repeat(async () => {
      const response = await this.send(call);
      const { statusCode: status = 0 } = response;
      if (status >= 200 && status <= 299) return { value: response };
      const answer = await readAnswer(response, call.method);
      return { answer, error: failure(answer, key) };
    });
  }

  /** The pause before the next attempt; numbered from 1. */
  async pause(attempt: number, answer?: S3Answer): Promise<void> {
    const { firstPauseMilliseconds: first = 100 } = this.options;
    const asked = Math.min(Number(answer?.headers["retry-after"] ?? 0) || 0, mostRetryAfterSeconds) * 1000;
    const own = Math.min(first * 2 ** (attempt - 1), longestPauseMilliseconds);
    await sleep(Math.max(asked, own) * (0.5 + Math.random() / 2));
  }

  /** A URL by which anybody may do this for a while. Headers of the call are not part of it. */
  async presign(call: Pick<Call, "method" | "key">, seconds: number): Promise<string> {
    const { publicEndpoint } = this.options;
    const url = publicEndpoint === undefined ? this.url : new URL(publicEndpoint);
    const place = this.placeOf(call, url);
    const query = presign(
      { method: call.method, ...place, query: {} },
      await this.context(this.now()),
      seconds,
    );
    return `${url.protocol}//${place.host}${place.path}?${canonicalQuery(query)}`;
  }

  private async repeat<T>(
    body: () => Promise<{
      readonly answer?: S3Answer;
      readonly value?: T;
      readonly error?: Error;
    }>,
  ): Promise<T> {
    let adjusted = false;
    for (let attempt = 1; ; attempt++) {
      let answer: S3Answer | undefined;
      try {
        const result = await body();
        ({ answer } = result);
        const settled = answer === undefined || !passing.has(answer.status);
        if (!adjusted && answer?.status === 403 && this.followClock(answer)) {
          adjusted = true;
          continue;
        }
        if (settled || attempt >= attemptsWhenBusy) {
          if (result.error !== undefined) throw new Refused(result.error);
          return result.value as T;
        }
      } catch (cause) {
        if (cause instanceof Refused) throw cause.error;
        // Of the credentials: whoever gives them out has been asked often enough.
        if (cause instanceof VitrineError) throw cause;
        if (attempt >= attempts) throw unreachable(this.options.endpoint, cause);
      }
      await this.pause(attempt, answer);
    }
  }

  /** Whether the store's clock turned out to be another one: then by that one from here on. */
  private followClock(answer: S3Answer): boolean {
    const theirs = Date.parse(answer.headers.date ?? "");
    if (Number.isNaN(theirs) || Math.abs(theirs - this.now()) < mostSkewMilliseconds) return false;
    this.skew = theirs - Date.now();
    return true;
  }

  private async send(call: Call): Promise<http.IncomingMessage> {
    const { idleMilliseconds = 60_000 } = this.options;
    const place = this.placeOf(call, this.url);
    const body = call.body ?? new Uint8Array(0);
    const hasBody = call.method === "PUT" || call.method === "POST";
    // Where there is a type, it is to be signed as well.
    const type: Record<string, string> = hasBody ? { "content-type": "application/octet-stream" } : {};
    const { query, headers } =
      call.expires === undefined
        ? {
            query: call.query ?? {},
            headers: signRequest(
              {
                method: call.method,
                ...place,
                query: call.query ?? {},
                headers: { ...call.headers, ...type },
                payloadHash: sha256Hex(body),
              },
              await this.context(this.now()),
            ),
          }
        : {
            query: presign(
              { method: call.method, ...place, query: call.query ?? {} },
              await this.context(call.expires.since),
              call.expires.seconds,
            ),
            headers: { host: place.host },
          };
    if (hasBody) headers["content-length"] = String(body.length);
    const text = canonicalQuery(query);
    const module = this.url.protocol === "https:" ? https : http;
    return new Promise((resolve, reject) => {
      const request = module.request(
        {
          agent: this.agent,
          method: call.method,
          host: place.host.replace(/:\d+$/, ""),
          port: this.url.port,
          path: text === "" ? place.path : `${place.path}?${text}`,
          headers,
          timeout: idleMilliseconds,
        },
        resolve,
      );
      request.on("timeout", () => request.destroy(new Error("nothing moved for too long")));
      request.on("error", reject);
      request.end(body);
    });
  }

  private async context(time: number) {
    const { credentials, region = "us-east-1" } = this.options;
    return {
      credentials: typeof credentials === "function" ? await credentials() : credentials,
      region,
      now: new Date(time),
    };
  }

  private placeOf(call: Pick<Call, "key">, url: URL): { readonly host: string; readonly path: string } {
    const { bucket, pathStyle = true } = this.options;
    const key = call.key?.split("/").map(encode).join("/") ?? "";
    return pathStyle
      ? { host: url.host, path: `/${encode(bucket)}/${key}` }
      : { host: `${bucket}.${url.host}`, path: `/${key}` };
  }
}

/** An answer that says no, apart from a connection that broke. */
class Refused extends Error {
  readonly error: Error;

  constructor(error: Error) {
    super();
    this.error = error;
  }
}
