/** What surrounds the API: access, mirror, webhooks, metrics, pages. */
import assert from "node:assert/strict";
import { createHash, createSign, generateKeyPairSync } from "node:crypto";
import * as fs from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import bcrypt from "bcryptjs";
import { digestOf, mediaTypes } from "../../oci/mod.ts";
import { parseChallenges } from "../protocol/challenge.ts";
import { AuthenticatedAccess } from "./access/authenticate.ts";
import { parseHtpasswd } from "./access/htpasswd.ts";
import { parseKeys, signToken, verifyToken } from "./access/jwt.ts";
import { type AccessRule, Rules } from "./access/rules.ts";
import { startWebhooks } from "./observe/webhooks.ts";
import { makePages } from "./pages/pages.ts";
import { namePattern } from "./policy.ts";
import { type Registry, type RegistryOptions, startRegistry } from "./registry.ts";
import { TestClient } from "./testing.ts";

const basic = (user: string, password: string) => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});

let directory: string;
let htpasswd: string;
before(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-registry-features-"));
  htpasswd = path.join(directory, "htpasswd");
  const line = (user: string, password: string) =>
    `${user}:${bcrypt.hashSync(password, 4).replace("$2b$", "$2y$")}\n`;
  fs.writeFileSync(htpasswd, `# users\n${line("alice", "wonder:land")}${line("bob", "builder")}\n`);
});
after(() => fs.rmSync(directory, { recursive: true, force: true }));

async function withAccess(
  rules: readonly AccessRule[] | undefined,
  body: (registry: Registry) => Promise<void>,
  extra: RegistryOptions = {},
): Promise<void> {
  const access = new AuthenticatedAccess({ htpasswd, rules });
  await using registry = await startRegistry({ access, pages: makePages({ access }), ...extra });
  await body(registry);
}

describe("passwords", () => {
  it("lets in who has one, and asks everybody else", () =>
    withAccess(undefined, async ({ url }) => {
      const nobody = new TestClient(url);
      for (const target of ["/v2/", "/v2/_catalog", "/v2/a/manifests/x", "/"]) {
        const got = await nobody.get(target);
        assert.deepEqual(
          [got.status, got.code()],
          [401, target === "/" ? undefined : "UNAUTHORIZED"],
          target,
        );
        assert.equal(parseChallenges(String(got.headers["www-authenticate"]))[0]?.scheme, "basic");
      }
      assert.equal((await nobody.request("POST", "/v2/a/blobs/uploads/")).status, 401);
      for (const [user, password] of [
        ["alice", "wrong"],
        ["mallory", "x"],
        ["alice", ""],
        ["alice", "w".repeat(100)],
      ]) {
        assert.equal((await new TestClient(url, basic(user!, password!)).get("/v2/")).status, 401);
      }
      const alice = new TestClient(url, basic("alice", "wonder:land"));
      assert.equal((await alice.get("/v2/")).status, 200);
      await alice.pushImage("a", "x");
      assert.equal((await alice.get("/")).status, 200);
      assert.equal((await nobody.get("/healthz")).status, 200);
    }));
  it("a changed file counts", async () => {
    let offset = 0;
    const own = path.join(directory, "changing");
    fs.writeFileSync(own, `carol:${bcrypt.hashSync("old", 4)}\n`);
    const access = new AuthenticatedAccess({ htpasswd: own, now: () => Date.now() + offset });
    await using registry = await startRegistry({ access });
    const status = async (password: string) =>
      (await new TestClient(registry.url, basic("carol", password)).get("/v2/")).status;
    assert.deepEqual([await status("old"), await status("new")], [200, 401]);
    fs.writeFileSync(own, `carol:${bcrypt.hashSync("new", 4)}\n# changed\n`);
    offset = 2000;
    assert.deepEqual([await status("old"), await status("new")], [401, 200]);
  });
  it("refuses files that are none", () => {
    for (const text of [
      "alice",
      "alice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
      "alice:$apr1$x$y",
      `alice:$2y$31$${"a".repeat(53)}`,
    ]) {
      assert.throws(() => parseHtpasswd(text, "f"), { code: "htpasswd-invalid" });
    }
  });
});

