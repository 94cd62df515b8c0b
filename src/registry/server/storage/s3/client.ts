/** The few calls of S3's REST interface that the storage needs. Keys hold no special characters. */
import type * as http from "node:http";
import { codeOf, element, failure, require2xx, type S3Answer, unreachable } from "./answers.ts";
import { S3Connection, type S3Options } from "./connection.ts";

export interface S3Object {
  readonly key: string;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
}

/** How an object is kept: encryption at rest, as the store does it. */
export interface S3Encryption {
  readonly algorithm: "AES256" | "aws:kms";
  /** Of `aws:kms`; default the bucket's. */
  readonly keyId?: string;
}

export interface S3ClientOptions extends S3Options {
  readonly encryption?: S3Encryption;
}

export interface S3Upload {
  readonly key: string;
  readonly id: string;
  /** Milliseconds since 1970 when it was begun. */
  readonly begun: number;
}

/** What must hold for a write: nothing is there, or exactly this is (an entity tag). */
export type Condition = { readonly absent: true } | { readonly tag: string };

const streamAttempts = 6;
const completeAttempts = 5;

export class S3Client {
  private readonly connection: S3Connection;
  private readonly endpoint: string;
  /** For what makes an object. */
  private readonly kept: Readonly<Record<string, string>>;

  constructor(options: S3ClientOptions) {
    this.connection = new S3Connection(options);
    this.endpoint = options.endpoint;
    const { encryption } = options;
    this.kept = {
      ...(encryption && { "x-amz-server-side-encryption": encryption.algorithm }),
      ...(encryption?.keyId !== undefined && {
        "x-amz-server-side-encryption-aws-kms-key-id": encryption.keyId,
      }),
    };
  }

  close(): void {
    this.connection.close();
  }

  /** The store's time, as far as it is known: for `delete`'s `expires`. */
  now(): number {
    return this.connection.now();
  }

  async head(key: string): Promise<(S3Object & { readonly answered: number }) | undefined> {
    const answer = await this.connection.request({ method: "HEAD", key });
    if (answer.status === 404) return undefined;
    require2xx(answer, key);
    return {
      key,
      size: Number(answer.headers["content-length"]),
      modified: Date.parse(String(answer.headers["last-modified"])),
      answered: Date.parse(answer.headers.date ?? ""),
    };
  }

  /** A whole small object. */
  async get(key: string): Promise<Buffer | undefined> {
    return (await this.getTagged(key))?.bytes;
  }

  /** With its entity tag and, by the store's clock, how old it is. */
  async getTagged(
    key: string,
  ): Promise<{ readonly bytes: Buffer; readonly tag: string; readonly age: number } | undefined> {
    const answer = await this.connection.request({ method: "GET", key });
    if (answer.status === 404 && codeOf(answer) !== "NoSuchBucket") return undefined;
    require2xx(answer, key);
    const { etag, date, "last-modified": modified } = answer.headers;
    return {
      bytes: answer.body,
      tag: String(etag),
      age: Date.parse(date ?? "") - Date.parse(String(modified)),
    };
  }

  /** Bytes of an object. When the connection breaks, it goes on with another one from where it was. */
  async *stream(key: string, first: number, length: number): AsyncGenerator<Uint8Array, void> {
    let position = first;
    const end = first + length;
    for (let attempt = 1; position < end; attempt++) {
      const response = await this.connection.open(
        { method: "GET", key, headers: { range: `bytes=${position}-${end - 1}` } },
        key,
      );
      let broken: unknown;
      try {
        requireRange(response, position, key);
        for await (const chunk of response as AsyncIterable<Uint8Array>) {
          attempt = 0;
          const piece = chunk.subarray(0, end - position);
          position += piece.length;
          if (piece.length > 0) yield piece;
        }
      } catch (cause) {
        broken = cause;
      } finally {
        response.destroy();
      }
      if (position >= end) return;
      if (attempt >= streamAttempts) throw unreachable(this.endpoint, broken);
      await this.connection.pause(Math.max(attempt, 1));
    }
  }

  /** Returns the store's time of it. */
  async put(key: string, body: Uint8Array): Promise<number> {
    const answer = await this.connection.request({ method: "PUT", key, body, headers: this.kept });
    require2xx(answer, key);
    return this.timeOf(answer);
  }

  /**
   * Writes where the condition holds. `refused`: it did not, or somebody else writes at this moment; after a broken connection
   * also when the write was this one. `unsupported`: the store says that it knows no conditions.
   */
  async putIf(
    key: string,
    body: Uint8Array,
    condition: Condition,
  ): Promise<{ readonly tag: string; readonly answered: number } | "refused" | "unsupported"> {
    const answer = await this.connection.request({
      method: "PUT",
      key,
      body,
      headers: {
        ...this.kept,
        ...("tag" in condition ? { "if-match": condition.tag } : { "if-none-match": "*" }),
      },
    });
    if (answer.status === 501) return "unsupported";
    if (answer.status === 412 || answer.status === 409 || answer.status === 404) return "refused";
    require2xx(answer, key);
    return { tag: String(answer.headers["etag"]), answered: this.timeOf(answer) };
  }

