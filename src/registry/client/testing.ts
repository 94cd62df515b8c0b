/** A registry that misbehaves as told, for the tests of this folder. */
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { VitrineError } from "../../base/mod.ts";
import { type ImageReference, memoryContent, parseReference, sourceOf } from "../../image/mod.ts";
import { type Digest, digestOf, mediaTypes } from "../../oci/mod.ts";
import { openRegistryClient } from "./client.ts";
import type { ClientOptions, RegistryClient } from "./types.ts";

export interface Asked {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** How many requests for this method and target came before. */
  readonly before: number;
}

export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array | string;
  /** Content-Length as it shall be said; default the truth, null for chunks. */
  readonly length?: number | null;
  /** Bytes of the body after which the connection is cut. */
  readonly cutAt?: number;
  /** These bytes instead of all of the above, then the end. */
  readonly raw?: Uint8Array | string;
  /** A body that goes on until nobody reads. */
  readonly endless?: boolean;
  /** Milliseconds between single bytes of the body. */
  readonly drip?: number;
  /** Never answers. */
  readonly silent?: boolean;
}

export interface Scripted {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly asked: readonly Asked[];
  /** `host/NAME` */
  reference(name: string): ImageReference;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A server whose every answer the test gives. `reading` false lets it answer before the body came. */
export async function startScripted(
  answer: (asked: Asked) => Answer | Promise<Answer>,
  options: { readonly cutUploadAt?: (asked: Omit<Asked, "body">) => number | undefined } = {},
): Promise<Scripted> {
  const asked: Asked[] = [];
  const counts = new Map<string, number>();
  const server = http.createServer(async (request, response) => {
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    const method = request.method ?? "";
    const target = request.url ?? "";
    const before = counts.get(`${method} ${target}`) ?? 0;
    counts.set(`${method} ${target}`, before + 1);
    const head = { method, target, headers: request.headers, before };
    const cut = options.cutUploadAt?.(head);
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (cut !== undefined && bytes >= cut) {
          const part = { ...head, body: Buffer.concat(chunks).subarray(0, cut) };
          asked.push(part);
          await answer(part);
          request.socket.destroy();
          return;
        }
      }
    } catch {
      return;
    }
    const whole: Asked = { ...head, body: Buffer.concat(chunks) };
    asked.push(whole);
    await give(await answer(whole), response, method);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    asked,
    reference: (name) => parseReference(`${host}/${name}`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function give(answer: Answer, response: http.ServerResponse, method: string): Promise<void> {
  const { socket } = response;
  if (answer.silent === true || socket === null) return;
  if (answer.raw !== undefined) {
    socket.end(answer.raw);
    return;
  }
  const body = Buffer.from(answer.body ?? "");
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(answer.headers ?? {})) {
    headers[name] = typeof value === "string" ? value : [...value];
  }
  if (answer.length !== null && answer.endless !== true)
    headers["content-length"] = String(answer.length ?? body.length);
  response.writeHead(answer.status ?? 200, headers);
  if (method === "HEAD") {
    response.end();
    return;
  }
  if (answer.endless === true) {
    const piece = Buffer.alloc(64 * 1024, 1);
    while (!socket.destroyed) {
      if (!response.write(piece)) {
        await new Promise<void>((resolve) => {
          const go = (): void => {
            response.off("drain", go);
            socket.off("close", go);
            resolve();
          };
          response.on("drain", go);
          socket.on("close", go);
        });
      }
    }
    return;
  }
  if (answer.drip !== undefined) {
    for (const byte of body) {
      if (socket.destroyed) return;
      response.write(Uint8Array.of(byte));
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          socket.off("close", done);
          resolve();
        };
        const timer = setTimeout(done, answer.drip);
        socket.once("close", done);
      });
    }
    response.end();
    return;
  }
  if (answer.cutAt !== undefined) {
    response.flushHeaders();
    if (answer.cutAt === 0) socket.destroySoon();
    else response.write(body.subarray(0, answer.cutAt), () => socket.destroySoon());
    return;
  }
  response.end(body);
}

/** Short times, no files of the machine. */
export function openTestClient(options: Partial<ClientOptions> = {}): RegistryClient & AsyncDisposable {
  const client = openRegistryClient({
    environment: {},
    uid: 0,
    systemDirectory: "/nonexistent",
    ...options,
    // Long, because a machine that is busy is silent at times; what is about silence says how long.
    timing: {
      connect: 20_000,
      idle: 20_000,
      backoff: 2,
      longestPause: 50,
      attempts: 4,
      ...options.timing,
    },
  });
  return Object.assign(client, { [Symbol.asyncDispose]: async () => client.close() });
}

/** An image of one layer, in memory. */
export function testImage(layer: Uint8Array) {
  const blobs = new Map<Digest, Uint8Array>();
  const add = (bytes: Uint8Array, mediaType: string) => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const content = add(layer, mediaTypes.layer);
  const config = add(
    Buffer.from(
      JSON.stringify({
        architecture: "amd64",
        os: "linux",
        rootfs: { type: "layers", diff_ids: [content.digest] },
      }),
    ),
    mediaTypes.config,
  );
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config,
    layers: [content],
  });
  const manifest = add(Buffer.from(text), mediaTypes.manifest);
  const bytes = (digest: Digest): Uint8Array => blobs.get(digest)!;
  return {
    layer: content,
    config,
    manifest,
    blobs,
    bytes,
    source: sourceOf(memoryContent(blobs), manifest, []),
  };
}

/** The code of the error that a promise ends with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof VitrineError) return error.code;
    throw error;
  }
  return "no error";
}

export async function drain(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
