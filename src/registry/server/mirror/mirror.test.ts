/** A mirror whose upstream fails: whose fault it is, and that nothing waits for ever. */
import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { digestOf, mediaTypes } from "../../../oci/mod.ts";
import { type Registry, type RegistryOptions, startRegistry } from "../registry.ts";
import { TestClient } from "../testing.ts";
import type { MirrorOptions } from "./mirror.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A registry whose upstream is `answer`. */
async function withUpstream(
  answer: Answer,
  body: (client: TestClient, mirror: Registry) => Promise<void>,
  options: Partial<MirrorOptions> = {},
  limits: RegistryOptions["limits"] = {},
): Promise<void> {
  const upstream = createServer(answer);
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  try {
    await using mirror = await startRegistry({ mirror: { url, ...options }, limits });
    await body(new TestClient(mirror.url), mirror);
  } finally {
    upstream.close();
    upstream.closeAllConnections();
  }
}

const blob = Buffer.alloc(200_000, "layer");
const digest = digestOf(blob);

function manifestOf(size: number): string {
  const config = { mediaType: mediaTypes.config, digest: digestOf(Buffer.from("{}")), size: 2 };
  const layers = [{ mediaType: mediaTypes.layer, digest, size }];
  return JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers });
}

/** Its last byte is sent when it is verified, which is before it is filed. */
async function kept({ service }: Registry): Promise<void> {
  while ((await service.repositories.blob("a", digest)) === undefined) await setImmediate();
}

/** No upload is under way any more: the client's connection may end before its file is gone. */
async function nothingLeft({ service }: Registry): Promise<void> {
  const directory = service.repositories.storage.uploadDirectory;
  while ((await fs.readdir(directory)).length > 0) await setImmediate();
}

