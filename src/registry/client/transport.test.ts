import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { limits } from "../../base/mod.ts";
import { digestOf, mediaTypes } from "../../oci/mod.ts";
import { type Answer, type Asked, codeOf, openTestClient, startScripted, testImage } from "./testing.ts";

const image = testImage(Buffer.from("layer"));
const manifestAnswer: Answer = {
  headers: { "content-type": mediaTypes.manifest, "docker-content-digest": image.manifest.digest },
  body: image.bytes(image.manifest.digest),
};
const isPing = (asked: Asked): boolean => asked.target === "/v2/";

const impatient = { timing: { idle: 300 } };

/** Gets app:v1 from a server that answers its manifest as given; the ping is always fine. */
async function pull(answer: (asked: Asked, host: string) => Answer, options = {}) {
  let host = "";
  await using server = await startScripted((asked) => (isPing(asked) ? {} : answer(asked, host)));
  host = server.host;
  await using client = openTestClient(options);
  const notes: unknown[] = [];
  const code = await codeOf(
    client.source(server.reference("app:v1")).then((source) => notes.push(source.root)),
  );
  return { code, root: notes[0], asked: server.asked.filter((asked) => !isPing(asked)) };
}

describe("manifests", () => {
  it("are taken as they are, and asked for by type", async () => {
    const { root, asked } = await pull(() => manifestAnswer);
    assert.deepEqual(root, image.manifest);
    assert.match(String(asked[0]!.headers.accept), /oci\.image\.index/);
  });

  it("are held against the digest that the registry says", async () => {
    const wrong = {
      "content-type": mediaTypes.manifest,
      "docker-content-digest": digestOf(Buffer.from("x")),
    };
    assert.equal((await pull(() => ({ ...manifestAnswer, headers: wrong }))).code, "content-digest-mismatch");
  });

  it("must be what the header says they are (CVE-2021-41190)", async () => {
    const headers = { "content-type": mediaTypes.index };
    assert.equal((await pull(() => ({ ...manifestAnswer, headers }))).code, "manifest-media-type-mismatch");
  });

  it("may have parameters or a useless type", async () => {
    for (const type of [`${mediaTypes.manifest}; charset=utf-8`, "application/octet-stream"]) {
      const { code } = await pull(() => ({ ...manifestAnswer, headers: { "content-type": type } }));
      assert.equal(code, "no error");
    }
  });

  it("of 100 MB are refused, whether the length is said or not", async () => {
    const size = 100 * 1024 * 1024;
    assert.equal((await pull(() => ({ ...manifestAnswer, length: size }))).code, "manifest-too-large");
    assert.equal((await pull(() => ({ ...manifestAnswer, endless: true }))).code, "manifest-too-large");
    assert.ok(limits.manifestBytes < size);
  });

  it("that nobody wants are not waited for", async () => {
    const hour = 3_600_000;
    const patient = { timing: { idle: hour } };
    const large = { ...manifestAnswer, length: 100 * 1024 * 1024, drip: hour };
    assert.equal((await pull(() => large, patient)).code, "manifest-too-large");
    const { code } = await pull(
      ({ target }) =>
        target.endsWith("/other")
          ? manifestAnswer
          : { status: 307, headers: { location: "/other" }, body: "so slow", drip: hour },
      patient,
    );
    assert.equal(code, "no error");
  });

  it("that are no JSON are an error", async () => {
    const headers = { "content-type": mediaTypes.manifest };
    assert.equal((await pull(() => ({ headers, body: "<html>" }))).code, "json-syntax");
  });
});

