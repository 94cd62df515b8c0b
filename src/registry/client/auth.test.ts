import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VitrineError } from "../../base/mod.ts";
import { mediaTypes } from "../../oci/mod.ts";
import { type Answer, type Asked, codeOf, openTestClient, startScripted, testImage } from "./testing.ts";
import type { Credentials } from "./types.ts";

const image = testImage(Buffer.from("layer"));
const manifest: Answer = {
  headers: { "content-type": mediaTypes.manifest },
  body: image.bytes(image.manifest.digest),
};
const password: Credentials = { kind: "password", user: "me", password: "pä:ss" };
const isPing = ({ target }: Asked): boolean => target === "/v2/";

function tokenServer(tokens: (asked: Asked) => Answer) {
  let host = "";
  const challenge = (asked: Asked): Answer => ({
    status: 401,
    headers: {
      "www-authenticate": `Bearer realm="http://${host}/token",service="reg",scope="repository:${asked.target.split("/")[2]}:pull"`,
    },
  });
  const started = startScripted((asked): Answer => {
    if (asked.target.startsWith("/token")) return tokens(asked);
    if (isPing(asked)) return {};
    return asked.headers.authorization === "Bearer good" ? manifest : challenge(asked);
  });
  return started.then((server) => {
    host = server.host;
    return server;
  });
}

describe("tokens", () => {
  it("are fetched with the scope and the password, once for several requests", async () => {
    await using server = await tokenServer(() => ({
      body: JSON.stringify({ token: "good", expires_in: 300 }),
    }));
    await using client = openTestClient({ credentials: password });
    const repository = await client.repository(server.reference("app"));
    await repository.getManifest("v1");
    await Promise.all([repository.getManifest("v1"), repository.getManifest("v2")]);
    const asked = server.asked.filter(({ target }) => target.startsWith("/token"));
    assert.equal(asked.length, 1);
    const query = new URL(asked[0]!.target, "http://x").searchParams;
    assert.deepEqual(query.getAll("scope"), ["repository:app:pull"]);
    assert.equal(query.get("service"), "reg");
    assert.equal(asked[0]!.headers.authorization, `Basic ${Buffer.from("me:pä:ss").toString("base64")}`);
  });

  it("may be called access_token, and need no account", async () => {
    await using server = await tokenServer(() => ({ body: JSON.stringify({ access_token: "good" }) }));
    await using client = openTestClient();
    await client.source(server.reference("app:v1"));
    const asked = server.asked.find(({ target }) => target.startsWith("/token"))!;
    assert.equal(asked.headers.authorization, undefined);
  });

  it("are asked for by POST with an identity token", async () => {
    await using server = await tokenServer(() => ({ body: JSON.stringify({ access_token: "good" }) }));
    await using client = openTestClient({ credentials: { kind: "identity", identityToken: "refresh" } });
    await client.source(server.reference("app:v1"));
    const asked = server.asked.find(({ target }) => target.startsWith("/token"))!;
    assert.equal(asked.method, "POST");
    const form = new URLSearchParams(asked.body.toString());
    assert.equal(form.get("grant_type"), "refresh_token");
    assert.equal(form.get("refresh_token"), "refresh");
    assert.equal(form.get("scope"), "repository:app:pull");
  });

  it("that are refused for ever end", async () => {
    await using server = await tokenServer(() => ({ body: JSON.stringify({ token: "bad" }) }));
    await using client = openTestClient();
    assert.equal(await codeOf(client.source(server.reference("app:v1"))), "registry-unauthorized");
    assert.ok(server.asked.length < 10);
  });

  it("of somebody known that do not reach are a denial, not a question who he is", async () => {
    await using server = await tokenServer(() => ({ body: JSON.stringify({ token: "bad" }) }));
    await using client = openTestClient({ credentials: password });
    await assert.rejects(client.source(server.reference("app:v1")), /denies access to/);
    await using nobody = openTestClient({ credentials: "none" });
    assert.equal(await codeOf(nobody.source(server.reference("app:v1"))), "registry-unauthorized");
    const asked = server.asked.filter(({ target }) => target.startsWith("/token"));
    assert.equal(asked.at(-1)!.headers.authorization, undefined);
  });

  it("that nobody gives are told as such", async () => {
    await using server = await tokenServer(() => ({ status: 401 }));
    await using client = openTestClient({ credentials: password });
    await saysWrong(client.source(server.reference("app:v1")), server.host);
    await using anonymous = openTestClient();
    await assert.rejects(
      anonymous.source(server.reference("app:v1")),
      /gives no token to somebody who is not/,
    );
  });

  it("that could break out of a header, or are none, are refused", async () => {
    for (const body of ['{"token":"a\\r\\nX: y"}', "{}", "null", "[", '{"token":7}']) {
      await using server = await tokenServer(() => ({ body }));
      await using client = openTestClient();
      assert.equal(await codeOf(client.source(server.reference("app:v1"))), "auth-token-invalid", body);
    }
  });
});

/** Who logged in is told that the password is wrong, and what to do. */
async function saysWrong(promise: Promise<unknown>, host: string): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof VitrineError);
    assert.equal(error.code, "registry-unauthorized");
    assert.match(error.message, /does not accept the user name or the password/);
    assert.ok(error.hint?.includes(`vitrine login ${host}`));
    return true;
  });
}

describe("basic", () => {
  it("is sent only when asked, and not without credentials", async () => {
    const answer = (asked: Asked): Answer =>
      isPing(asked)
        ? {}
        : asked.headers.authorization === undefined
          ? { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }
          : manifest;
    await using server = await startScripted(answer);
    await using client = openTestClient({ credentials: password });
    await client.source(server.reference("app:v1"));
    assert.equal(server.asked.find((asked) => !isPing(asked))!.headers.authorization, undefined);
    await using anonymous = openTestClient();
    assert.equal(await codeOf(anonymous.source(server.reference("app:v1"))), "registry-unauthorized");
  });

  it("that is refused is not repeated", async () => {
    await using server = await startScripted((asked) =>
      isPing(asked) ? {} : { status: 401, headers: { "www-authenticate": "Basic realm=x" } },
    );
    await using client = openTestClient({ credentials: password });
    await saysWrong(client.source(server.reference("app:v1")), server.host);
    assert.equal(server.asked.filter((asked) => !isPing(asked)).length, 2);
    await using anonymous = openTestClient();
    await assert.rejects(anonymous.source(server.reference("app:v1")), /wants to know who you are/);
  });
});

describe("login", () => {
  const guarded = (asked: Asked): Answer => {
    const good = asked.headers.authorization === `Basic ${Buffer.from("me:pä:ss").toString("base64")}`;
    return good ? {} : { status: 401, headers: { "www-authenticate": "Basic realm=x" } };
  };

  it("asks /v2/ with the credentials", async () => {
    await using server = await startScripted(guarded);
    await using client = openTestClient();
    await client.verifyLogin(server.host, password);
    const wrong: Credentials = { kind: "password", user: "me", password: "no" };
    await saysWrong(client.verifyLogin(server.host, wrong), server.host);
  });

  it("knows what is no registry", async () => {
    await using server = await startScripted(() => ({ status: 404 }));
    await using client = openTestClient();
    assert.equal(await codeOf(client.verifyLogin(server.host, password)), "registry-unsupported");
  });
});