describe("rules", () => {
  const rules: readonly AccessRule[] = [
    { repositories: "public/**", users: ["anonymous"], actions: ["pull"] },
    { repositories: "home/{user}/**", users: ["*"], actions: ["pull", "push", "delete"] },
    { repositories: "team/*", users: ["alice"], actions: ["pull", "push"] },
  ];
  it("add up", () => {
    const { allows } = { allows: (...args: Parameters<Rules["allows"]>) => new Rules(rules).allows(...args) };
    assert.equal(allows(undefined, "public/a/b", "pull"), true);
    assert.equal(allows("bob", "public/a", "pull"), true);
    assert.equal(allows("bob", "public/a", "push"), false);
    assert.equal(allows("bob", "home/bob/x", "delete"), true);
    assert.equal(allows("bob", "home/alice/x", "pull"), false);
    assert.equal(allows("**", "home/alice/x", "pull"), false);
    assert.equal(allows(".*", "home/alice/x", "pull"), false);
    assert.equal(allows("alice", "team/a", "push"), true);
    assert.equal(allows("alice", "team/a/b", "push"), false);
    assert.equal(allows("alice", "team/a", "delete"), false);
    assert.equal(allows(undefined, undefined, "list"), false);
  });
  it("patterns mean what they say", () => {
    assert.equal(namePattern("a.b*").test("axb"), false);
    assert.equal(namePattern("**").test("a/b/c"), true);
    assert.equal(namePattern("a/*").test("a/b/c"), false);
  });
  it("hold at every door: API, mounts, catalog, page", () =>
    withAccess(
      [
        ...rules,
        { repositories: "**", users: ["bob"], actions: ["pull", "push", "delete", "list"] },
        { repositories: "public/**", users: ["*"], actions: ["list"] },
      ],
      async ({ url }) => {
        const bob = new TestClient(url, basic("bob", "builder"));
        const alice = new TestClient(url, basic("alice", "wonder:land"));
        const secret = await bob.pushBlob("secret/x", "the secret");
        await bob.pushImage("public/app", "1");
        assert.deepEqual([(await alice.get(`/v2/secret/x/blobs/${secret}`)).status], [403]);
        for (const query of [`mount=${secret}&from=secret/x`, `mount=${secret}`]) {
          const mounted = await alice.request("POST", `/v2/team/a/blobs/uploads/?${query}`);
          assert.equal(mounted.status, 202, query);
        }
        assert.deepEqual((await alice.get("/v2/_catalog")).json(), { repositories: ["public/app"] });
        assert.doesNotMatch((await alice.get("/")).text(), /secret/);
        assert.equal((await alice.get("/r/secret/x")).status, 403);
        const denied = await alice.request("DELETE", "/v2/public/app/manifests/1");
        assert.deepEqual([denied.status, denied.code()], [403, "DENIED"]);
      },
    ));
  it("let nobody in with a token of ours, as Docker's client needs it", () =>
    withAccess(rules, async ({ url }) => {
      const nobody = new TestClient(url);
      const ping = await nobody.get("/v2/");
      assert.equal(ping.status, 401);
      const [challenge] = parseChallenges(String(ping.headers["www-authenticate"]));
      assert.equal(challenge?.scheme, "bearer");
      assert.equal(challenge?.parameters["realm"], `${url}/token`);
      const token = async (client: TestClient, scope: string) =>
        (
          (await client.get(`/token?service=${challenge!.parameters["service"]}&scope=${scope}`)).json() as {
            token: string;
          }
        ).token;
      const bearer = async (client: TestClient, scope: string) =>
        new TestClient(url, { Authorization: `Bearer ${await token(client, scope)}` });
      const alice = new TestClient(url, basic("alice", "wonder:land"));
      await (await bearer(alice, "repository:team/a:pull,push,delete")).pushImage("team/a", "1");
      assert.equal(
        (
          await (
            await bearer(alice, "repository:team/a:pull,push,delete")
          ).request("DELETE", "/v2/team/a/manifests/1")
        ).status,
        401,
      );
      assert.equal(
        (await (await bearer(nobody, "repository:team/a:pull")).get("/v2/team/a/manifests/1")).status,
        401,
      );
      assert.equal(
        (await (await bearer(nobody, "repository:public/a:pull")).get("/v2/public/a/manifests/1")).status,
        404,
      );
      // A repository may be called what the catalog is called in scopes.
      assert.equal((await (await bearer(nobody, "repository:catalog:*")).get("/v2/_catalog")).status, 401);
      const refused = await (await bearer(alice, "repository:team/b:pull")).get("/v2/team/a/manifests/1");
      const [again] = parseChallenges(String(refused.headers["www-authenticate"]));
      assert.deepEqual(
        [again?.parameters["scope"], again?.parameters["error"]],
        ["repository:team/a:pull", "insufficient_scope"],
      );
      const wrong = await new TestClient(url, basic("alice", "x")).get("/token?scope=repository:team/a:pull");
      assert.equal(wrong.status, 401);
    }));
  it("show the catalog to a token for it, and ask a browser for a password", () =>
    withAccess([...rules, { repositories: "**", users: ["alice"], actions: ["list"] }], async ({ url }) => {
      const nobody = new TestClient(url);
      const alice = new TestClient(url, basic("alice", "wonder:land"));
      await alice.pushImage("team/c", "1");
      await alice.pushImage("home/alice/x", "1");
      const { token } = (await alice.get("/token?scope=registry:catalog:*")).json() as { token: string };
      const listed = await new TestClient(url, { Authorization: `Bearer ${token}` }).get("/v2/_catalog");
      assert.deepEqual(listed.json(), { repositories: ["home/alice/x", "team/c"] });
      const page = await nobody.get("/");
      assert.equal(page.status, 401);
      assert.match(String(page.headers["www-authenticate"]), /^Basic /);
      assert.match(String(page.headers["content-type"]), /^text\/html/);
      assert.match((await alice.get("/")).text(), /team\/c/);
    }));
});