describe("a mirror's upstream", () => {
  it("that sends what cannot be read is a bad gateway", () =>
    withUpstream(
      (_, response) => response.writeHead(200, { "Content-Type": mediaTypes.manifest }).end("{no"),
      async (client) => {
        for (const path of ["manifests/v1", "tags/list", `referrers/${digest}`]) {
          const got = await client.get(`/v2/a/${path}`);
          assert.deepEqual([got.status, got.code()], [502, "UNKNOWN"], path);
          assert.match(got.text(), /upstream/, path);
        }
      },
    ));

  it("that does not tell a blob's size has not said that there is none", () =>
    withUpstream(
      (_, response) => {
        response.writeHead(200, { "Transfer-Encoding": "chunked" }).end();
      },
      async (client) => {
        const head = await client.request("HEAD", `/v2/a/blobs/${digest}`);
        assert.deepEqual([head.status, head.headers["content-length"]], [200, undefined]);
      },
    ));

  it("that sends a blob in chunks is passed on in chunks, and kept", async () => {
    let asked = 0;
    await withUpstream(
      (_, response) => {
        asked += 1;
        response.write(blob.subarray(0, 70_000));
        response.end(blob.subarray(70_000));
      },
      async (client, mirror) => {
        const range = await client.get(`/v2/a/blobs/${digest}`, { Range: "bytes=5-" });
        assert.deepEqual([range.status, range.headers["transfer-encoding"]], [200, "chunked"]);
        assert.deepEqual(range.body, blob);
        await kept(mirror);
        const again = await client.get(`/v2/a/blobs/${digest}`);
        assert.deepEqual([again.headers["content-length"], asked], [String(blob.length), 1]);
        assert.deepEqual(again.body, blob);
      },
    );
  });

  it("that sends an empty blob in chunks has sent it", async () => {
    const empty = digestOf(Buffer.alloc(0));
    await withUpstream(
      (_, response) => {
        response.writeHead(200, { "Transfer-Encoding": "chunked" }).end();
      },
      async (client) => {
        const got = await client.get(`/v2/a/blobs/${empty}`);
        assert.deepEqual([got.status, got.body.length], [200, 0]);
      },
    );
  });

  for (const [what, answer] of [
    ["", blob],
    [", not more", Buffer.concat([blob, blob])],
    [", not less", blob.subarray(1)],
    [", and the same", Buffer.alloc(blob.length)],
  ] as const) {
    it(`that sends in chunks what a manifest names has to send as much as that says${what}`, async () => {
      const manifest = manifestOf(blob.length);
      await withUpstream(
        (incoming, response) => {
          if (incoming.url?.includes("/manifests/")) {
            response.writeHead(200, { "Content-Type": mediaTypes.manifest }).end(manifest);
          } else {
            response.writeHead(200, { "Transfer-Encoding": "chunked" });
            response.end(incoming.method === "HEAD" ? undefined : answer);
          }
        },
        async (client, mirror) => {
          assert.equal((await client.get("/v2/a/manifests/v1")).status, 200);
          const head = await client.request("HEAD", `/v2/a/blobs/${digest}`);
          assert.equal(head.headers["content-length"], String(blob.length));
          const get = client.get(`/v2/a/blobs/${digest}`);
          if (answer === blob) {
            const got = await get;
            assert.equal(got.headers["content-length"], String(blob.length));
            assert.deepEqual(got.body, blob);
          } else {
            await assert.rejects(get);
          }
          await nothingLeft(mirror);
        },
      );
    });
  }

  for (const [what, wrong] of [
    ["other bytes", Buffer.alloc(blob.length)],
    ["more than may be kept", Buffer.alloc(2 * blob.length)],
    ["too little", blob.subarray(0, 1000)],
  ] as const) {
    it(`that sends ${what} in chunks leaves nothing, and the client without an end`, async () => {
      await withUpstream(
        (_, response) => {
          response.write(wrong.subarray(0, 500));
          response.end(wrong.subarray(500));
        },
        async (client, mirror) => {
          await assert.rejects(client.get(`/v2/a/blobs/${digest}`));
          await nothingLeft(mirror);
          assert.equal(await mirror.service.repositories.storage.blobs.stat(digest), undefined);
        },
        {},
        { blobBytes: blob.length },
      );
    });
  }

  it("whose answer breaks off in the middle of chunks leaves nothing", async () => {
    await withUpstream(
      (_, response) => {
        response.write(blob.subarray(0, 500), () => response.destroy());
      },
      async (client, mirror) => {
        await assert.rejects(client.get(`/v2/a/blobs/${digest}`));
        await nothingLeft(mirror);
      },
    );
  });

  for (const [what, give, expected] of [
    [
      "is busy",
      (response: ServerResponse) => response.writeHead(429, { "Retry-After": "7" }).end(),
      [429, "7"],
    ],
    ["talks nonsense", (response: ServerResponse) => response.end("<html>"), [502, undefined]],
    ["hangs up", (response: ServerResponse) => response.destroy(), [502, undefined]],
    ["refuses", (response: ServerResponse) => response.writeHead(401).end(), [502, undefined]],
    ["gives none", (response: ServerResponse) => response.end("{}"), [502, undefined]],
  ] as const) {
    it(`whose token service ${what} is told as such`, () =>
      withUpstream(
        (asked, response) => {
          if (asked.url?.startsWith("/token")) give(response);
          else response.writeHead(401, { "WWW-Authenticate": 'Bearer realm="/token"' }).end();
        },
        async (client) => {
          const got = await client.get("/v2/a/manifests/v1");
          assert.deepEqual([got.status, got.headers["retry-after"]], expected);
        },
      ));
  }

  it("with https does not get the password onto plain http", async () => {
    let asked = 0;
    await withUpstream(
      (incoming, response) => {
        asked += 1;
        assert.equal(incoming.headers.authorization, undefined);
        response.writeHead(401, { "WWW-Authenticate": 'Bearer realm="ftp://127.0.0.1/token"' }).end();
      },
      async (client) => assert.equal((await client.get("/v2/a/manifests/v1")).status, 502),
      { user: "u", password: "p" },
    );
    assert.equal(asked, 1);
  });

  it("that stops in the middle is given up, and asked again by the next", async () => {
    let broken = true;
    await withUpstream(
      (_, response) => {
        response.writeHead(200, { "Content-Length": blob.length, "Content-Type": mediaTypes.manifest });
        if (broken) response.write(blob.subarray(0, 1000));
        else response.end(blob);
      },
      async (client) => {
        assert.equal((await client.get("/v2/a/manifests/v1")).status, 502);
        // A machine that is busy for so long looks like an upstream that stopped before: then once more.
        const cut = (): Promise<number | "cut"> =>
          client.get(`/v2/a/blobs/${digest}`).then(
            (got) => got.status,
            () => "cut",
          );
        let outcome = await cut();
        while (outcome === 502) outcome = await cut();
        assert.equal(outcome, "cut");
        broken = false;
        const again = async (): Promise<Buffer> => {
          while (true) {
            const got = await client.get(`/v2/a/blobs/${digest}`).catch(() => undefined);
            if (got?.status === 200) return got.body;
          }
        };
        assert.deepEqual(await again(), blob);
      },
      { idleMilliseconds: 100 },
    );
  });

  it("that is slow is passed on as it comes", async () => {
    const { promise: seen, resolve: see } = Promise.withResolvers<void>();
    await withUpstream(
      (_, response) => {
        response.writeHead(200, { "Content-Length": blob.length }).write(blob.subarray(0, 1000));
        seen.then(() => response.end(blob.subarray(1000)));
      },
      async (_, { url }) => {
        const chunks: Uint8Array[] = [];
        await new Promise<void>((resolve, reject) => {
          const call = request(`${url}/v2/a/blobs/${digest}`, { agent: false }, (response) => {
            response.on("data", (chunk: Uint8Array) => {
              chunks.push(chunk);
              see();
            });
            response.on("end", resolve);
          });
          call.on("error", reject);
          call.end();
        });
        assert.deepEqual(Buffer.concat(chunks), blob);
      },
    );
  });
});
