/**
 * A small object store in memory for tests of what speaks to one: signatures, conditional writes, pages, parts, and faults at
 * will. What real stores do, the integration tests ask real ones.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { presign, sha256Hex, signRequest } from "./signature.ts";

export interface StoreRequest {
  readonly method: string;
  /** Without the bucket. */
  readonly key: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage["headers"];
}

export type Fault =
  | { readonly status: number; readonly code?: string; readonly headers?: Readonly<Record<string, string>> }
  /** The connection ends: before the request is carried out, after it, or in the middle of the answer. */
  | "cut-before"
  | "cut-after"
  | "cut-body"
  | undefined;

export interface StoreOptions {
  readonly credentials?: { readonly accessKey: string; readonly secretKey: string };
  /** Default true; false answers 501, `ignored` writes anyhow. */
  readonly conditions?: boolean | "ignored";
  /** Its clock is so much ahead. */
  readonly skewMilliseconds?: number;
  readonly fault?: (request: StoreRequest) => Fault | Promise<Fault>;
}

interface Stored {
  readonly body: Buffer;
  readonly tag: string;
  modified: number;
  readonly headers: IncomingMessage["headers"];
}

const pageEntries = 5;
const skewLimit = 15 * 60_000;

export class TestingStore implements AsyncDisposable {
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<
    string,
    { readonly key: string; begun: number; readonly parts: Map<number, Buffer> }
  >();
  readonly requests: StoreRequest[] = [];
  readonly credentials: { readonly accessKey: string; readonly secretKey: string };
  fault: StoreOptions["fault"];
  conditions: boolean | "ignored";
  /** Its clock is so much ahead. */
  skew: number;
  private readonly server: Server;
  private ids = 0;

  private constructor(options: StoreOptions) {
    this.credentials = options.credentials ?? { accessKey: "test", secretKey: "testing" };
    this.fault = options.fault;
    this.conditions = options.conditions ?? true;
    this.skew = options.skewMilliseconds ?? 0;
    this.server = createServer((request, response) => {
      this.serve(request, response).catch(() => response.destroy());
    });
  }

