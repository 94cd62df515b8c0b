import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VitrineError } from "../../base/mod.ts";
import { digestOf, mediaTypes, parseIndex } from "../../oci/mod.ts";
import { referrersTag } from "../protocol/mod.ts";
import { pushImage } from "./push.ts";
import { type Answer, type Asked, codeOf, openTestClient, startScripted, testImage } from "./testing.ts";

const layer = Buffer.from(Uint8Array.from({ length: 4000 }, (_, at) => (at * 13 + (at >> 8)) & 255));
const image = testImage(layer);

/** A small registry that keeps what it is sent, with faults put in by the test. */
async function startKeeper(
  fault: (asked: Asked) => Answer | undefined = () => undefined,
  cut?: (asked: Omit<Asked, "body">) => number | undefined,
  /** Digests that the registry finds in its other repositories. */
  found: ReadonlySet<string> = new Set(),
) {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, Buffer>();
  const sessions = new Map<string, Buffer>();
  /** The location that was given last: an older one leads nowhere, as where the offset is kept in it. */
  const told = new Map<string, string>();
  let count = 0;
  const answer = (asked: Asked): Answer => {
    const url = new URL(asked.target, "http://x");
    const [, , , kind, id] = url.pathname.split("/");
    const place = (session: string): Answer["headers"] => {
      const held = sessions.get(session)!.length;
      const location = `/v2/app/blobs/uploads/${session}?state=a%2Bb&held=${held}`;
      const isCut = Number(asked.headers["content-length"] ?? 0) > asked.body.length;
      if (!isCut) told.set(session, location);
      return {
        location,
        range: `0-${Math.max(0, held - 1)}`,
      };
    };
    if (url.pathname === "/v2/") return {};
    const broken = fault(asked);
    if (broken !== undefined) return broken;
    if (kind === "manifests") {
      if (asked.method === "PUT") {
        const tags = url.searchParams.getAll("tag");
        for (const name of [id!, ...tags]) manifests.set(name, asked.body);
        return {
          status: 201,
          headers: { location: "/x", ...(tags.length > 0 && { "oci-tag": tags.join(", ") }) },
        };
      }
      const kept = manifests.get(id!);
      return kept === undefined
        ? { status: 404 }
        : { headers: { "content-type": mediaTypes.index }, body: kept };
    }
    if (kind === "referrers") return { status: 404 };
    if (asked.method === "HEAD") return blobs.has(id!) ? {} : { status: 404 };
    if (asked.method === "POST") {
      const isKnown = url.searchParams.get("from") === null && found.has(url.searchParams.get("mount")!);
      if (url.searchParams.get("from") === "has-it" || isKnown)
        return { status: 201, headers: { location: "/x" } };
      const session = String(++count);
      sessions.set(session, Buffer.alloc(0));
      return { status: 202, headers: place(session) };
    }
    const session = url.pathname.split("/").at(-1)!;
    const held = sessions.get(session);
    if (held === undefined) return { status: 404 };
    assert.equal(url.searchParams.get("state"), "a+b");
    if (asked.method === "GET" && told.get(session) !== asked.target) return { status: 404 };
    if (asked.method === "GET") return { status: 204, headers: place(session) };
    if (asked.method === "DELETE") return { status: 204 };
    const range = /^(\d+)-\d+$/.exec(String(asked.headers["content-range"] ?? ""));
    if (range !== null && Number(range[1]) !== held.length) return { status: 416, headers: place(session) };
    const now = Buffer.concat([held, asked.body]);
    sessions.set(session, now);
    if (asked.method === "PATCH") return { status: 202, headers: place(session) };
    const digest = url.searchParams.get("digest")!;
    if (digestOf(now) !== digest) {
      return { status: 400, body: JSON.stringify({ errors: [{ code: "DIGEST_INVALID" }] }) };
    }
    blobs.set(digest, now);
    return { status: 201, headers: { location: "/x" } };
  };
  const server = await startScripted(answer, cut === undefined ? {} : { cutUploadAt: cut });
  return { server, blobs, manifests };
}

async function push(keeper: Awaited<ReturnType<typeof startKeeper>>, options = {}) {
  await using client = openTestClient();
  const repository = await client.repository(keeper.server.reference("app"));
  return await codeOf(pushImage(repository, image.source, { tags: ["v1"], ...options }));
}

const methods = (asked: readonly Asked[]) =>
  asked.filter(({ target }) => target.includes("uploads")).map(({ method }) => method);

