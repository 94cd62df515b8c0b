import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { describe, it } from "node:test";
import { digestOf, mediaTypes } from "../../oci/mod.ts";
import { Policy, type PolicyOptions } from "./policy.ts";
import { type RegistryOptions, startRegistry } from "./registry.ts";
import { openFilesystemStorage } from "./storage/filesystem.ts";
import { TestClient, until, withQuery } from "./testing.ts";
import { checkStorage } from "./upkeep/check.ts";
import { collectGarbage } from "./upkeep/collect.ts";

const hour = 3600_000;

async function withRegistry(
  options: RegistryOptions,
  body: (client: TestClient, registry: Awaited<ReturnType<typeof startRegistry>>) => Promise<void>,
): Promise<void> {
  await using registry = await startRegistry(options);
  await body(new TestClient(registry.url), registry);
}

async function inDirectory(body: (root: string) => Promise<void>): Promise<void> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-registry-"));
  try {
    await body(path.join(directory, "root"));
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Sends raw text and returns all that comes back until the connection ends. `sent`: once the system has all of it. */
function raw(
  port: number,
  text: string,
  more?: (socket: net.Socket) => void,
  sent: (socket: net.Socket) => void = () => undefined,
): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(text, () => sent(socket)));
    let answer = "";
    socket.on("data", (data) => {
      answer += data.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer));
    more?.(socket);
  });
}