  static async start(options: StoreOptions = {}): Promise<TestingStore> {
    const store = new TestingStore(options);
    await new Promise<void>((resolve) => store.server.listen(0, "127.0.0.1", resolve));
    return store;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** For `S3Client`; pauses are short. */
  get options() {
    return {
      endpoint: this.endpoint,
      bucket: "bucket",
      credentials: this.credentials,
      firstPauseMilliseconds: 1,
    };
  }

  now(): number {
    return Date.now() + this.skew;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const url = new URL(request.url!, "http://x");
    const { method = "", headers } = request;
    const query = Object.fromEntries(url.searchParams);
    const key = decodeURIComponent(url.pathname.replace(/^\/bucket\//, ""));
    const told: StoreRequest = { method, key, query, headers };
    this.requests.push(told);
    const fault = await this.fault?.(told);
    if (fault === "cut-before") {
      response.destroy();
      return;
    }
    const date = new Date(this.now()).toUTCString();
    const refused =
      fault !== undefined && typeof fault === "object"
        ? error(fault.status, fault.code ?? "Fault", fault.headers)
        : this.refusal(request, url, body);
    const answer = refused ?? this.answer(told, url, body);
    if (fault === "cut-after") {
      response.destroy();
      return;
    }
    const length = method === "HEAD" ? (answer.length ?? answer.body.length) : answer.body.length;
    response.writeHead(answer.status, { Date: date, ...answer.headers, "Content-Length": length });
    if (fault === "cut-body") {
      response.write(answer.body.subarray(0, Math.floor(answer.body.length / 2)), () => response.destroy());
      return;
    }
    response.end(method === "HEAD" ? undefined : answer.body);
  }

  private refusal(request: IncomingMessage, url: URL, body: Buffer): Answer | undefined {
    const { method = "", headers } = request;
    const { searchParams } = url;
    const host = headers.host ?? "";
    const query = Object.fromEntries(searchParams);
    const given = searchParams.get("X-Amz-Date") ?? String(headers["x-amz-date"]);
    const time = Date.parse(given.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
    const context = { credentials: this.credentials, region: "us-east-1", now: new Date(time) };
    const signature = searchParams.get("X-Amz-Signature");
    if (signature !== null) {
      const seconds = Number(searchParams.get("X-Amz-Expires"));
      const bare = Object.fromEntries(Object.entries(query).filter(([name]) => !name.startsWith("X-Amz-")));
      const expected = presign({ method, host, path: url.pathname, query: bare }, context, seconds);
      if (expected["X-Amz-Signature"] !== signature) return error(403, "SignatureDoesNotMatch");
      return this.now() > time + seconds * 1000 ? error(403, "AccessDenied") : undefined;
    }
    if (!(Math.abs(time - this.now()) < skewLimit)) return error(403, "RequestTimeTooSkewed");
    if (headers["x-amz-content-sha256"] !== sha256Hex(body)) return error(400, "XAmzContentSHA256Mismatch");
    const names = /SignedHeaders=([^,]*)/.exec(headers.authorization ?? "")?.[1]?.split(";") ?? [];
    if (headers["content-type"] !== undefined && !names.includes("content-type")) {
      return error(403, "AccessDenied");
    }
    const own = new Set(["host", "x-amz-content-sha256", "x-amz-date"]);
    const signed = Object.fromEntries(
      names.filter((name) => !own.has(name)).map((name) => [name, String(headers[name])]),
    );
    const expected = signRequest(
      { method, host, path: url.pathname, query, headers: signed, payloadHash: sha256Hex(body) },
      context,
    );
    return expected["authorization"] === headers.authorization
      ? undefined
      : error(403, "SignatureDoesNotMatch");
  }

  private answer({ method, key, query, headers }: StoreRequest, url: URL, body: Buffer): Answer {
    if (!url.pathname.startsWith("/bucket/")) return error(404, "NoSuchBucket");
    if (key === "") return "uploads" in query ? this.listUploads(query) : this.list(query);
    const { uploadId } = query;
    if (uploadId !== undefined || "uploads" in query) return this.parts(method, key, query, body, headers);
    const present = this.objects.get(key);
    switch (method) {
      case "PUT":
        return this.put(key, body, headers);
      case "DELETE":
        this.objects.delete(key);
        return { status: 204, body: empty };
      default:
        return present === undefined ? error(404, "NoSuchKey") : read(present, headers.range);
    }
  }

  private put(key: string, body: Buffer, headers: IncomingMessage["headers"]): Answer {
    const present = this.objects.get(key);
    const match = headers["if-match"];
    const none = headers["if-none-match"];
    if ((match !== undefined || none !== undefined) && this.conditions !== "ignored") {
      if (!this.conditions) return error(501, "NotImplemented");
      if (none === "*" && present !== undefined) return error(412, "PreconditionFailed");
      if (match !== undefined && present === undefined) return error(404, "NoSuchKey");
      if (match !== undefined && present?.tag !== match) return error(412, "PreconditionFailed");
    }
    const tag = `"${createHash("md5").update(body).digest("hex")}"`;
    this.objects.set(key, { body, tag, modified: this.now(), headers });
    return { status: 200, body: empty, headers: { ETag: tag } };
  }

  private parts(
    method: string,
    key: string,
    query: StoreRequest["query"],
    body: Buffer,
    headers: IncomingMessage["headers"],
  ): Answer {
    const { uploadId: id, partNumber } = query;
    if (id === undefined) {
      const made = `upload-${++this.ids}`;
      this.uploads.set(made, { key, begun: this.now(), parts: new Map() });
      return xml(
        `<InitiateMultipartUploadResult><UploadId>${made}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    const upload = this.uploads.get(id);
    if (upload === undefined || upload.key !== key) return error(404, "NoSuchUpload");
    if (method === "DELETE") {
      this.uploads.delete(id);
      return { status: 204, body: empty };
    }
    if (method === "PUT") {
      upload.parts.set(Number(partNumber), body);
      return { status: 200, body: empty, headers: { ETag: `"part-${partNumber}"` } };
    }
    const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)</g)].map(([, number]) => Number(number));
    this.uploads.delete(id);
    this.put(key, Buffer.concat(numbers.map((number) => upload.parts.get(number)!)), {
      ...headers,
      "if-match": undefined,
    });
    return xml("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>");
  }

  private list(query: StoreRequest["query"]): Answer {
    const { prefix = "", delimiter, "continuation-token": after = "" } = query;
    const found = new Map<string, Stored | undefined>();
    for (const [key, object] of this.objects) {
      if (!key.startsWith(prefix)) continue;
      const slash = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
      if (slash === -1) found.set(key, object);
      else found.set(key.slice(0, slash + 1), undefined);
    }
    const names = [...found.keys()].sort().filter((name) => name > after);
    const page = names.slice(0, pageEntries);
    const entries = page.map((name) => {
      const object = found.get(name);
      return object === undefined
        ? `<CommonPrefixes><Prefix>${name}</Prefix></CommonPrefixes>`
        : `<Contents><Key>${name}</Key><LastModified>${new Date(object.modified).toISOString()}</LastModified><Size>${object.body.length}</Size></Contents>`;
    });
    const more = names.length > page.length;
    return xml(
      `<ListBucketResult><IsTruncated>${more}</IsTruncated>${more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ""}${entries.join("")}</ListBucketResult>`,
    );
  }

  private listUploads({ prefix = "" }: StoreRequest["query"]): Answer {
    const entries = [...this.uploads]
      .filter(([, { key }]) => key.startsWith(prefix))
      .map(
        ([id, { key, begun }]) =>
          `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${new Date(begun).toISOString()}</Initiated></Upload>`,
      );
    return xml(
      `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${entries.join("")}</ListMultipartUploadsResult>`,
    );
  }
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly length?: number;
}

const empty = Buffer.alloc(0);

function xml(text: string): Answer {
  return { status: 200, body: Buffer.from(text), headers: { "Content-Type": "application/xml" } };
}

function error(status: number, code: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, body: Buffer.from(`<Error><Code>${code}</Code></Error>`), headers };
}

function read(object: Stored, range: string | undefined): Answer {
  const headers = {
    ETag: object.tag,
    "Last-Modified": new Date(object.modified).toUTCString(),
  };
  const match = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
  if (match === null) return { status: 200, body: object.body, headers };
  return { status: 206, body: object.body.subarray(Number(match[1]), Number(match[2]) + 1), headers };
}