describe("tokens of another service", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = (key: typeof rsa.publicKey) => key.export({ type: "spki", format: "pem" }).toString();
  const now = Date.now();
  const seconds = Math.floor(now / 1000);
  const good = {
    iss: "issuer",
    aud: "registry",
    sub: "ci",
    exp: seconds + 3600,
    access: [{ type: "repository", name: "a", actions: ["pull"] }],
  };
  const expected = {
    keys: parseKeys(pem(rsa.publicKey) + pem(ec.publicKey), "keys"),
    issuer: "issuer",
    service: "registry",
    now,
  };
  const rs256 = (claims: object, header: object = { alg: "RS256", typ: "JWT" }): string => {
    const text = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    return `${text}.${createSign("sha256").update(text).sign(rsa.privateKey).toString("base64url")}`;
  };

  it("hold with RS256 and ES256", () => {
    for (const token of [rs256(good), signToken(ec.privateKey, "k", { ...good, aud: ["x", "registry"] })]) {
      assert.deepEqual(verifyToken(token, expected), { subject: "ci", access: good.access });
    }
  });
  it("do not hold when anything is wrong", () => {
    const [head, body, signature] = rs256(good).split(".");
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    // The classic: the public key's text as a shared secret.
    const hs = Buffer.from('{"alg":"HS256"}').toString("base64url");
    const mac = createHash("sha256").update(pem(rsa.publicKey)).digest("base64url");
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const bad = [
      "",
      "a.b",
      "a.b.c",
      `${head}.${body}`,
      `${head}.${body}.`,
      `${none}.${body}.`,
      `${hs}.${body}.${mac}`,
      `${head}.${Buffer.from(JSON.stringify({ ...good, sub: "root" })).toString("base64url")}.${signature}`,
      signToken(other.privateKey, "k", good),
      rs256(good, { alg: "ES256" }),
      rs256({ ...good, exp: seconds - 100 }),
      rs256({ ...good, exp: "soon" }),
      rs256({ ...good, nbf: seconds + 100 }),
      rs256({ ...good, iss: "x" }),
      rs256({ ...good, aud: "x" }),
      rs256({ ...good, access: [1] }),
      "x".repeat(20_000),
    ];
    for (const token of bad) assert.equal(typeof verifyToken(token, expected), "string", token.slice(0, 60));
  });
  it("are what a registry accepts", async () => {
    const keys = path.join(directory, "keys.pem");
    fs.writeFileSync(keys, pem(rsa.publicKey));
    const access = new AuthenticatedAccess({
      token: { realm: "https://auth.example/token", service: "registry", issuer: "issuer", keys },
    });
    await using registry = await startRegistry({ access });
    const got = await new TestClient(registry.url).get("/v2/a/manifests/x");
    assert.deepEqual(parseChallenges(String(got.headers["www-authenticate"]))[0]?.parameters, {
      realm: "https://auth.example/token",
      service: "registry",
      scope: "repository:a:pull",
    });
    const client = new TestClient(registry.url, { Authorization: `Bearer ${rs256(good)}` });
    assert.equal((await client.get("/v2/a/manifests/x")).status, 404);
    assert.equal((await client.request("POST", "/v2/a/blobs/uploads/")).status, 401);
  });
  it("hold by the keys that the file has by now", async () => {
    let offset = 0;
    const keys = path.join(directory, "changing-keys");
    const fresh = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const set = (...listed: readonly (readonly [string, typeof rsa.publicKey])[]): void => {
      const jwks = listed.map(([kid, key]) => ({ ...key.export({ format: "jwk" }), kid }));
      fs.writeFileSync(keys, JSON.stringify({ keys: jwks }));
    };
    set(["one", ec.publicKey]);
    const access = new AuthenticatedAccess({
      token: { realm: "https://auth.example/token", service: "registry", issuer: "issuer", keys },
      now: () => now + offset,
    });
    await using registry = await startRegistry({ access });
    const status = async (key: typeof rsa.privateKey, kid: string): Promise<number> => {
      const headers = { Authorization: `Bearer ${signToken(key, kid, good)}` };
      return (await new TestClient(registry.url, headers).get("/v2/a/manifests/x")).status;
    };
    const both = async () => [await status(ec.privateKey, "one"), await status(fresh.privateKey, "two")];
    assert.deepEqual(await both(), [404, 401]);
    assert.equal(await status(ec.privateKey, "two"), 401);
    set(["one", ec.publicKey], ["two", fresh.publicKey]);
    offset += 2000;
    assert.deepEqual(await both(), [404, 404]);
    // Half written.
    fs.writeFileSync(keys, '{"keys":[');
    offset += 2000;
    assert.deepEqual(await both(), [404, 404]);
    set(["two", fresh.publicKey]);
    offset += 2000;
    assert.deepEqual(await both(), [401, 404]);
  });
  it("need keys that are good enough", () => {
    const small = generateKeyPairSync("rsa", { modulusLength: 1024 });
    for (const text of ["", "x", "{}", '{"keys":[{"kty":"oct","k":"AA"}]}', pem(small.publicKey)]) {
      assert.throws(() => parseKeys(text, "f"), { code: "token-key-invalid" });
    }
  });
});

