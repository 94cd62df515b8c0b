import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { downloadFrom } from "./download.ts";
import { type HttpResponse, ResponseHeaders } from "./http.ts";
import {
  type Answer,
  type Asked,
  codeOf,
  drain,
  openTestClient,
  startScripted,
  testImage,
} from "./testing.ts";
import { defaultTiming } from "./transport.ts";

const layer = Buffer.from(Uint8Array.from({ length: 5000 }, (_, at) => (at * 7 + (at >> 8)) & 255));
const image = testImage(layer);

/** The part of the layer that a Range asks for. */
function ranged({ headers }: Asked): Answer {
  const match = /^bytes=(\d+)-$/.exec(headers.range ?? "");
  if (match === null) return { body: layer };
  const start = Number(match[1]);
  return {
    status: 206,
    headers: { "content-range": `bytes ${start}-${layer.length - 1}/${layer.length}` },
    body: layer.subarray(start),
  };
}

async function download(answer: (asked: Asked) => Answer, options = {}) {
  await using server = await startScripted((asked) => (asked.target === "/v2/" ? {} : answer(asked)));
  await using client = openTestClient(options);
  const repository = await client.repository(server.reference("app"));
  let bytes: Buffer = Buffer.alloc(0);
  const code = await codeOf(drain(repository.openBlob(image.layer)).then((all) => (bytes = all)));
  return { code, bytes, asked: server.asked.slice(1) };
}

describe("blobs", () => {
  it("go on by Range after a cut at any byte", async () => {
    for (const cutAt of [0, 1, 2, 100, 2500, 4998, 4999, 5000]) {
      const { code, bytes, asked } = await download((request) =>
        request.before === 0 && request.headers.range === undefined
          ? { ...ranged(request), cutAt }
          : ranged(request),
      );
      assert.equal(code, "no error", `cut at ${cutAt}`);
      assert.ok(bytes.equals(layer), `cut at ${cutAt}`);
      if (cutAt > 0 && cutAt < 5000) assert.equal(asked[1]!.headers.range, `bytes=${cutAt}-`);
    }
  });

  it("go on where the registry has no ranges", async () => {
    const { code, bytes } = await download(({ before }) =>
      before === 0 ? { body: layer, cutAt: 3000 } : { body: layer },
    );
    assert.equal(code, "no error");
    assert.ok(bytes.equals(layer));
  });

  it("end when every connection breaks", async () => {
    const { code, asked } = await download((request) => ({ ...ranged(request), cutAt: 1 }));
    assert.equal(code, "download-broken");
    assert.equal(asked.length, 4);
  });

  it("without end stop after what was to come, also for who does not verify", async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<Uint8Array, void> {
      for (; given < 100; given++) yield layer;
    }
    const body = endless();
    const response: HttpResponse = {
      status: 200,
      url: new URL("http://registry.example/"),
      headers: new ResponseHeaders([]),
      body,
      discard: () => Promise.resolve(),
    };
    let bytes = 0;
    const options = { timing: defaultTiming, request: async () => response, onNote: () => undefined };
    for await (const chunk of downloadFrom(image.layer, 0, options)) bytes += chunk.length;
    assert.ok(bytes <= 2 * layer.length, `${bytes} bytes`);
    assert.ok(given <= 2);
  });

  it("of a wrong digest or length are refused", async () => {
    const other = Buffer.from(layer);
    other[77]! ^= 1;
    assert.equal((await download(() => ({ body: other }))).code, "content-digest-mismatch");
    assert.equal(
      (await download(() => ({ body: Buffer.concat([layer, layer]) }))).code,
      "content-size-mismatch",
    );
    assert.equal((await download(() => ({ endless: true }))).code, "content-size-mismatch");
    assert.equal((await download(() => ({ body: layer.subarray(1) }))).code, "download-broken");
  });

  it("whose second part is another blob's are refused", async () => {
    const { code } = await download((request) => {
      if (request.headers.range === undefined) return { body: layer, cutAt: 1000 };
      const part = ranged(request);
      return { ...part, body: Buffer.from(part.body as Uint8Array).fill(0) };
    });
    assert.equal(code, "content-digest-mismatch");
  });

  it("are asked for whole where a range comes that was not asked for", async () => {
    const wrong = ["bytes 0-4999/5000", "bytes 1000-4999/9999", "bytes -5/x", "", "pages 1-2/3"];
    const answers: readonly Answer[] = [
      ...wrong.map((range) => ({
        status: 206,
        headers: { "content-range": range },
        body: layer.subarray(1000),
      })),
      { status: 416 },
    ];
    for (const answer of answers) {
      const { code, bytes, asked } = await download((request) => {
        if (request.headers.range !== undefined) return answer;
        return request.before === 0 ? { body: layer, cutAt: 1000 } : { body: layer };
      });
      assert.equal(code, "no error", JSON.stringify(answer.headers));
      assert.ok(bytes.equals(layer));
      assert.deepEqual(
        asked.map(({ headers }) => headers.range),
        [undefined, "bytes=1000-", undefined],
      );
    }
  });

  it("that are not there, or not ours, are told at once", async () => {
    const gone = await download(() => ({ status: 404 }));
    assert.equal(gone.code, "blob-unknown");
    assert.equal(gone.asked.length, 1);
    assert.equal((await download(() => ({ status: 416 }))).code, "registry-refused");
  });

  it("that drip or stop are given up", async () => {
    assert.equal(
      (await download(() => ({ body: layer, drip: 40 }), { timing: { idle: 1000 } })).code,
      "download-broken",
    );
  });
});
