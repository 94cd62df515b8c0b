import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, describe, it } from "node:test";
import { readFileStream, verified } from "../../base/mod.ts";
import { expectedContent } from "../../image/mod.ts";
import { type Descriptor, digestOf } from "../../oci/mod.ts";
import { canSendFile, sendFile } from "./send-file.ts";
import { type Answer, type Asked, codeOf, openTestClient, startScripted } from "./testing.ts";

/** Node's `fetch` sends no file without reading it: there everything goes as ever, with the same outcome. */
const hands = "Bun" in globalThis;
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "send-file-"));
after(() => fs.rmSync(directory, { recursive: true }));

const bytes = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, at) => (at * 31 + (at >> 11)) & 255));
const descriptor: Descriptor = {
  mediaType: "application/octet-stream",
  digest: digestOf(bytes),
  size: bytes.length,
};
const file = path.join(directory, "blob");
fs.writeFileSync(file, bytes);

/** As a layout's: verified where it is read. */
const blobOf = (place: string) => ({
  descriptor,
  file: {
    path: place,
    check: () => verified(readFileStream(place, { passing: true }), expectedContent(descriptor)),
  },
  open: () => verified(readFileStream(place), expectedContent(descriptor)),
});

/** Keeps one upload; `fault` answers in its place. */
async function startKeeper(fault: (asked: Asked) => Answer | undefined = () => undefined) {
  let held = Buffer.alloc(0);
  const kept: Buffer[] = [];
  const server = await startScripted((asked) => {
    const broken = fault(asked);
    if (broken !== undefined) return broken;
    const place = () => ({ location: "/v2/app/blobs/uploads/1", range: `0-${Math.max(0, held.length - 1)}` });
    if (asked.target === "/v2/") return {};
    if (asked.method === "HEAD") return { status: 404 };
    if (asked.method === "POST") {
      held = Buffer.alloc(0);
      return { status: 202, headers: place() };
    }
    if (asked.method === "DELETE" || asked.method === "GET") return { status: 204, headers: place() };
    held = Buffer.concat([held, asked.body]);
    if (asked.method === "PATCH") return { status: 202, headers: place() };
    kept.push(held);
    return { status: 201, headers: { location: "/x" } };
  });
  return { server, kept };
}

async function put(keeper: Awaited<ReturnType<typeof startKeeper>>, place = file) {
  await using client = openTestClient();
  const repository = await client.repository(keeper.server.reference("app"));
  let told = 0;
  const outcome = await codeOf(
    repository.putBlob({
      ...blobOf(place),
      onProgress: (more) => {
        told += more;
      },
    }),
  );
  return { outcome, told };
}

const uploads = (asked: readonly Asked[]) =>
  asked.filter(({ target }) => target.includes("uploads")).map(({ method }) => method);

describe("a blob in a file, to a registry of this machine", () => {
  it("is handed to the kernel whole, and closed when it was verified", async () => {
    const keeper = await startKeeper();
    await using _server = keeper.server;
    assert.deepEqual(await put(keeper), { outcome: "no error", told: bytes.length });
    assert.ok(keeper.kept.length === 1 && keeper.kept[0]!.equals(bytes));
    assert.deepEqual(uploads(keeper.server.asked), hands ? ["POST", "PATCH", "PUT"] : ["POST", "PUT"]);
  });

  it("is never closed where the file holds other bytes", async () => {
    const other = path.join(directory, "other");
    fs.writeFileSync(other, Buffer.from(bytes).fill(0, 2_000_000));
    const keeper = await startKeeper();
    await using _server = keeper.server;
    assert.equal((await put(keeper, other)).outcome, "content-digest-mismatch");
    assert.equal(keeper.kept.length, 0);
  });

  for (const [what, answer] of Object.entries({
    "refuses it": { status: 413 },
    "fails at it": { status: 500 },
    "wants to know who we are": { status: 401 },
    "has a part of it alone": {
      status: 202,
      headers: { location: "/v2/app/blobs/uploads/1", range: "0-1000" },
    },
    "does not say where it is": { status: 202 },
    "leads elsewhere": { status: 307, headers: { location: "/elsewhere" } },
    "speaks no HTTP": { raw: "what?" },
  } satisfies Record<string, Answer> as Record<string, Answer>)) {
    it(`is sent as ever where the registry ${what}`, async () => {
      let refused = 0;
      const keeper = await startKeeper(({ method }) =>
        method === "PATCH" && refused++ === 0 ? answer : undefined,
      );
      await using _server = keeper.server;
      assert.deepEqual(await put(keeper), { outcome: "no error", told: bytes.length });
      assert.ok(keeper.kept.length === 1 && keeper.kept[0]!.equals(bytes));
      assert.equal(refused, hands ? 1 : 0);
    });
  }

  it("is closed by going on where the answer to that is lost", async () => {
    let puts = 0;
    const keeper = await startKeeper(({ method }) =>
      hands && method === "PUT" && puts++ === 0 ? { raw: "" } : undefined,
    );
    await using _server = keeper.server;
    assert.equal((await put(keeper)).outcome, "no error");
    assert.ok(keeper.kept.length === 1 && keeper.kept[0]!.equals(bytes));
    assert.deepEqual(
      uploads(keeper.server.asked),
      hands ? ["POST", "PATCH", "PUT", "GET", "PUT"] : ["POST", "PUT"],
    );
  });

  it("is not waited for without end", async () => {
    const keeper = await startKeeper(({ method }) => (method === "PATCH" ? { silent: true } : undefined));
    await using _server = keeper.server;
    const url = new URL(`http://${keeper.server.host}/v2/app/blobs/uploads/1`);
    assert.equal(canSendFile(descriptor, url), hands);
    if (hands) assert.equal(await sendFile(blobOf(file).file, url, {}, 50), undefined);
  });

  it("goes this way only to this machine, without TLS, and where it is worth it", () => {
    for (const place of ["https://localhost:5000/", "http://registry.invalid/", "http://10.0.0.1:5000/"]) {
      assert.equal(canSendFile(descriptor, new URL(place)), false, place);
    }
    const here = new URL("http://localhost:5000/");
    assert.equal(canSendFile({ ...descriptor, size: 1000 }, here), false);
  });
});
