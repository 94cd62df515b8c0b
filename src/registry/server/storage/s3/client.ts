/** The few calls of S3's REST interface that the storage needs, over node:http(s), with retries. Keys hold no special characters. */
import * as http from "node:http";
import * as https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, VitrineError } from "../../../../base/mod.ts";
import { canonicalQuery, encode, type S3Credentials, sha256Hex, signRequest } from "./signature.ts";

export interface S3Options {
  /** `https://s3.eu-central-1.amazonaws.com`, `http://127.0.0.1:9000` */
  readonly endpoint: string;
  readonly bucket: string;
  /** Default `us-east-1`, which those who have no regions accept. */
  readonly region?: string;
  readonly credentials: S3Credentials;
  /** The bucket is part of the path, not of the host; default true, which everybody understands. */
  readonly pathStyle?: boolean;
}

export interface S3Object {
  readonly key: string;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
}

interface Call {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

const attempts = 5;
const firstPauseMilliseconds = 100;
/** Nothing moves on the connection for so long. */
const idleMilliseconds = 60_000;
const mostDocumentBytes = 64 * 1024 * 1024;
const passing = new Set([408, 429, 500, 502, 503, 504]);

export class S3Client {
  private readonly options: S3Options;
  private readonly url: URL;
  private readonly agent: http.Agent;

  constructor(options: S3Options) {
    this.options = options;
    this.url = new URL(options.endpoint);
    const settings = { keepAlive: true, maxSockets: 64 };
    this.agent = this.url.protocol === "https:" ? new https.Agent(settings) : new http.Agent(settings);
  }

  close(): void {
    this.agent.destroy();
  }

  async head(key: string): Promise<S3Object | undefined> {
    const answer = await this.call({ method: "HEAD", key });
    await drain(answer);
    if (answer.statusCode === 404) return undefined;
    require2xx(answer, key);
    return {
      key,
      size: Number(answer.headers["content-length"]),
      modified: Date.parse(String(answer.headers["last-modified"])),
    };
  }

  /** A whole small object. */
  async get(key: string): Promise<Uint8Array | undefined> {
    const answer = await this.call({ method: "GET", key });
    if (answer.statusCode === 404) {
      await drain(answer);
      return undefined;
    }
    const bytes = await readAll(answer);
    require2xx(answer, key, bytes);
    return bytes;
  }

  /** Bytes of an object. When the connection breaks, it goes on with another one from where it was. */
  async *stream(key: string, first: number, length: number): AsyncGenerator<Uint8Array, void> {
    let position = first;
    const end = first + length;
    for (let attempt = 1; position < end; attempt++) {
      const answer = await this.call({
        method: "GET",
        key,
        headers: { range: `bytes=${position}-${end - 1}` },
      });
      if (answer.statusCode !== 206 && !(answer.statusCode === 200 && position === 0)) {
        throw failure(answer, key, await readAll(answer));
      }
      try {
        for await (const chunk of answer as AsyncIterable<Uint8Array>) {
          attempt = 0;
          position += chunk.length;
          yield chunk;
        }
      } catch (cause) {
        if (attempt >= attempts) throw unreachable(this.options.endpoint, cause);
        continue;
      } finally {
        answer.destroy();
      }
      if (position < end && attempt >= attempts) throw unreachable(this.options.endpoint);
    }
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    const answer = await this.call({ method: "PUT", key, body });
    require2xx(answer, key, await readAll(answer));
  }

  async delete(key: string): Promise<void> {
    const answer = await this.call({ method: "DELETE", key });
    const bytes = await readAll(answer);
    if (answer.statusCode !== 404) require2xx(answer, key, bytes);
  }

  /** Objects and common prefixes one level below `prefix`; all levels with `deep`. */
  async *list(prefix: string, deep = false): AsyncGenerator<S3Object | { readonly prefix: string }, void> {
    let token: string | undefined;
    do {
      const answer = await this.call({
        method: "GET",
        query: {
          "list-type": "2",
          prefix,
          ...(!deep && { delimiter: "/" }),
          ...(token !== undefined && { "continuation-token": token }),
        },
      });
      const bytes = await readAll(answer);
      require2xx(answer, prefix, bytes);
      const xml = Buffer.from(bytes).toString("utf8");
      for (const [, entry] of xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        yield {
          key: element(entry!, "Key") ?? "",
          size: Number(element(entry!, "Size")),
          modified: Date.parse(element(entry!, "LastModified") ?? ""),
        };
      }
      for (const [, entry] of xml.matchAll(/<CommonPrefixes>(.*?)<\/CommonPrefixes>/gs)) {
        yield { prefix: element(entry!, "Prefix") ?? "" };
      }
      token = element(xml, "IsTruncated") === "true" ? element(xml, "NextContinuationToken") : undefined;
    } while (token !== undefined);
  }

  async beginParts(key: string): Promise<string> {
    const answer = await this.call({ method: "POST", key, query: { uploads: "" } });
    const bytes = await readAll(answer);
    require2xx(answer, key, bytes);
    const id = element(Buffer.from(bytes).toString("utf8"), "UploadId");
    if (id === undefined) throw failure(answer, key, bytes);
    return id;
  }

