/** Several registries on one bucket: one collects garbage, before each of whose requests in turn another one gets a push. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { describe, it } from "node:test";
import { VitrineError } from "../../../../base/mod.ts";
import { type Digest, digestOf, mediaTypes } from "../../../../oci/mod.ts";
import { Policy } from "../../policy.ts";
import { startRegistry } from "../../registry.ts";
import { Repositories } from "../../repositories/repositories.ts";
import { TestClient } from "../../testing.ts";
import { checkStorage } from "../../upkeep/check.ts";
import { type CollectReport, collectGarbage } from "../../upkeep/collect.ts";
import { openS3Storage, type S3StorageOptions } from "./storage.ts";
import { type StoreOptions, type StoreRequest, TestingStore } from "./testing-store.ts";

const dayMilliseconds = 24 * 3600 * 1000;
/** What was stored so long ago is garbage when nobody names it. */
const longAgo = 10 * dayMilliseconds;

class Shared implements AsyncDisposable {
  readonly store: TestingStore;
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-sharing-"));
  private opened = 0;

  private constructor(store: TestingStore) {
    this.store = store;
  }

  static async start(options: StoreOptions = {}): Promise<Shared> {
    return new Shared(await TestingStore.start(options));
  }

  open(options: Partial<S3StorageOptions> = {}) {
    return openS3Storage({
      ...this.store.options,
      uploadDirectory: path.join(this.directory, String(++this.opened)),
      times: { pollMilliseconds: 1 },
      ...options,
    });
  }

  /** What `fill` pushes was pushed long ago. */
  async before<T>(fill: (client: TestClient) => Promise<T>): Promise<T> {
    await using registry = await startRegistry({
      storage: await this.open(),
      now: () => Date.now() - longAgo,
    });
    const result = await fill(new TestClient(registry.url));
    for (const object of this.store.objects.values()) object.modified -= longAgo;
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

async function collect(
  shared: Shared,
  options: Partial<S3StorageOptions> = {},
  policy = new Policy({}),
): Promise<CollectReport> {
  await using storage = await shared.open(options);
  return collectGarbage({
    repositories: new Repositories(storage),
    policy,
    events: { emit: () => undefined },
    now: Date.now,
  });
}

const config = Buffer.from("{}");
const layer = Buffer.from("a layer that others have, or had");
const manifest = (text: string): Buffer =>
  Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: { mediaType: mediaTypes.config, digest: digestOf(config), size: config.length },
      layers: [{ mediaType: mediaTypes.layer, digest: digestOf(layer), size: layer.length }],
      annotations: { text },
    }),
  );
const indexOf = (child: Buffer): Buffer =>
  Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: [{ mediaType: mediaTypes.manifest, digest: digestOf(child), size: child.length }],
    }),
  );

async function has(client: TestClient, name: string, digest: Digest): Promise<boolean> {
  return (await client.request("HEAD", `/v2/${name}/blobs/${digest}`)).status === 200;
}

interface Scenario {
  readonly policy?: Policy;
  fill(client: TestClient): Promise<void>;
  /** What was acknowledged: tags by repository. A push may be refused, but not accepted and lost. */
  push(client: TestClient): Promise<readonly (readonly [name: string, reference: string])[]>;
}

const scenarios: Readonly<Record<string, Scenario>> = {
  "of what names blobs that nobody named": {
    async fill(client) {
      await client.pushBlob("a", config);
      await client.pushBlob("a", layer);
    },
    async push(client) {
      for (const blob of [config, layer]) {
        if (!(await has(client, "a", digestOf(blob)))) await client.pushBlob("a", blob);
      }
      const pushed = await client.pushManifest("a", "new", manifest("new"));
      return pushed.status === 201 ? [["a", "new"]] : [];
    },
  },
  "of blobs that only had bytes, and by mounts": {
    async fill(client) {
      await client.pushBlob("a", config);
      await client.pushBlob("b", layer);
      for (const [name, blob] of [
        ["a", config],
        ["b", layer],
      ] as const) {
        await client.request("DELETE", `/v2/${name}/blobs/${digestOf(blob)}`);
      }
      await client.pushBlob("c", layer);
    },
    async push(client) {
      await client.pushBlob("a", config);
      const mounted = await client.request("POST", `/v2/a/blobs/uploads/?mount=${digestOf(layer)}&from=c`);
      if (mounted.status !== 201) await client.pushBlob("a", layer);
      const pushed = await client.pushManifest("a", "new", manifest("new"));
      return pushed.status === 201 ? [["a", "new"]] : [];
    },
  },
  "of tags that retention lets go, and of an index on an untagged manifest": {
    policy: new Policy({
      rules: [{ repositories: "**", retention: { keepTags: 1, exceptTags: ["multi"], untaggedDays: 1 } }],
    }),
    async fill(client) {
      await client.pushBlob("a", config);
      await client.pushBlob("a", layer);
      await client.pushManifest("a", digestOf(manifest("child")), manifest("child"));
      await client.pushManifest("a", "x", manifest("old"));
      await client.pushManifest("a", "y", manifest("old"));
    },
    async push(client) {
      const acknowledged: [string, string][] = [];
      const multi = await client.pushManifest("a", "multi", indexOf(manifest("child")), mediaTypes.index);
      if (multi.status === 201) acknowledged.push(["a", "multi"]);
      const child = await client.pushManifest("a", "x", manifest("newer"));
      if (child.status === 201) acknowledged.push(["a", "x"]);
      return acknowledged;
    },
  },
};