describe("push", () => {
  it("sends blobs whole, then the manifest under its tags", async () => {
    const keeper = await startKeeper();
    await using _server = keeper.server;
    assert.equal(await push(keeper, { tags: ["v1", "latest"] }), "no error");
    assert.ok(keeper.blobs.get(image.layer.digest)!.equals(layer));
    assert.deepEqual([...keeper.manifests.keys()], [image.manifest.digest, "v1", "latest"]);
    assert.equal(await push(keeper), "no error");
    assert.equal(methods(keeper.server.asked).length, 4);
  });

  it("mounts what another repository has, and uploads where that fails", async () => {
    const keeper = await startKeeper();
    await using _server = keeper.server;
    assert.equal(await push(keeper, { mountFrom: () => ["has-it"] }), "no error");
    assert.equal(keeper.blobs.size, 0);
    assert.equal(await push(keeper, { mountFrom: () => ["has-not"] }), "no error");
    assert.equal(keeper.blobs.size, 2);
  });

  it("lets the registry find a blob in its other repositories, and uploads where it refuses to look", async () => {
    const keeper = await startKeeper(undefined, undefined, new Set([image.layer.digest]));
    await using _server = keeper.server;
    assert.equal(await push(keeper), "no error");
    assert.deepEqual([...keeper.blobs.keys()], [image.config.digest]);
    const old = await startKeeper(({ method, target }) =>
      method === "POST" && target.includes("mount=") ? { status: 400 } : undefined,
    );
    await using _old = old.server;
    assert.equal(await push(old), "no error");
    assert.equal(old.blobs.size, 2);
  });

  it("sends chunks of the length asked for", async () => {
    const keeper = await startKeeper();
    await using _server = keeper.server;
    assert.equal(await push(keeper, { chunkBytes: 1500, parallel: 1 }), "no error");
    assert.ok(keeper.blobs.get(image.layer.digest)!.equals(layer));
    const ranges = keeper.server.asked.flatMap(({ headers }) => headers["content-range"] ?? []);
    assert.ok(ranges.includes("1500-2999") && ranges.includes("3000-3999"));
  });

  it("goes on with what the registry has after a cut at any byte", async () => {
    for (const at of [1, 2, 1000, 3999]) {
      let cuts = 0;
      const keeper = await startKeeper(undefined, ({ method, headers }) =>
        method === "PUT" && headers["content-length"] === "4000" && cuts++ === 0 ? at : undefined,
      );
      await using _server = keeper.server;
      assert.equal(await push(keeper), "no error", `cut at ${at}`);
      assert.ok(keeper.blobs.get(image.layer.digest)!.equals(layer), `cut at ${at}`);
      if (at > 1) assert.ok(methods(keeper.server.asked).includes("GET"));
    }
  });

  it("sends chunks where a proxy refuses a large body", async () => {
    const keeper = await startKeeper(({ method, body }) =>
      method === "PUT" && body.length === 4000 ? { status: 413 } : undefined,
    );
    await using _server = keeper.server;
    assert.equal(await push(keeper), "no error");
    assert.ok(keeper.blobs.get(image.layer.digest)!.equals(layer));
  });

  it("sends less at once where connections break, and goes on while it gets somewhere", async () => {
    const mebibyte = 1024 * 1024;
    const bytes = Buffer.alloc(8 * mebibyte, "layer");
    const large = testImage(bytes);
    let patches = 0;
    // Keeps next to nothing of what was cut off, and breaks every other of the small ones too.
    const keeper = await startKeeper(undefined, ({ method, headers }) => {
      if (Number(headers["content-length"] ?? 0) > 2 * mebibyte) return 100;
      if (method !== "PATCH") return undefined;
      patches += 1;
      return patches % 2 === 0 ? 100 : undefined;
    });
    await using _server = keeper.server;
    await using client = openTestClient();
    const repository = await client.repository(keeper.server.reference("app"));
    await pushImage(repository, large.source, { tags: ["v1"] });
    assert.ok(keeper.blobs.get(large.layer.digest)!.equals(bytes));
    assert.ok(patches >= 7, `${patches}`);
  });

  it("gives up when every try breaks", async () => {
    const keeper = await startKeeper(undefined, ({ method, target }) =>
      target.includes("uploads") && method !== "POST" ? 0 : undefined,
    );
    await using _server = keeper.server;
    assert.equal(await push(keeper), "upload-broken");
    assert.equal(keeper.manifests.size, 0);
  });

  it("tries again where a gateway fails, and does not send what had arrived", async () => {
    const isClose = ({ method, target }: Omit<Asked, "body">): boolean =>
      method === "PUT" && target.includes("/blobs/uploads/");
    const digestOfClose = ({ target }: Asked): string =>
      new URL(target, "http://x").searchParams.get("digest")!;
    const run = async (answer: (asked: Asked, times: number) => Answer | undefined) => {
      const closes: string[] = [];
      const keeper = await startKeeper((asked) => {
        if (!isClose(asked)) return undefined;
        closes.push(digestOfClose(asked));
        return answer(asked, closes.filter((digest) => digest === closes.at(-1)).length);
      });
      await using _server = keeper.server;
      const code = await push(keeper);
      return { code, closes, keeper };
    };
    const mended = await run((_asked, times) => (times < 3 ? { status: 502 } : undefined));
    assert.equal(mended.code, "no error");
    assert.equal(mended.closes.length, 6, "three for each of two blobs");
    const never = await run(() => ({ status: 503 }));
    assert.equal(never.code, "registry-unavailable");
    const limited = await run(() => ({ status: 429, headers: { "retry-after": "3600" } }));
    assert.equal(limited.code, "registry-rate-limited");
    assert.equal(new Set(limited.closes).size, limited.closes.length, "nobody waits for an hour");
    const arrived = new Map<string, Buffer>();
    const keeper = await startKeeper((asked) => {
      if (isClose(asked)) {
        assert.ok(!arrived.has(digestOfClose(asked)), "it is not sent again");
        arrived.set(digestOfClose(asked), asked.body);
        return { status: 504 };
      }
      const digest = asked.target.split("/").at(-1)!;
      return asked.method === "HEAD" && arrived.has(digest) ? {} : undefined;
    });
    await using _server = keeper.server;
    assert.equal(await push(keeper), "no error");
    assert.equal(arrived.size, 2);
  });

  it("tells a registry that got something else from a source that is broken", async () => {
    const keeper = await startKeeper(({ method, target }) =>
      method === "PUT" && target.includes("uploads")
        ? { status: 400, body: JSON.stringify({ errors: [{ code: "DIGEST_INVALID" }] }) }
        : undefined,
    );
    await using _server = keeper.server;
    assert.equal(await push(keeper), "upload-digest-refused");
    const source = { ...image.source, openBlob: () => failing() };
    const good = await startKeeper();
    await using _other = good.server;
    await using client = openTestClient();
    const repository = await client.repository(good.server.reference("app"));
    assert.equal(await codeOf(pushImage(repository, source, { tags: ["v1"] })), "content-digest-mismatch");
    assert.equal(good.blobs.size, 0);
    assert.equal(good.manifests.size, 0);
  });

  it("tells of locations that lead nowhere", async () => {
    const keeper = await startKeeper(({ method }) => (method === "POST" ? { status: 202 } : undefined));
    await using _server = keeper.server;
    assert.equal(await push(keeper), "registry-malformed-response");
  });
});

