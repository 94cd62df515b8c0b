/** A client for tests: plain requests, so that what the server does is seen as it is. */
import * as http from "node:http";
import * as https from "node:https";
import { type Digest, digestOf, mediaTypes } from "../../oci/mod.ts";

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  text(): string;
  json(): unknown;
  /** The code of the first error, undefined without. */
  code(): string | undefined;
}

/** Waits for what is to come, for 50 seconds at most; the caller looks whether it did. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 50_000;
  while (!(await holds()) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export type RequestHeaders = Readonly<Record<string, string | number>>;

export class TestClient {
  readonly url: string;
  private readonly headers: RequestHeaders;

  constructor(url: string, headers: RequestHeaders = {}) {
    this.url = url;
    this.headers = headers;
  }

  /** `target`: a path, or a `Location` as it came. Paths are sent as they are, without normalisation. */
  request(
    method: string,
    target: string,
    options: { readonly headers?: RequestHeaders; readonly body?: Uint8Array | string } = {},
  ): Promise<Answer> {
    const base = new URL(this.url);
    const path = target.startsWith("http") ? target.slice(new URL(target).origin.length) : target;
    const body = typeof options.body === "string" ? Buffer.from(options.body) : options.body;
    const headers = {
      ...this.headers,
      ...(body !== undefined
        ? { "Content-Length": body.length }
        : method === "GET" || method === "HEAD"
          ? {}
          : { "Content-Length": 0 }),
      ...options.headers,
    };
    return new Promise((resolve, reject) => {
      const request = (base.protocol === "https:" ? https : http).request(
        { host: base.hostname, port: base.port, method, path, headers, agent: false },
        (response) => {
          const chunks: Uint8Array[] = [];
          response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
          response.on("error", reject);
          response.on("aborted", () => reject(new Error("aborted")));
          response.on("end", () => resolve(answer(response, Buffer.concat(chunks))));
        },
      );
      request.on("error", reject);
      request.end(body);
    });
  }

  get(path: string, headers?: RequestHeaders): Promise<Answer> {
    return this.request("GET", path, { headers });
  }

  /** Pushes a blob with POST and PUT. */
  async pushBlob(name: string, bytes: Uint8Array | string, digest?: Digest): Promise<Digest> {
    const content = Buffer.from(bytes);
    const its = digest ?? digestOf(content);
    const started = await this.request("POST", `/v2/${name}/blobs/uploads/`);
    const put = await this.request("PUT", withQuery(String(started.headers["location"]), `digest=${its}`), {
      body: content,
      headers: { "Content-Type": "application/octet-stream" },
    });
    if (put.status !== 201) throw new Error(`push of ${its}: ${put.status} ${put.text()}`);
    return its;
  }

  pushManifest(
    name: string,
    reference: string,
    manifest: object | Uint8Array,
    mediaType: string = mediaTypes.manifest,
  ): Promise<Answer> {
    const body = manifest instanceof Uint8Array ? manifest : Buffer.from(JSON.stringify(manifest));
    return this.request("PUT", `/v2/${name}/manifests/${reference}`, {
      body,
      headers: { "Content-Type": mediaType },
    });
  }

  /** Pushes a small image with its blobs; returns the digest and bytes of its manifest. */
  async pushImage(
    name: string,
    tag: string,
    extra: object = {},
  ): Promise<{
    readonly digest: Digest;
    readonly bytes: Buffer;
    readonly layer: Digest;
    readonly config: Digest;
  }> {
    const layer = await this.pushBlob(name, `layer of ${name}:${tag}`);
    const config = await this.pushBlob(name, `{"architecture":"amd64","os":"linux","tag":"${tag}"}`);
    const bytes = Buffer.from(
      JSON.stringify({ ...imageManifest(config, layer, `layer of ${name}:${tag}`.length, tag), ...extra }),
    );
    const pushed = await this.pushManifest(name, tag, bytes);
    if (pushed.status !== 201) throw new Error(`push of ${name}:${tag}: ${pushed.status} ${pushed.text()}`);
    return { digest: digestOf(bytes), bytes, layer, config };
  }
}

function imageManifest(config: Digest, layer: Digest, layerSize: number, tag: string): object {
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: {
      mediaType: mediaTypes.config,
      digest: config,
      size: `{"architecture":"amd64","os":"linux","tag":"${tag}"}`.length,
    },
    layers: [{ mediaType: mediaTypes.layer, digest: layer, size: layerSize }],
  };
}

export function withQuery(location: string, query: string): string {
  return `${location}${location.includes("?") ? "&" : "?"}${query}`;
}

function answer(response: http.IncomingMessage, body: Buffer): Answer {
  const json = (): unknown => JSON.parse(body.toString("utf8"));
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body,
    text: () => body.toString("utf8"),
    json,
    code() {
      try {
        return (json() as { errors?: { code?: string }[] }).errors?.[0]?.code;
      } catch {
        return undefined;
      }
    },
  };
}