/**
 * Stops who sends a request until `release`: before his write of that number, or (`after`) before what follows on it. What was read
 * since the write before is then as old as it can be.
 */
function stopAt(shared: Shared, number: number, after: boolean) {
  const stopped = Promise.withResolvers<StoreRequest | undefined>();
  const released = Promise.withResolvers<void>();
  const waited = Promise.withResolvers<void>();
  let writes = 0;
  let isOver = false;
  shared.store.fault = async ({ method, key, ...request }) => {
    // Somebody else waits for the end of what was announced.
    if (isOver && method === "HEAD" && key.startsWith("removing/") && shared.store.objects.has(key)) {
      waited.resolve();
    }
    const follows = writes === number;
    if (method !== "GET" && method !== "HEAD") writes += 1;
    if (isOver || !(after ? follows : writes === number)) return undefined;
    isOver = true;
    stopped.resolve({ method, key, ...request });
    await released.promise;
    return undefined;
  };
  return {
    stopped: stopped.promise,
    waited: waited.promise,
    release: () => released.resolve(),
    /** The collection is over: nobody is stopped any more. */
    end(): void {
      isOver = true;
      stopped.resolve(undefined);
    },
  };
}

describe("a push while another registry collects garbage", () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    for (const asleep of [false, true]) {
      it(`${name}${asleep ? ", and sleeps too long" : ""}: what is acknowledged is there`, async () => {
        let refused = 0;
        let turns = 0;
        for (let number = 1; ; turns++, number += turns % 2 === 0 || asleep ? 1 : 0) {
          await using shared = await Shared.start();
          await shared.before((client) => scenario.fill(client));
          await using other = await startRegistry({ storage: await shared.open() });
          const client = new TestClient(other.url);
          const stop = stopAt(shared, number, !asleep && turns % 2 === 1);
          const collected = collect(
            shared,
            { times: { pollMilliseconds: 1, renew: !asleep } },
            scenario.policy,
          ).then(
            () => stop.end(),
            (error: unknown) => {
              stop.end();
              if (error instanceof VitrineError && error.code === "collect-lease-lost" && asleep) return;
              throw error;
            },
          );
          const at = await stop.stopped;
          // As if the machine that collects had stood still, right before it sent that.
          if (asleep) shared.store.skew += 60_000;
          const pushed = scenario.push(client);
          await Promise.race([pushed, stop.waited]);
          stop.release();
          await collected;
          const acknowledged = await pushed;
          if (acknowledged.length === 0) refused += 1;
          for (const [repository, reference] of acknowledged) {
            const got = await client.get(`/v2/${repository}/manifests/${reference}`);
            assert.equal(
              got.status,
              200,
              `${repository}:${reference} before ${at?.method} ${at?.key} (${number})`,
            );
          }
          await using storage = await shared.open();
          const { problems, incomplete } = await checkStorage(storage);
          assert.deepEqual([...problems, ...incomplete], [], `before ${at?.method} ${at?.key} (${number})`);
          if (at === undefined) break;
        }
        // All of a collection was gone through, and most pushes got through.
        assert.ok(turns > 8, String(turns));
        assert.ok(refused < turns / 3, `${refused} of ${turns}`);
      });
    }
  }
});

describe("who collects", () => {
  it("is one at a time, and another one when he has died", async () => {
    await using shared = await Shared.start();
    await using one = await shared.open();
    {
      await using _ = await one.sharing!.lease();
      await assert.rejects(collect(shared), { code: "collect-leased", message: new RegExp(os.hostname()) });
    }
    await collect(shared);
    await one.sharing!.lease();
    shared.store.objects.get("collecting")!.modified -= 30_000;
    await assert.rejects(collect(shared), { code: "collect-leased" });
    shared.store.objects.get("collecting")!.modified -= 31_000;
    const report = await collect(shared);
    assert.equal(report.unguarded, false);
    assert.ok(!shared.store.objects.has("collecting"));
  });
  it("cannot end what has become another one's", async () => {
    await using shared = await Shared.start();
    await using one = await shared.open({ times: { renew: false } });
    const lease = await one.sharing!.lease();
    shared.store.skew += 61_000;
    shared.store.objects.get("collecting")!.modified -= 61_000;
    await using other = await shared.open();
    await using _ = await other.sharing!.lease();
    await lease[Symbol.asyncDispose]();
    assert.ok(shared.store.objects.has("collecting"));
    await assert.rejects(collect(shared), { code: "collect-leased" });
  });
  it("is one of many who begin at the same moment", async () => {
    await using shared = await Shared.start();
    await using one = await shared.open();
    const all = await Promise.allSettled(Array.from({ length: 10 }, () => one.sharing!.lease()));
    assert.equal(all.filter(({ status }) => status === "fulfilled").length, 1);
  });
  for (const conditions of [false, "ignored"] as const) {
    it(`is told that nobody sees to it where conditions are ${conditions === false ? "unknown" : "not heeded"}`, async () => {
      await using shared = await Shared.start({ conditions });
      assert.equal((await collect(shared)).unguarded, true);
    });
  }
});