  /** `expires`: see `Call`. Then false where the store found it too late. */
  async delete(
    key: string,
    expires?: { readonly since: number; readonly seconds: number },
  ): Promise<boolean> {
    const answer = await this.connection.request({ method: "DELETE", key, expires });
    if (expires !== undefined && answer.status === 403) return false;
    if (answer.status !== 404) require2xx(answer, key);
    return true;
  }

  private timeOf(answer: S3Answer): number {
    const time = Date.parse(answer.headers.date ?? "");
    return Number.isNaN(time) ? this.now() : time;
  }

  /** A URL by which anybody may read it for so long. */
  readableUrl(key: string, seconds: number): Promise<string> {
    return this.connection.presign({ method: "GET", key }, seconds);
  }

  /** Objects and common prefixes one level below `prefix`; all levels with `deep`. */
  async *list(prefix: string, deep = false): AsyncGenerator<S3Object | { readonly prefix: string }, void> {
    let token: string | undefined;
    do {
      const answer = await this.connection.request({
        method: "GET",
        query: {
          "list-type": "2",
          prefix,
          ...(!deep && { delimiter: "/" }),
          ...(token !== undefined && { "continuation-token": token }),
        },
      });
      require2xx(answer, prefix);
      const xml = answer.body.toString("utf8");
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
    const answer = await this.connection.request({
      method: "POST",
      key,
      query: { uploads: "" },
      headers: this.kept,
    });
    require2xx(answer, key);
    const id = element(answer.body.toString("utf8"), "UploadId");
    if (id === undefined) throw failure(answer, key);
    return id;
  }

  /** Returns the part's entity tag. */
  async putPart(key: string, upload: string, part: number, body: Uint8Array): Promise<string> {
    const query = { partNumber: String(part), uploadId: upload };
    const answer = await this.connection.request({ method: "PUT", key, query, body });
    require2xx(answer, key);
    return String(answer.headers["etag"]);
  }

  /** `size`: of the whole, by which it is known again when the answer got lost. */
  async finishParts(key: string, upload: string, tags: readonly string[], size: number): Promise<void> {
    const parts = tags.map(
      (tag, index) =>
        `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag.replace(/"/g, "&quot;")}</ETag></Part>`,
    );
    const body = Buffer.from(
      `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join("")}</CompleteMultipartUpload>`,
    );
    for (let attempt = 1; ; attempt++) {
      const answer = await this.connection.request({
        method: "POST",
        key,
        query: { uploadId: upload },
        body,
      });
      // An upload that is not there any more is what a second attempt finds after the first one's answer was lost.
      if (answer.status === 404 && (await this.head(key))?.size === size) return;
      require2xx(answer, key);
      // It may fail after the 200 has been sent.
      if (!answer.body.includes("<Error>")) return;
      if (attempt >= completeAttempts || !isPassing(answer)) throw failure(answer, key);
      await this.connection.pause(attempt);
    }
  }

  async abortParts(key: string, upload: string): Promise<void> {
    const answer = await this.connection.request({ method: "DELETE", key, query: { uploadId: upload } });
    if (answer.status !== 404) require2xx(answer, key);
  }

  /** Uploads in parts that were begun and neither finished nor given up. */
  async *unfinished(prefix: string): AsyncGenerator<S3Upload, void> {
    let marker: Readonly<Record<string, string>> | undefined = {};
    while (marker !== undefined) {
      const query: Record<string, string> = { uploads: "", prefix, ...marker };
      const answer: S3Answer = await this.connection.request({ method: "GET", query });
      require2xx(answer, prefix);
      const xml = answer.body.toString("utf8");
      for (const [, entry] of xml.matchAll(/<Upload>(.*?)<\/Upload>/gs)) {
        const key = element(entry!, "Key") ?? "";
        const id = element(entry!, "UploadId");
        const begun = Date.parse(element(entry!, "Initiated") ?? "");
        if (key.startsWith(prefix) && id !== undefined) yield { key, id, begun };
      }
      const next = element(xml, "NextKeyMarker");
      marker =
        element(xml, "IsTruncated") === "true" && next !== undefined
          ? { "key-marker": next, "upload-id-marker": element(xml, "NextUploadIdMarker") ?? "" }
          : undefined;
    }
  }
}

function isPassing(answer: S3Answer): boolean {
  return ["InternalError", "SlowDown", "ServiceUnavailable"].includes(codeOf(answer) ?? "");
}

/** Those that know no ranges send all from the beginning. */
function requireRange(response: http.IncomingMessage, position: number, key: string): void {
  if (response.statusCode === 206 || position === 0) return;
  throw failure({ status: 200, headers: response.headers, body: Buffer.alloc(0) }, key);
}