describe("startRegistry", () => {
  it("keeps everything over a restart, and an upload goes on", () =>
    inDirectory(async (root) => {
      const content = Buffer.alloc(3_000_000, "resumed");
      let location = "";
      let digest = "";
      await withRegistry({ root }, async (client) => {
        digest = (await client.pushImage("a/b", "one")).digest;
        const begun = await client.request("POST", "/v2/a/b/blobs/uploads/");
        const first = await client.request("PATCH", String(begun.headers.location), {
          body: content.subarray(0, 2_000_000),
        });
        location = String(first.headers.location);
      });
      await withRegistry({ root }, async (client) => {
        assert.equal((await client.get("/v2/a/b/manifests/one")).headers["docker-content-digest"], digest);
        assert.equal((await client.get(location)).headers["range"], "0-1999999");
        const done = await client.request("PUT", withQuery(location, `digest=${digestOf(content)}`), {
          body: content.subarray(2_000_000),
        });
        assert.equal(done.status, 201, done.text());
        assert.deepEqual((await client.get(`/v2/a/b/blobs/${digestOf(content)}`)).body, content);
      });
      await using storage = await openFilesystemStorage(root);
      assert.deepEqual((await checkStorage(storage)).problems, []);
    }));

  it("writes index.json for other tools", () =>
    inDirectory(async (root) => {
      await withRegistry({ root }, async (client) => {
        await client.pushImage("library/app", "1");
        await client.pushImage("library/app", "2");
        await client.request("DELETE", "/v2/library/app/manifests/2");
      });
      const index = JSON.parse(fs.readFileSync(path.join(root, "index.json"), "utf8"));
      assert.deepEqual(
        index.manifests.map(
          (entry: { annotations: Record<string, string> }) =>
            entry.annotations["org.opencontainers.image.ref.name"],
        ),
        ["library/app:1"],
      );
    }));

  it("takes what came of a body whose connection broke, at any byte, and goes on from there", () =>
    withRegistry({}, async (client, { port, service }) => {
      const content = Buffer.from("0123456789".repeat(1000));
      for (const cut of [0, 1, 4999, 9999]) {
        const begun = await client.request("POST", "/v2/a/blobs/uploads/");
        const location = String(begun.headers.location);
        await raw(
          port,
          `PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n${content.subarray(0, cut)}`,
          undefined,
          (socket) => socket.destroy(),
        );
        const size = async (): Promise<number> =>
          (await service.uploads.find("a", location.split("/").at(-1)!))!.size;
        await until(async () => (await size()) === cut);
        assert.equal(await size(), cut);
        const done = await client.request("PUT", withQuery(location, `digest=${digestOf(content)}`), {
          body: content.subarray(cut),
          headers: { "Content-Range": `${cut}-9999` },
        });
        assert.equal(done.status, 201, done.text());
      }
    }));

  it("reads no endless body, and answers why", () =>
    withRegistry({ limits: { manifestBytes: 1000, blobBytes: 1000 } }, async (client, { port }) => {
      const begun = await client.request("POST", "/v2/a/blobs/uploads/");
      for (const target of [
        "PUT /v2/a/manifests/x",
        `PATCH ${begun.headers.location}`,
        "POST /v2/a/tags/list",
        "POST /v2/a/blobs/uploads/",
      ]) {
        const piece = Buffer.from(`10000\r\n${"x".repeat(0x10000)}\r\n`);
        const text = await raw(
          port,
          `${target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`,
          (socket) => {
            const more = (): void => {
              while (socket.write(piece));
            };
            socket.on("drain", more);
            socket.once("connect", more);
          },
        );
        assert.match(text, target.endsWith("uploads/") ? /^HTTP\/1.1 202/ : /^HTTP\/1.1 4(13|05)/, target);
      }
    }));

  it("answers on a connection that goes on, where a body that is refused is sent all the same", () =>
    withRegistry({ limits: { blobBytes: 1000 } }, async (client, { port }) => {
      const body = "x".repeat(3 << 20);
      for (const [framing, framed] of [
        [`Content-Length: ${body.length}`, body],
        ["Transfer-Encoding: chunked", `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`],
      ] as const) {
        const begun = await client.request("POST", "/v2/a/blobs/uploads/");
        const head = `PATCH ${begun.headers.location} HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`;
        const next = "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        const text = await raw(port, `${head}${framed}`, (socket) => {
          // Nothing is read before all is sent.
          socket.pause();
          socket.once("connect", () => socket.write(next, () => socket.resume()));
        });
        assert.match(text, /^HTTP\/1.1 413 [\s\S]*HTTP\/1.1 200 /, framing);
      }
    }));

  it("tells who asks first to go on with his body, and nobody whom it refuses", () =>
    withRegistry({ limits: { manifestBytes: 1000 } }, async (client, { port }) => {
      const ask = (target: string, length: number): string =>
        `${target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n`;
      const { location } = (await client.request("POST", "/v2/a/blobs/uploads/")).headers;
      for (const [target, status] of [
        ["PATCH /v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000", 404],
        ["PUT /v2/a/manifests/x", 413],
      ] as const) {
        const refused = await raw(port, `${ask(target, 3 << 20)}\r\n`);
        assert.match(
          refused,
          new RegExp(String.raw`^HTTP/1.1 ${status} [\s\S]*\r\nConnection: close\r\n`, "i"),
        );
      }
      const text = await raw(port, `${ask(`PATCH ${location}`, 5)}Connection: close\r\n\r\n`, (socket) =>
        socket.once("data", (data) => {
          assert.equal(data.toString("latin1"), "HTTP/1.1 100 Continue\r\n\r\n");
          socket.write("hello");
        }),
      );
      assert.match(text, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 202 [\s\S]*\r\nRange: 0-4\r\n/i);
    }));

  it("takes no body in a transfer coding that it would not undo", () =>
    withRegistry({}, async (client, { port }) => {
      const begun = await client.request("POST", "/v2/a/blobs/uploads/");
      const text = await raw(
        port,
        `PATCH ${begun.headers.location} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n`,
      );
      assert.match(text, /^HTTP\/1.1 501/);
      assert.match(text, /Connection: close/i);
      const status = await client.get(String(begun.headers.location));
      assert.equal(status.headers.range, "0-0");
    }));

  it("understands the whole URL in front, as a proxy sends it", () =>
    withRegistry({}, async (_, { port }) => {
      const text = await raw(
        port,
        "GET http://registry.example/v2/?x=http://y/z HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      );
      assert.match(text, /^HTTP\/1.1 200/);
    }));

  it("stores one blob of two clients that push it at once", () =>
    withRegistry({}, async (client, { service }) => {
      const content = Buffer.alloc(2_000_000, "same");
      await Promise.all(Array.from({ length: 8 }, (_, index) => client.pushBlob(`r${index % 2}`, content)));
      assert.deepEqual((await client.get(`/v2/r1/blobs/${digestOf(content)}`)).body, content);
      assert.deepEqual((await checkStorage(service.repositories.storage)).problems, []);
      assert.equal(service.uploads.active, 0);
    }));

  it("sends large blobs to many clients at once, each whole", () =>
    withRegistry({}, async (client) => {
      const contents = [1, 2, 3].map((seed) => {
        const content = Buffer.alloc(5_000_000 + seed);
        for (let at = 0; at < content.length; at += 4)
          content.writeUInt32LE((at * seed) >>> 0, Math.min(at, content.length - 4));
        return content;
      });
      for (const content of contents) await client.pushBlob("big", content);
      await Promise.all(
        Array.from({ length: 12 }, async (_, index) => {
          const content = contents[index % 3]!;
          const first = index * 1000;
          const got = await client.get(`/v2/big/blobs/${digestOf(content)}`, { Range: `bytes=${first}-` });
          assert.equal(digestOf(got.body), digestOf(content.subarray(first)));
        }),
      );
    }));

  it("ends quietly when a client leaves in the middle of a download", () =>
    withRegistry({}, async (client, { port, service }) => {
      const content = Buffer.alloc(30_000_000, "gone");
      const digest = await client.pushBlob("big", content);
      await raw(port, `GET /v2/big/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`, (socket) =>
        socket.once("data", () => socket.destroy()),
      );
      await until(() => service.metrics.inFlight === 0);
      assert.equal(service.metrics.inFlight, 0);
      assert.equal((await client.get(`/v2/big/blobs/${digest}`)).body.length, content.length);
    }));

  it("refuses a manifest that is too large before it is sent", () =>
    withRegistry({}, async (_, { port }) => {
      const answer = await raw(
        port,
        `PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Type: ${mediaTypes.manifest}\r\nContent-Length: 104857600\r\n\r\n`,
        (socket) => socket.once("data", () => socket.end()),
      );
      assert.match(answer, /^HTTP\/1.1 413 /);
      assert.match(answer, /SIZE_INVALID/);
    }));

  it("ends bodies that stall and connections that send nothing", () =>
    withRegistry(
      { limits: { progressMilliseconds: 200, headerMilliseconds: 300, idleMilliseconds: 600 } },
      async (client, { port, service }) => {
        // A machine that is busy for so long looks like a client that sends nothing: then all of it once more.
        let kept: number | undefined;
        await until(async () => {
          const begun = await client.request("POST", "/v2/a/blobs/uploads/").catch(() => undefined);
          if (begun?.status !== 202) return false;
          const location = String(begun.headers.location);
          const started = performance.now();
          await Promise.all([
            raw(port, `PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc`),
            raw(port, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: "),
            raw(port, ""),
          ]);
          assert.ok(performance.now() - started < 30_000);
          kept = (await service.uploads.find("a", location.split("/").at(-1)!))?.size;
          return kept === 3;
        });
        assert.equal(kept, 3);
        await until(async () => (await client.get("/v2/").catch(() => undefined))?.status === 200);
      },
    ));

  it("answers what is no HTTP, and goes on", () =>
    withRegistry({}, async (client, { port }) => {
      for (const text of [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        `GET /v2/ HTTP/1.1\r\nHost: x\r\nA: ${"b".repeat(100_000)}\r\n\r\n`,
      ]) {
        await raw(port, text, (socket) => setTimeout(() => socket.destroy(), 500));
      }
      assert.equal((await client.get("/v2/")).status, 200);
    }));

  it("answers methods and paths that it does not know", () =>
    withRegistry({}, async (client) => {
      const wrong = await client.request("PATCH", "/v2/a/manifests/x");
      assert.deepEqual(
        [wrong.status, wrong.code(), wrong.headers["allow"]],
        [405, "UNSUPPORTED", "GET, HEAD, PUT, DELETE"],
      );
      assert.equal((await client.get("/v2/a")).status, 404);
      assert.equal((await client.get("/v1/")).status, 404);
      assert.deepEqual([(await client.get("/v2/a/tags/list?n=x")).status], [400]);
      assert.equal((await client.request("POST", "/v2/__proto__/blobs/uploads/")).code(), "NAME_INVALID");
    }));

  it("pages the catalog", () =>
    withRegistry({}, async (client) => {
      for (const name of ["b", "a/x", "a", "c"]) await client.pushBlob(name, name);
      assert.deepEqual((await client.get("/v2/_catalog")).json(), { repositories: ["a", "a/x", "b", "c"] });
      const first = await client.get("/v2/_catalog?n=3");
      assert.deepEqual(first.json(), { repositories: ["a", "a/x", "b"] });
      assert.equal(first.headers["link"], '</v2/_catalog?last=b&n=3>; rel="next"');
      assert.deepEqual((await client.get("/v2/_catalog?last=b&n=3")).json(), { repositories: ["c"] });
    }));

  it("says when another one has the address or the directory", () =>
    inDirectory((root) =>
      withRegistry({ root }, async (_, { port }) => {
        await assert.rejects(startRegistry({ port }), { code: "address-in-use" });
        await assert.rejects(startRegistry({ root }), { code: "registry-root-in-use" });
      }),
    ));

  it("lets a running request end when it is stopped", async () => {
    const registry = await startRegistry({ limits: { stopMilliseconds: 50_000 } });
    const client = new TestClient(registry.url);
    const content = Buffer.alloc(20_000_000, "s");
    const begun = await client.request("POST", "/v2/a/blobs/uploads/");
    await until(() => registry.service.metrics.inFlight === 0);
    const put = client.request(
      "PUT",
      withQuery(String(begun.headers.location), `digest=${digestOf(content)}`),
      { body: content },
    );
    while (registry.service.metrics.inFlight === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await registry.stop();
    assert.equal((await put).status, 201);
    await assert.rejects(client.get("/v2/"), /ECONNREFUSED|[Cc]onnect|reset|closed/);
  });
});

describe("the policy", () => {
  it("read-only: nothing is written", () =>
    withRegistry({ readOnly: true }, async (client) => {
      for (const [method, target] of [
        ["POST", "/v2/a/blobs/uploads/"],
        ["PUT", "/v2/a/manifests/x"],
        ["DELETE", "/v2/a/manifests/x"],
        ["DELETE", `/v2/a/blobs/${digestOf(Buffer.from("x"))}`],
      ] as const) {
        const got = await client.request(method, target);
        assert.deepEqual([got.status, got.code()], [405, "UNSUPPORTED"], `${method} ${target}`);
      }
    }));
  it("immutable tags are pushed once and never deleted", () =>
    withRegistry({ rules: [{ repositories: "**", immutableTags: ["v*"] }] }, async (client) => {
      const { bytes, digest } = await client.pushImage("a", "v1");
      assert.equal((await client.pushManifest("a", "v1", bytes)).status, 201);
      const moved = await client.pushManifest("a", "v1", {
        ...JSON.parse(bytes.toString()),
        annotations: { x: "y" },
      });
      assert.deepEqual([moved.status, moved.code()], [403, "DENIED"]);
      for (const reference of ["v1", digest]) {
        assert.equal((await client.request("DELETE", `/v2/a/manifests/${reference}`)).status, 403);
      }
      assert.equal((await client.pushManifest("a", "latest", bytes)).status, 201);
    }));
  it("a quota ends pushes with 403", () =>
    withRegistry({ rules: [{ repositories: "small", quotaBytes: 1000 }] }, async (client) => {
      await client.pushBlob("small", Buffer.alloc(900));
      await assert.rejects(client.pushBlob("small", Buffer.alloc(200)), /403.*DENIED/s);
      await client.pushBlob("large", Buffer.alloc(2000));
    }));
  it("a quota holds for what was sent while there still was room for each", () =>
    withRegistry({ rules: [{ repositories: "q", quotaBytes: 10_000 }] }, async (client) => {
      const sent = await Promise.all(
        ["a", "b", "c", "d"].map(async (text) => {
          const content = Buffer.alloc(4000, text);
          const begun = await client.request("POST", "/v2/q/blobs/uploads/");
          const patched = await client.request("PATCH", String(begun.headers.location), { body: content });
          assert.equal(patched.status, 202);
          return withQuery(String(patched.headers.location), `digest=${digestOf(content)}`);
        }),
      );
      const statuses = await Promise.all(
        sent.map(async (location) => (await client.request("PUT", location)).status),
      );
      assert.deepEqual(statuses.sort(), [201, 201, 403, 403]);
    }));
  it("a quota holds for mounts that come at once", () =>
    withRegistry({ rules: [{ repositories: "q", quotaBytes: 10_000 }] }, async (client) => {
      const digests = await Promise.all(
        ["a", "b", "c", "d"].map((text) => client.pushBlob("from", Buffer.alloc(4000, text))),
      );
      const statuses = await Promise.all(
        digests.map(async (digest) => {
          const target = `/v2/q/blobs/uploads/?mount=${digest}&from=from`;
          return (await client.request("POST", target)).status;
        }),
      );
      assert.deepEqual(statuses.sort(), [201, 201, 403, 403]);
    }));

  it("a quota counts what comes again once", () =>
    withRegistry({ rules: [{ repositories: "small", quotaBytes: 500 }] }, async (client) => {
      const { bytes, layer } = await client.pushImage("other", "1");
      for (const digest of [
        layer,
        digestOf(Buffer.from('{"architecture":"amd64","os":"linux","tag":"1"}')),
      ]) {
        const mount = `/v2/small/blobs/uploads/?mount=${digest}&from=other`;
        assert.equal((await client.request("POST", mount)).status, 201);
      }
      const statuses: number[] = [];
      for (const tag of ["1", "2", "3"])
        statuses.push((await client.pushManifest("small", tag, bytes)).status);
      assert.deepEqual(statuses, [201, 201, 201]);
      assert.equal(
        (await client.request("POST", `/v2/small/blobs/uploads/?mount=${layer}&from=other`)).status,
        201,
      );
      await assert.rejects(client.pushBlob("small", Buffer.alloc(200)), /403.*DENIED/s);
    }));
});

it("says why it cannot listen", async () => {
  await using taken = await startRegistry();
  await assert.rejects(startRegistry({ port: taken.port }), {
    code: "address-in-use",
    message: `cannot listen on ${taken.address}: something else listens there`,
  });
  await assert.rejects(startRegistry({ host: "absent.invalid" }), { code: "address-unusable" });
});

describe("collectGarbage", () => {
  const grace = { graceMilliseconds: hour };
  /** A registry with a clock of its own. */
  async function withClock(
    rules: PolicyOptions,
    body: (
      client: TestClient,
      collect: (dryRun?: boolean) => ReturnType<typeof collectGarbage>,
      advance: (by: number) => void,
      registry: Awaited<ReturnType<typeof startRegistry>>,
    ) => Promise<void>,
  ): Promise<void> {
    let offset = 0;
    const now = (): number => Date.now() + offset;
    await withRegistry({ ...rules, now }, async (client, registry) => {
      const { repositories, events } = registry.service;
      const collect = (dryRun = false) =>
        collectGarbage({ repositories, events, policy: new Policy(rules), now, dryRun, ...grace });
      await body(
        client,
        collect,
        (by) => {
          offset += by;
        },
        registry,
      );
    });
  }

  it("removes what nothing names, after the grace age, and nothing else", () =>
    withClock({}, async (client, collect, advance, { service }) => {
      const image = await client.pushImage("a", "kept");
      const loose = await client.pushBlob("a", "loose");
      const dropped = await client.pushImage("b", "dropped");
      await client.request("DELETE", `/v2/b/manifests/${dropped.digest}`);
      assert.deepEqual((await collect()).blobs, 0);
      advance(2 * hour);
      const foretold = await collect(true);
      assert.equal((await client.get(`/v2/a/blobs/${loose}`)).status, 200);
      const done = await collect();
      assert.deepEqual(
        [done.links, done.blobs, done.bytes],
        [foretold.links, foretold.blobs, foretold.bytes],
      );
      assert.equal(done.links, 3);
      assert.equal((await client.get(`/v2/a/blobs/${loose}`)).status, 404);
      assert.equal((await client.get(`/v2/a/blobs/${image.layer}`)).status, 200);
      assert.equal((await client.get("/v2/a/manifests/kept")).status, 200);
      const checked = await checkStorage(service.repositories.storage);
      assert.deepEqual([checked.problems, checked.blobs, checked.repositories], [[], 3, 1]);
    }));
  it("leaves what a client was told is here", () =>
    withClock({}, async (client, collect, advance) => {
      const loose = await client.pushBlob("a", "asked for");
      advance(2 * hour);
      await client.request("HEAD", `/v2/a/blobs/${loose}`);
      await collect();
      assert.equal((await client.get(`/v2/a/blobs/${loose}`)).status, 200);
      advance(2 * hour);
      await collect();
      assert.equal((await client.get(`/v2/a/blobs/${loose}`)).status, 404);
    }));
  it("takes away nothing that is linked meanwhile, however old its bytes look", () =>
    withRegistry({}, async (client, { service }) => {
      const { repositories, policy } = service;
      const { blobs } = repositories.storage;
      const garbage = await client.pushBlob("a", "garbage");
      assert.equal((await client.request("DELETE", `/v2/a/blobs/${garbage}`)).status, 202);
      const { layer: other } = await client.pushImage("other", "x");
      const list = blobs.list.bind(blobs);
      let pushed: Awaited<ReturnType<TestClient["pushImage"]>> | undefined;
      let arriving: Promise<void> | undefined;
      const waiting = Promise.withResolvers<void>();
      const late = digestOf(Buffer.from("late"));
      // By now the sweep knows what is linked.
      blobs.list = async function* () {
        pushed = await client.pushImage("new", "x");
        const mount = `/v2/new/blobs/uploads/?mount=${other}&from=other`;
        assert.equal((await client.request("POST", mount)).status, 201);
        assert.equal((await client.request("DELETE", `/v2/other/blobs/${other}`)).status, 202);
        await new Promise<void>((stored) => {
          arriving = repositories.arrival(late, async () => {
            await repositories.exclusivelyBlob(late, () => blobs.put(late, Buffer.from("late")));
            stored();
            await waiting.promise;
            await repositories.linkBlob("new", late, 4);
          });
        });
        yield* list();
      };
      const now = (): number => Date.now() + 3600_000;
      const events = { emit: () => undefined };
      const report = await collectGarbage({ repositories, policy, events, now, graceMilliseconds: 0 });
      assert.equal(report.blobs, 1);
      waiting.resolve();
      await arriving;
      assert.equal((await client.get(`/v2/new/manifests/x`)).status, 200);
      for (const digest of [pushed!.config, pushed!.layer, other, late]) {
        assert.equal((await client.get(`/v2/new/blobs/${digest}`)).status, 200, digest);
      }
      assert.equal(await blobs.stat(garbage), undefined);
    }));

  it("leaves a damaged repository alone, and collects the others", () =>
    inDirectory(async (root) => {
      let digest = "";
      await withRegistry({ root }, async (client) => {
        ({ digest } = await client.pushImage("bad", "1"));
        await client.pushBlob("bad", "may be named by what cannot be read");
        await client.pushImage("good", "1");
        await client.pushBlob("good", "nobody names it");
      });
      fs.writeFileSync(path.join(root, "blobs", digest.replace(":", "/")), "rotten");
      await withRegistry({ root }, async (client, { service }) => {
        const report = await collectGarbage({
          repositories: service.repositories,
          policy: service.policy,
          events: { emit: () => undefined },
          now: () => Date.now() + 2 * hour,
          ...grace,
        });
        assert.deepEqual([report.links, report.blobs], [1, 1]);
        assert.deepEqual(
          report.damaged.map(({ repository }) => repository),
          ["bad"],
        );
        const kept = digestOf(Buffer.from("may be named by what cannot be read"));
        assert.equal((await client.get(`/v2/bad/blobs/${kept}`)).status, 200);
        assert.equal((await client.get("/v2/good/manifests/1")).status, 200);
      });
    }));
  it("runs beside pushes, and no acknowledged image is damaged", () =>
    withClock({}, async (client, collect, _, { service }) => {
      const pushes = Array.from({ length: 24 }, async (_unused, index) => {
        const { digest } = await client.pushImage(`r${index % 3}`, `t${index}`);
        if (index % 4 === 0) await client.request("DELETE", `/v2/r${index % 3}/manifests/${digest}`);
      });
      const turns = (async () => {
        for (let turn = 0; turn < 10; turn++) await collect();
      })();
      await Promise.all([...pushes, turns]);
      const checked = await checkStorage(service.repositories.storage);
      assert.deepEqual([checked.problems, checked.incomplete, checked.tags], [[], [], 18]);
    }));
  it("keeps the newest tags, and what hangs on tagged manifests", () =>
    withClock(
      {
        rules: [{ repositories: "**", retention: { keepTags: 2, exceptTags: ["stable"], untaggedDays: 1 } }],
      },
      async (client, collect, advance) => {
        for (const tag of ["stable", "1", "2", "3"]) {
          await client.pushImage("a", tag);
          advance(1000);
        }
        const kept = await client.request("HEAD", "/v2/a/manifests/3");
        const referrer = Buffer.from(
          JSON.stringify({
            schemaVersion: 2,
            mediaType: mediaTypes.index,
            manifests: [],
            subject: {
              mediaType: mediaTypes.manifest,
              digest: kept.headers["docker-content-digest"],
              size: 1,
            },
          }),
        );
        await client.pushManifest("a", digestOf(referrer), referrer, mediaTypes.index);
        advance(48 * hour);
        const done = await collect();
        assert.deepEqual(done.tags, [{ repository: "a", tag: "1" }]);
        assert.equal(done.manifests.length, 1);
        assert.deepEqual((await client.get("/v2/a/tags/list")).json(), {
          name: "a",
          tags: ["2", "3", "stable"],
        });
        assert.equal((await client.request("HEAD", `/v2/a/manifests/${digestOf(referrer)}`)).status, 200);
      },
    ));
});

describe("checkStorage", () => {
  it("finds each kind of damage", () =>
    inDirectory(async (root) => {
      let image: Awaited<ReturnType<TestClient["pushImage"]>> | undefined;
      await withRegistry({ root }, async (client) => {
        image = await client.pushImage("a", "x");
        await client.pushImage("b", "y");
      });
      const blob = (digest: string): string => path.join(root, "blobs", digest.replace(":", "/"));
      fs.appendFileSync(blob(image!.layer), "rot");
      fs.rmSync(blob(image!.config));
      fs.writeFileSync(path.join(root, "repositories/b/_tags/y"), "{");
      fs.writeFileSync(path.join(root, "repositories/b/_tags/z"), JSON.stringify({ digest: image!.digest }));
      await using storage = await openFilesystemStorage(root);
      const codes = (await checkStorage(storage)).problems.map(({ code }) => code).sort();
      assert.deepEqual(codes, [
        "blob-corrupt",
        "blob-missing",
        "blob-missing",
        "record-corrupt",
        "tag-dangling",
      ]);
    }));

  it(
    "finds nothing after kill -9 in the middle of writes, and every acknowledged push is there",
    { timeout: 300_000 },
    () =>
      inDirectory(async (root) => {
        const acknowledged: string[] = [];
        for (let turn = 0; turn < 4; turn++) {
          const server = spawn(
            process.execPath,
            [path.join(import.meta.dirname, "testing-server.ts"), root],
            {
              stdio: ["ignore", "pipe", "inherit"],
            },
          );
          const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
          const url = await new Promise<string>((resolve, reject) => {
            server.stdout.once("data", (data: Buffer) => resolve(data.toString().trim()));
            ended.then(() => reject(new Error("the server ended")));
          });
          const client = new TestClient(url);
          const pusher = async (lane: number): Promise<void> => {
            for (let count = 0; ; count++) {
              const name = `lane${lane}`;
              const tag = `t${turn}-${count}`;
              const { digest } = await client.pushImage(name, tag);
              acknowledged.push(`${name}/manifests/${tag} ${digest}`);
              if (count % 5 === 4) {
                const index = acknowledged.findIndex((entry) => entry.startsWith(`${name}/`));
                const [gone] = acknowledged.splice(index, 1);
                await client.request("DELETE", `/v2/${gone!.split(" ")[0]}`);
              }
            }
          };
          const lanes = [0, 1, 2].map((lane) => pusher(lane).catch(() => undefined));
          // On a machine that is busy nothing may be acknowledged by then.
          const before = acknowledged.length;
          const moment = 150 + turn * 100;
          const deadline = performance.now() + 60_000;
          do await new Promise((resolve) => setTimeout(resolve, moment));
          while (acknowledged.length === before && performance.now() < deadline);
          server.kill("SIGKILL");
          // Its connections may be closed before its lock.
          await Promise.all([...lanes, ended]);
        }
        await withRegistry({ root }, async (client, { service }) => {
          const checked = await checkStorage(service.repositories.storage);
          assert.deepEqual([checked.problems, checked.incomplete], [[], []]);
          assert.ok(acknowledged.length > 0);
          for (const entry of acknowledged) {
            const [target, digest] = entry.split(" ");
            const got = await client.get(`/v2/${target}`);
            assert.equal(got.headers["docker-content-digest"], digest, entry);
          }
        });
      }),
  );
});