describe("faults on the way", () => {
  it("a cut connection is tried again", async () => {
    const { code, asked } = await pull(({ before }) =>
      before < 2 ? { ...manifestAnswer, raw: "" } : manifestAnswer,
    );
    assert.equal(code, "no error");
    assert.equal(asked.length, 3);
  });

  it("a server that never mends is given up", async () => {
    const { code, asked } = await pull(() => ({ raw: "" }));
    assert.equal(code, "registry-connection-broken");
    assert.equal(asked.length, 4);
  });

  it("503 is tried again, 403 is not", async () => {
    const mended = await pull(({ before }) => (before === 0 ? { status: 503 } : manifestAnswer));
    assert.equal(mended.code, "no error");
    const denied = await pull(() => ({ status: 403 }));
    assert.equal(denied.code, "registry-denied");
    assert.equal(denied.asked.length, 1);
  });

  it("429 is waited for as asked, and tells the limit when that is too long", async () => {
    const short = await pull(({ before }) =>
      before === 0 ? { status: 429, headers: { "retry-after": "0" } } : manifestAnswer,
    );
    assert.equal(short.code, "no error");
    await using server = await startScripted((asked) =>
      isPing(asked)
        ? {}
        : { status: 429, headers: { "retry-after": "3600", "ratelimit-limit": "100;w=21600" } },
    );
    await using client = openTestClient();
    await assert.rejects(client.source(server.reference("app:v1")), (error: Error) => {
      assert.match(error.message, /100 requests in 360 minutes; try again in 3600 s/);
      return true;
    });
  });

  it("silence and dripping end", async () => {
    assert.equal((await pull(() => ({ silent: true }), impatient)).code, "registry-timeout");
    assert.equal((await pull(() => ({ ...manifestAnswer, drip: 50 }), impatient)).code, "registry-timeout");
  });

  it("garbage is no HTTP, too many headers are refused", async () => {
    assert.equal((await pull(() => ({ raw: "BLAH BLAH\r\n\r\n" }))).code, "registry-malformed-response");
    const header = `X-Pad: ${"a".repeat(1000)}\r\n`;
    const raw = `HTTP/1.1 200 OK\r\n${header.repeat(200)}Content-Length: 2\r\n\r\n{}`;
    assert.equal((await pull(() => ({ raw }))).code, "registry-malformed-response");
  });

  it("errors of the registry are told", async () => {
    const body = JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "no \u001b[31m such" }] });
    assert.equal((await pull(() => ({ status: 404, body }))).code, "manifest-unknown");
    assert.equal((await pull(() => ({ status: 404, body: "gone" }))).code, "manifest-unknown");
    assert.equal((await pull(() => ({ status: 500, body: "x" }))).code, "registry-unavailable");
  });
});

describe("redirects", () => {
  it("are followed, loops and chains are not", async () => {
    const moved = (location: string, status = 307): Answer => ({ status, headers: { location } });
    const once = await pull((asked) => (asked.target.includes("else") ? manifestAnswer : moved("/else")));
    assert.equal(once.code, "no error");
    const loop = await pull((asked) => moved(asked.target === "/a" ? "/b" : "/a"));
    assert.equal(loop.code, "redirect-loop");
    let count = 0;
    const chain = await pull(() => moved(`/${count++}`));
    assert.equal(chain.code, "redirect-too-many");
    assert.equal((await pull(() => moved("file:///etc/passwd"))).code, "redirect-invalid");
  });

  it("never take who we are to another host", async () => {
    await using other = await startScripted(() => manifestAnswer);
    await using server = await startScripted((asked): Answer => {
      if (asked.headers.authorization === undefined) {
        return { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } };
      }
      return isPing(asked) ? {} : { status: 307, headers: { location: `http://${other.host}/blob` } };
    });
    await using client = openTestClient({
      credentials: { kind: "password", user: "me", password: "secret" },
    });
    await client.source(server.reference("app:v1"));
    assert.equal(other.asked.length, 1);
    assert.equal(other.asked[0]!.headers.authorization, undefined);
    assert.ok(server.asked.some(({ headers }) => headers.authorization !== undefined));
  });
});

describe("warnings", () => {
  it("are told once each", async () => {
    const told: string[] = [];
    const headers = {
      "content-type": mediaTypes.manifest,
      warning: ['299 - "old"', '299 - "very old"', '199 - "not ours"'],
    };
    await using server = await startScripted((asked) =>
      isPing(asked) ? {} : { ...manifestAnswer, headers },
    );
    await using client = openTestClient({ onWarning: (_registry, text) => told.push(text) });
    await client.source(server.reference("app:v1"));
    await client.source(server.reference("app:v1"));
    assert.deepEqual(told, ["old", "very old"]);
  });
});