describe("referrers without the API", () => {
  it("are kept under a tag, once, and leave it when deleted", async () => {
    const keeper = await startKeeper(({ method }) => (method === "DELETE" ? { status: 202 } : undefined));
    await using _server = keeper.server;
    await using client = openTestClient();
    const repository = await client.repository(keeper.server.reference("app"));
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        artifactType: "test/sbom",
        config: image.config,
        layers: [],
        subject: image.manifest,
        annotations: { a: "b" },
      }),
    );
    const artifact = { bytes, mediaType: mediaTypes.manifest, digest: digestOf(bytes) };
    await repository.putManifest(artifact, { tags: [] });
    await repository.putManifest(artifact, { tags: [] });
    const list = keeper.manifests.get(referrersTag(image.manifest.digest))!;
    assert.equal(parseIndex(list).index.manifests.length, 1);
    const [entry] = await repository.referrers(image.manifest.digest, "test/sbom");
    assert.deepEqual(entry, {
      mediaType: mediaTypes.manifest,
      digest: artifact.digest,
      size: bytes.length,
      artifactType: "test/sbom",
      annotations: { a: "b" },
    });
    assert.deepEqual(await repository.referrers(image.manifest.digest, "other"), []);
  });
});

async function* failing(): AsyncGenerator<Uint8Array, void> {
  yield layer.subarray(0, 100);
  throw new VitrineError("corrupt", "it is damaged", { code: "content-digest-mismatch" });
}

describe("tags", () => {
  const pages = (answer: (asked: Asked) => Answer) =>
    startScripted((asked) => (asked.target === "/v2/" ? {} : answer(asked)));
  const list = async (answer: (asked: Asked) => Answer) => {
    await using server = await pages(answer);
    await using client = openTestClient();
    const repository = await client.repository(server.reference("app"));
    let tags: readonly string[] = [];
    const code = await codeOf(repository.tags().then((found) => (tags = found)));
    return { code, tags };
  };

  it("come over all pages", async () => {
    const { tags } = await list(({ target }) =>
      target.includes("last=b")
        ? { body: JSON.stringify({ name: "app", tags: ["c"] }) }
        : {
            body: JSON.stringify({ name: "app", tags: ["a", "b"] }),
            headers: { link: '</v2/app/tags/list?n=2&last=b>; rel="next"' },
          },
    );
    assert.deepEqual(tags, ["a", "b", "c"]);
  });

  it("may be none, and are no list without end", async () => {
    assert.deepEqual((await list(() => ({ body: '{"name":"app","tags":null}' }))).tags, []);
    const circle = await list(() => ({
      body: '{"tags":["a"]}',
      headers: { link: '</v2/app/tags/list?last=a>; rel="next"' },
    }));
    assert.equal(circle.code, "registry-malformed-response");
    assert.equal((await list(() => ({ body: "{" }))).code, "registry-malformed-response");
    assert.equal((await list(() => ({ body: '{"tags":[1]}' }))).code, "registry-malformed-response");
    assert.equal((await list(() => ({ status: 404 }))).code, "registry-not-found");
  });
});