describe("a mirror", () => {
  it("fetches what is missing, once, keeps it, and serves it when the upstream is gone", async () => {
    const upstream = await startRegistry();
    const origin = new TestClient(upstream.url);
    const { digest } = await origin.pushImage("lib/app", "1");
    const content = Buffer.alloc(9_000_000, "layers");
    const blob = await origin.pushBlob("lib/app", content);
    await using mirror = await startRegistry({ mirror: { url: upstream.url, tagSeconds: 0 } });
    const client = new TestClient(mirror.url);
    assert.equal((await client.get("/v2/lib/app/manifests/1")).headers["docker-content-digest"], digest);
    assert.equal(
      (await client.request("HEAD", `/v2/lib/app/blobs/${blob}`)).headers["content-length"],
      "9000000",
    );
    const all = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        client.get(`/v2/lib/app/blobs/${blob}`, { Range: `bytes=${index}-` }),
      ),
    );
    for (const [index, got] of all.entries())
      assert.equal(digestOf(got.body), digestOf(content.subarray(index)));
    assert.match(mirror.service.metrics.render(), /upstream_fetches_total 2\n/);
    assert.equal((await client.get("/v2/lib/app/manifests/absent")).status, 404);
    assert.equal((await client.get(`/v2/lib/app/blobs/${digestOf(Buffer.from("x"))}`)).status, 404);
    assert.equal((await client.request("POST", "/v2/lib/app/blobs/uploads/")).status, 405);
    const { digest: moved } = await origin.pushImage("lib/app", "2");
    const second = await origin.get("/v2/lib/app/manifests/2");
    await origin.pushManifest("lib/app", "1", second.body);
    assert.equal((await client.get("/v2/lib/app/manifests/1")).headers["docker-content-digest"], moved);
    await upstream.stop();
    assert.equal((await client.get("/v2/lib/app/manifests/1")).headers["docker-content-digest"], moved);
    assert.deepEqual((await client.get(`/v2/lib/app/blobs/${blob}`)).body, content);
    assert.equal((await client.get("/v2/lib/app/manifests/2")).status, 502);
  });
  it("lists what the upstream has, and what is here when that is gone", async () => {
    const upstream = await startRegistry({ limits: { pageEntries: 2 } });
    const origin = new TestClient(upstream.url);
    const { digest } = await origin.pushImage("lib/app", "1");
    const image = await origin.get("/v2/lib/app/manifests/1");
    for (const tag of ["2", "3", "4", "5"]) await origin.pushManifest("lib/app", tag, image.body);
    const subject = { mediaType: mediaTypes.manifest, digest, size: image.body.length };
    const { digest: referrer } = await origin.pushImage("lib/app", "r", { subject });
    await using mirror = await startRegistry({ mirror: { url: upstream.url, tagSeconds: 0 } });
    const client = new TestClient(mirror.url);
    const tags = async (): Promise<unknown> => JSON.parse((await client.get("/v2/lib/app/tags/list")).text());
    assert.deepEqual(await tags(), { name: "lib/app", tags: ["1", "2", "3", "4", "5", "r"] });
    const referrers = JSON.parse((await client.get(`/v2/lib/app/referrers/${digest}`)).text()) as {
      readonly manifests: readonly { readonly digest: string }[];
    };
    assert.deepEqual(
      referrers.manifests.map((entry) => entry.digest),
      [referrer],
    );
    assert.equal((await client.get("/v2/lib/absent/tags/list")).status, 404);
    assert.equal((await client.get("/v2/lib/app/manifests/1")).status, 200);
    await upstream.stop();
    assert.deepEqual(await tags(), { name: "lib/app", tags: ["1"] });
    assert.equal((await client.get("/v2/lib/other/tags/list")).status, 502);
  });
  it("gives nobody the whole of what is not what its digest says, and keeps nothing of it", async () => {
    const digest = digestOf(Buffer.from("promised"));
    const liar = createServer((_, response) =>
      response.writeHead(200, { "Content-Length": 8 }).end("deceived"),
    );
    await new Promise<void>((resolve) => liar.listen(0, "127.0.0.1", resolve));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => {
      liar.close();
      liar.closeAllConnections();
    });
    await using mirror = await startRegistry({
      mirror: { url: `http://127.0.0.1:${(liar.address() as AddressInfo).port}` },
    });
    const client = new TestClient(mirror.url);
    await assert.rejects(client.get(`/v2/a/blobs/${digest}`));
    assert.equal(await mirror.service.repositories.storage.blobs.stat(digest), undefined);
    assert.equal((await client.get(`/v2/a/manifests/${digest}`)).status, 502);
  });
  it("logs in to an upstream that asks for a token", () =>
    withAccess(
      [
        { repositories: "**", users: ["anonymous"], actions: ["pull"] },
        { repositories: "**", users: ["bob"], actions: ["push"] },
      ],
      async ({ url }) => {
        await new TestClient(url, basic("bob", "builder")).pushBlob("a", "public");
        await using mirror = await startRegistry({ mirror: { url } });
        const got = await new TestClient(mirror.url).get(`/v2/a/blobs/${digestOf(Buffer.from("public"))}`);
        assert.equal(got.text(), "public");
      },
    ));
});