  /** Returns the part's entity tag. */
  async putPart(key: string, upload: string, part: number, body: Uint8Array): Promise<string> {
    const query = { partNumber: String(part), uploadId: upload };
    const answer = await this.call({ method: "PUT", key, query, body });
    const bytes = await readAll(answer);
    require2xx(answer, key, bytes);
    return String(answer.headers["etag"]);
  }

  async finishParts(key: string, upload: string, tags: readonly string[]): Promise<void> {
    const parts = tags.map(
      (tag, index) =>
        `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag.replace(/"/g, "&quot;")}</ETag></Part>`,
    );
    const body = Buffer.from(
      `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join("")}</CompleteMultipartUpload>`,
    );
    const answer = await this.call({ method: "POST", key, query: { uploadId: upload }, body });
    const bytes = await readAll(answer);
    require2xx(answer, key, bytes);
    // It may fail after the 200 has been sent.
    if (Buffer.from(bytes).toString("utf8").includes("<Error>")) throw failure(answer, key, bytes);
  }

  async abortParts(key: string, upload: string): Promise<void> {
    const answer = await this.call({ method: "DELETE", key, query: { uploadId: upload } });
    await drain(answer);
  }

  /** Every call here may be repeated: it names what shall be, not what shall change. */
  private async call(call: Call): Promise<http.IncomingMessage> {
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await this.send(call);
        if (!passing.has(answer.statusCode ?? 0) || attempt >= attempts) return answer;
        await drain(answer);
      } catch (cause) {
        if (attempt >= attempts) throw unreachable(this.options.endpoint, cause);
      }
      await sleep(firstPauseMilliseconds * 2 ** (attempt - 1) * (0.5 + Math.random()));
    }
  }

  private send(call: Call): Promise<http.IncomingMessage> {
    const { bucket, pathStyle = true, region = "us-east-1", credentials } = this.options;
    const host = pathStyle ? this.url.host : `${bucket}.${this.url.host}`;
    const key = call.key?.split("/").map(encode).join("/") ?? "";
    const path = pathStyle ? `/${encode(bucket)}/${key}` : `/${key}`;
    const query = call.query ?? {};
    const body = call.body ?? new Uint8Array(0);
    const headers = signRequest(
      { method: call.method, host, path, query, headers: call.headers ?? {}, payloadHash: sha256Hex(body) },
      { credentials, region, now: new Date() },
    );
    if (call.method === "PUT" || call.method === "POST") {
      headers["content-length"] = String(body.length);
      headers["content-type"] = "application/octet-stream";
    }
    const text = canonicalQuery(query);
    const { hostname, port, protocol } = this.url;
    const module = protocol === "https:" ? https : http;
    return new Promise((resolve, reject) => {
      const request = module.request(
        {
          agent: this.agent,
          method: call.method,
          host: pathStyle ? hostname : `${bucket}.${hostname}`,
          port,
          path: text === "" ? path : `${path}?${text}`,
          headers,
          timeout: idleMilliseconds,
        },
        resolve,
      );
      request.on("timeout", () => request.destroy(new Error("nothing moved for a minute")));
      request.on("error", reject);
      request.end(body);
    });
  }
}

function element(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text
    ?.replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&quot;/g, '"')
    .replace(/&#39;|&apos;/g, "'")
    .replace(/&amp;/g, "&");
}

async function readAll(answer: http.IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > mostDocumentBytes) {
      answer.destroy();
      throw new VitrineError("corrupt", "the object store sent a document that is too large", {
        code: "s3-failed",
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function drain(answer: http.IncomingMessage): Promise<void> {
  await readAll(answer);
}

function require2xx(answer: http.IncomingMessage, key: string, body?: Uint8Array): void {
  const status = answer.statusCode ?? 0;
  if (status < 200 || status > 299) throw failure(answer, key, body);
}

function failure(answer: http.IncomingMessage, key: string, body?: Uint8Array): VitrineError {
  const status = answer.statusCode ?? 0;
  const code = body === undefined ? undefined : element(Buffer.from(body).toString("utf8"), "Code");
  const denied = status === 403 || status === 401;
  return new VitrineError(
    denied ? "denied" : "unavailable",
    `the object store answered ${status} ${code ?? ""} for ${key}`,
    {
      code: denied ? "s3-denied" : "s3-failed",
      operand: key,
      hint: denied
        ? "check the credentials, the region and the bucket's policy"
        : code === "NoSuchBucket"
          ? "make the bucket first"
          : undefined,
    },
  );
}

function unreachable(endpoint: string, cause?: unknown): VitrineError {
  return new VitrineError(
    "unavailable",
    `the object store ${endpoint} cannot be reached${errnoOf(cause) === undefined ? "" : ` (${errnoOf(cause)})`}`,
    {
      code: "s3-unreachable",
      operand: endpoint,
      cause,
    },
  );
}
