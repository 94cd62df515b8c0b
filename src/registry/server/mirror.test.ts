/** A mirror whose upstream fails: whose fault it is, and that nothing waits for ever. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { digestOf, mediaTypes } from "../../oci/mod.ts";
import type { MirrorOptions } from "./mirror.ts";
import { startRegistry } from "./registry.ts";
import { TestClient } from "./testing.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A registry whose upstream is `answer`. */
async function withUpstream(
  answer: Answer,
  body: (client: TestClient, mirror: Awaited<ReturnType<typeof startRegistry>>) => Promise<void>,
  options: Partial<MirrorOptions> = {},
): Promise<void> {
  const upstream = createServer(answer);
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  try {
    await using mirror = await startRegistry({ mirror: { url, ...options } });
    await body(new TestClient(mirror.url), mirror);
  } finally {
    upstream.close();
    upstream.closeAllConnections();
  }
}

const blob = Buffer.alloc(200_000, "layer");
const digest = digestOf(blob);

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
        assert.equal((await client.request("HEAD", `/v2/a/blobs/${digest}`)).status, 502);
      },
    ));

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
        await assert.rejects(client.get(`/v2/a/blobs/${digest}`));
        broken = false;
        // A machine that is busy for so long looks like an upstream that stopped: then once more.
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