describe("webhooks", () => {
  it("tell of pushes and deletes as CloudEvents, and try again", async () => {
    const received: {
      type: string;
      subject: string;
      specversion: string;
      authorization: string | undefined;
    }[] = [];
    let failures = 2;
    const server = createServer(async (request, response) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
      failures -= 1;
      if (failures >= 0) {
        response.writeHead(500).end();
        return;
      }
      received.push({
        ...JSON.parse(Buffer.concat(chunks).toString()),
        authorization: request.headers.authorization,
      });
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const events = startWebhooks(
      [
        {
          url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
          headers: { Authorization: "Bearer x" },
        },
      ],
      { source: "test", retryMilliseconds: [1, 1] },
    );
    await using registry = await startRegistry({ events });
    const client = new TestClient(registry.url);
    await client.pushImage("a", "x");
    await client.get("/v2/a/manifests/x");
    await client.request("DELETE", "/v2/a/manifests/x");
    await events.close(50_000);
    server.close();
    assert.deepEqual(
      received.map(({ type }) => type),
      ["blob.push", "blob.push", "manifest.push", "tag.delete"].map((type) => `io.vitrine.registry.${type}`),
    );
    assert.equal(received[2]?.subject, "a:x");
    assert.equal(received[0]?.specversion, "1.0");
    assert.equal(received[0]?.authorization, "Bearer x");
  });
});

describe("pages", () => {
  it("show repositories, tags and manifests, escaped, under a strict policy", async () => {
    await using registry = await startRegistry({ pages: makePages({}) });
    const client = new TestClient(registry.url);
    const { digest, config, bytes } = await client.pushImage("team/app", "v1", {
      annotations: { "<script>alert(1)</script>": '"><img src=x onerror=alert(1)>\u202e' },
    });
    const referrer = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        artifactType: "application/x.sbom",
        config: { mediaType: mediaTypes.empty, digest: config, size: 1 },
        layers: [],
        subject: { mediaType: mediaTypes.manifest, digest, size: 1 },
      }),
    );
    await client.pushManifest("team/app", digestOf(referrer), referrer);
    const index = {
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: [
        {
          mediaType: mediaTypes.manifest,
          digest,
          size: bytes.length,
          platform: { os: "linux", architecture: "<b>arm64</b>" },
        },
      ],
    };
    await client.pushManifest("team/app", "multi", index, mediaTypes.index);
    const home = await client.get("/");
    assert.match(home.text(), /<a href="\/r\/team\/app">team\/app<\/a>/);
    assert.match(String(home.headers["content-security-policy"]), /^default-src 'none'; style-src 'sha256-/);
    const style = /<style>(.*)<\/style>/s.exec(home.text())![1]!;
    assert.ok(
      String(home.headers["content-security-policy"]).includes(
        createHash("sha256").update(style).digest("base64"),
      ),
    );
    assert.match((await client.get("/r/team/app")).text(), /\/r\/team\/app\/-\/v1/);
    const shown = (await client.get("/r/team/app/-/v1")).text();
    assert.match(shown, new RegExp(`docker pull ${registry.address}/team/app:v1`));
    assert.match(shown, /application\/x\.sbom/);
    assert.doesNotMatch(shown, /<script|<img|\u202e/);
    const multi = (await client.get(`/r/team/app/-/multi`)).text();
    assert.match(multi, /linux\/&lt;b&gt;arm64/);
    for (const bad of ["/r/absent", "/r/team/app/-/absent", "/r/team/app/-/%zz", "/r/../x", "/x"]) {
      assert.equal((await client.get(bad)).status, 404, bad);
    }
    const bom = (await client.get(`/r/team/app/-/${digestOf(referrer)}`)).text();
    assert.match(bom, /vitrine artifact pull/);
    assert.doesNotMatch(bom, /docker pull/);
    const away = await client.get("/r/team/app/-/v1", { Host: "registry.example" });
    assert.match(away.text(), /vitrine pull --tls-verify=false registry\.example\/team\/app:v1/);
    const behind = await client.get("/r/team/app/-/v1", {
      Host: "registry.example",
      "X-Forwarded-Proto": "https",
    });
    assert.doesNotMatch(behind.text(), /tls-verify/);
    const forged = await client.get("/r/team/app/-/v1", { Host: '"><script>' });
    assert.doesNotMatch(forged.text(), /<script>/);
  });
  it("show what the image's config says, escaped, and nothing of one that is not here", async () => {
    await using registry = await startRegistry({ pages: makePages({}), missingContent: "accept" });
    const client = new TestClient(registry.url);
    const evil = `"><script>alert(1)</script>\u001b[31m\u202e`;
    const config = JSON.stringify({
      architecture: "arm64",
      os: "linux",
      author: evil,
      config: {
        Entrypoint: ["/bin/sh", "-c", `echo '${evil}'`],
        Env: [`MODE=${evil}`],
        Labels: { [evil]: evil },
        User: evil,
      },
      rootfs: { type: "layers", diff_ids: [] },
      history: [{ created_by: `RUN ${evil}` }],
    });
    const push = async (tag: string, digest: string, size: number): Promise<string> => {
      const manifest = {
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        config: { mediaType: mediaTypes.config, digest, size },
        layers: [],
      };
      assert.equal((await client.pushManifest("team/app", tag, manifest)).status, 201);
      const got = await client.get(`/r/team/app/-/${tag}`);
      assert.equal(got.status, 200);
      assert.doesNotMatch(got.text(), /<script|\u001b|\u202e/);
      return got.text();
    };
    const page = await push("here", await client.pushBlob("team/app", config), Buffer.byteLength(config));
    assert.match(page, /<dt>Platform<\/dt><dd>linux\/arm64<\/dd>/);
    for (const shown of [
      "<dt>Author<",
      "<dt>User<",
      "MODE=&quot;&gt;",
      "/bin/sh -c &#39;echo",
      "RUN &quot;&gt;",
    ]) {
      assert.ok(page.includes(shown), shown);
    }
    assert.doesNotMatch(await push("absent", digestOf(Buffer.from("absent")), 6), /<h2>Image/);
    // One that is large is not read for everybody who asks.
    const large = config.replace("{", `{${" ".repeat(300_000)}`);
    assert.doesNotMatch(
      await push("large", await client.pushBlob("team/app", large), Buffer.byteLength(large)),
      /<h2>Image/,
    );
    const text = await client.pushBlob("team/app", "no JSON");
    assert.doesNotMatch(await push("broken", text, 7), /<h2>Image/);
  });

  it("find names by a part of them", async () => {
    await using registry = await startRegistry({ pages: makePages({}) });
    const client = new TestClient(registry.url);
    const { bytes } = await client.pushImage("team/app", "v1");
    await client.pushManifest("team/app", "v1.2", bytes);
    await client.pushImage("other/thing", "v1");
    const links = async (target: string): Promise<string[]> =>
      [...(await client.get(target)).text().matchAll(/<td><a href="[^"]*">([^<]*)</g)].map(
        ([, text]) => text!,
      );
    assert.deepEqual(await links("/?q=APP"), ["team/app"]);
    assert.deepEqual(await links("/?q=nothing"), []);
    assert.deepEqual(await links("/r/team/app?q=.2"), ["v1.2"]);
    assert.match((await client.get("/r/team/app?q=.2")).text(), /1 of 2 tags/);
    const asked = (await client.get(`/?q=${encodeURIComponent('"><script>')}`)).text();
    assert.match(asked, /value="&quot;&gt;&lt;script&gt;"/);
    const shown = (await client.get("/r/team/app/-/v1")).text();
    assert.match(shown, /Other tags<\/dt><dd><a href="\/r\/team\/app\/-\/v1\.2">/);
  });

  it("metrics count, health is told", async () => {
    await using registry = await startRegistry({ pages: makePages({}) });
    const client = new TestClient(registry.url);
    await client.pushImage("a", "x");
    await client.get("/v2/a/manifests/x");
    await client.get("/v2/nothing/manifests/x");
    const text = (await client.get("/metrics")).text();
    assert.match(
      text,
      /vitrine_registry_requests_total\{operation="manifest",method="GET",status="200"\} 1\n/,
    );
    assert.match(text, /status="404"\} 1\n/);
    assert.match(text, /vitrine_registry_blobs_pushed_total 2\n/);
    assert.doesNotMatch(text, /nothing/);
    assert.equal((await client.get("/healthz")).status, 200);
    assert.match(text, /process_resident_memory_bytes \d{7,}\n/);
    assert.match(text, /vitrine_registry_uploads_open 0\n/);
    assert.equal((await client.request("POST", "/metrics")).status, 405);
  });
  it("health is told when the directory is gone", async () => {
    const root = path.join(directory, "unmounted");
    await using registry = await startRegistry({ pages: makePages({}), root });
    const client = new TestClient(registry.url);
    assert.equal((await client.get("/healthz")).status, 200);
    fs.renameSync(root, `${root}.away`);
    assert.equal((await client.get("/healthz")).status, 503);
    fs.renameSync(`${root}.away`, root);
    assert.equal((await client.get("/healthz")).status, 200);
  });
});
