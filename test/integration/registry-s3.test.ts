/**
 * The registry on an object store: any that S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY and S3_SECRET_KEY name, else OpenStack Swift's S3
 * interface, which this test starts.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { digestOf } from "../../src/oci/mod.ts";
import {
  checkStorage,
  collectGarbage,
  openS3Storage,
  Policy,
  startRegistry,
} from "../../src/registry/mod.ts";
import { storageSuite } from "../../src/registry/server/storage/suite.ts";
import { TestClient } from "../../src/registry/server/testing.ts";
import { serve } from "../support/served.ts";
import { startSwift, swiftPrograms } from "../support/swift.ts";
import { until } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, makeWorld } from "./support.ts";

const named = process.env["S3_ENDPOINT"];
const missing = swiftPrograms.filter((name) => findProgram(name) === undefined);
let credentials = {
  accessKey: process.env["S3_ACCESS_KEY"] ?? "test",
  secretKey: process.env["S3_SECRET_KEY"] ?? "test",
};
const bucket = process.env["S3_BUCKET"] ?? "registry";
const run = randomBytes(4).toString("hex");

let endpoint = named ?? "";
let stop: () => Promise<unknown> = async () => undefined;
let directory: string;
let prefixes = 0;

if (named === undefined && missing.length > 0) {
  it("the registry on an object store", (t) => cannotRun(t, `no S3_ENDPOINT, and no ${missing.join(", ")}`));
} else {
  before(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-s3-"));
    if (named !== undefined) return;
    const swift = await startSwift(path.join(directory, "swift"));
    stop = async () => swift[Symbol.asyncDispose]();
    await swift.makeBucket(bucket);
    ({ endpoint } = swift);
    credentials = { accessKey: swift.accessKey, secretKey: swift.secretKey };
  });
  after(async () => {
    await stop();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  const options = () => ({
    endpoint,
    bucket,
    credentials,
    prefix: `${run}-${prefixes}`,
    uploadDirectory: path.join(directory, `uploads${prefixes}`),
  });
  storageSuite("s3", () => {
    prefixes += 1;
    const own = prefixes;
    return {
      open: () => openS3Storage({ ...options(), prefix: `${run}-${own}` }),
      clean: async () => undefined,
    };
  });

  describe("a registry on S3", () => {
    it("serves what was pushed, in parts where it is large, and is clean", async () => {
      prefixes += 1;
      const content = Buffer.alloc(40 * 1024 * 1024 + 7, "object store ");
      let digest = "";
      {
        await using registry = await startRegistry({ storage: await openS3Storage(options()) });
        const client = new TestClient(registry.url);
        digest = (await client.pushImage("a/b", "1")).digest;
        await client.pushBlob("a/b", content);
        const got = await client.get(`/v2/a/b/blobs/${digestOf(content)}`, { Range: "bytes=20000000-" });
        assert.equal(got.status, 206);
        assert.equal(digestOf(got.body), digestOf(content.subarray(20_000_000)));
      }
      const storage = await openS3Storage(options());
      await using registry = await startRegistry({ storage });
      const client = new TestClient(registry.url);
      assert.equal((await client.get("/v2/a/b/manifests/1")).headers["docker-content-digest"], digest);
      assert.deepEqual((await client.get("/v2/_catalog")).json(), { repositories: ["a/b"] });
      const { repositories } = registry.service;
      const report = await collectGarbage({
        repositories,
        policy: new Policy({}),
        events: { emit: () => undefined },
        now: () => Date.now() + 3_600_000,
        graceMilliseconds: 60_000,
      });
      assert.deepEqual([report.links, report.blobs], [1, 1]);
      assert.deepEqual((await checkStorage(storage)).problems, []);
      assert.equal((await client.get("/v2/a/b/manifests/1")).status, 200);
    });
    it("is served, checked and collected by the command", async () => {
      prefixes += 1;
      await using world = makeWorld("s3");
      const config = path.join(world.directory, "registry.json");
      const { prefix } = options();
      fs.writeFileSync(config, JSON.stringify({ s3: { endpoint, bucket, prefix: `/${prefix}/` } }));
      Object.assign(world.env, {
        AWS_ACCESS_KEY_ID: credentials.accessKey,
        AWS_SECRET_ACCESS_KEY: credentials.secretKey,
      });
      {
        await using registry = await serve(world, ["--config", config]);
        const client = new TestClient(`http://${registry.address}`);
        await client.pushImage("a/b", "1");
        await client.pushBlob("a/b", "nobody names it");
      }
      // S3 tells when something was stored in whole seconds, Swift the next one; the clock may be set back a little.
      const settled = Math.ceil(Date.now() / 1000) * 1000 + 1001;
      const checked = world.run(["registry", "check", "--config", config]);
      assert.match(
        checked.stdout,
        /^1 repositories, 1 tags, 1 manifests, 4 blobs, \d+B: clean\n$/,
        checked.stderr,
      );
      await until(() => (Date.now() > settled ? true : undefined), "the second to be over");
      const collected = world.run(["registry", "gc", "--config", config, "--grace-hours", "0"]);
      assert.match(collected.stdout, /^0 tags, 0 manifests, 1 unused blobs of repositories; 1 blobs freed/);
      const refused = world.run(["registry", "check", "--config", config], {
        env: { AWS_ACCESS_KEY_ID: undefined, AWS_EC2_METADATA_DISABLED: "true" },
      });
      assert.match(refused.stderr, /AWS_ACCESS_KEY_ID/);
    });
    it("sends clients to the store for blobs, without what they showed the registry", async (t) => {
      prefixes += 1;
      await using world = makeWorld("s3-redirect");
      const place = (name: string): string => path.join(world.directory, name);
      fs.writeFileSync(
        place("registry.json"),
        JSON.stringify({
          s3: { endpoint, bucket, prefix: options().prefix, redirect: true },
          auth: { htpasswd: place("users") },
        }),
      );
      // `secret`
      fs.writeFileSync(
        place("users"),
        "alice:$2b$05$4kVXxJryfGRabyTQ5TIZjeWdeKCeN.ql6TrUKyTfbZ5R1T6uWwqj6\n",
      );
      fs.writeFileSync(
        place("keys"),
        `[default]\naws_access_key_id = ${credentials.accessKey}\naws_secret_access_key = ${credentials.secretKey}\n`,
      );
      world.env["AWS_SHARED_CREDENTIALS_FILE"] = place("keys");
      await using registry = await serve(world, ["--config", place("registry.json")]);
      const { address } = registry;
      const run = (...args: readonly string[]): void => {
        const done = world.run(args);
        assert.equal(done.status, 0, `${args.join(" ")}: ${done.stderr}`);
      };
      run("login", "--username", "alice", "--password", "secret", address);
      run("import", path.join(fixtures, "probe.tar"), "probe:1");
      run("copy", "vitrine:probe:1", `docker://${address}/a/probe:1`);
      run("copy", `docker://${address}/a/probe:1`, `oci:${place("ours")}:1`);
      const blobs = fs.readdirSync(place("ours/blobs/sha256")).sort();
      const sizes = blobs.map((name) => fs.statSync(place(`ours/blobs/sha256/${name}`)).size);
      assert.ok(Math.max(...sizes) >= 64 * 1024, String(sizes));
      const authorization = `Basic ${Buffer.from("alice:secret").toString("base64")}`;
      const largest = blobs[sizes.indexOf(Math.max(...sizes))];
      const url = `http://${address}/v2/a/probe/blobs/sha256:${largest}`;
      const sent = await fetch(url, { headers: { authorization }, redirect: "manual" });
      assert.equal(sent.status, 307);
      assert.ok(
        sent.headers.get("location")?.startsWith(`${endpoint}/`),
        String(sent.headers.get("location")),
      );
      const skopeo = findProgram("skopeo");
      if (skopeo === undefined) {
        cannotRun(t, "skopeo missing");
        return;
      }
      const theirs = spawnSync(
        skopeo,
        [
          "copy",
          "--preserve-digests",
          "--src-tls-verify=false",
          "--src-creds=alice:secret",
          `docker://${address}/a/probe:1`,
          `oci:${place("theirs")}:1`,
        ],
        {
          encoding: "utf8",
          timeout: 120_000,
          env: { ...process.env, HOME: world.directory, XDG_RUNTIME_DIR: world.directory },
        },
      );
      assert.equal(theirs.status, 0, theirs.stderr);
      assert.deepEqual(fs.readdirSync(place("theirs/blobs/sha256")).sort(), blobs);
    });
    it("says what is wrong with bucket and address", async () => {
      await assert.rejects(openS3Storage({ ...options(), bucket: "absent" }), { code: "s3-failed" });
      await assert.rejects(openS3Storage({ ...options(), endpoint: "http://127.0.0.1:9" }), {
        code: "s3-unreachable",
      });
    });
    it("is refused with a wrong key", async () => {
      const wrong = { ...credentials, secretKey: "wrong" };
      await assert.rejects(openS3Storage({ ...options(), credentials: wrong }), /403/);
    });
  });
}
