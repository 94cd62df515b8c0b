import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { digestOf } from "../../../oci/mod.ts";
import { type Registry, type RegistryOptions, startRegistry } from "../registry.ts";
import { TestClient, until } from "../testing.ts";
import { beginHash, decodeReport, encodeOrder, hashedBytes } from "./wire.ts";

const helperPath =
  process.env["VITRINE_TEST_HELPER"] ?? path.resolve(import.meta.dirname, "../../../../dist/vitrine-helper");
/** Why bodies cannot pass beside this process; then all of these went through it. */
const unable = !("Bun" in globalThis)
  ? "this runtime does not call C: the served registry's tests do this with the command"
  : !fs.existsSync(helperPath)
    ? "dist/vitrine-helper is not built"
    : false;

/** Counts what was carried. */
async function start(
  options: RegistryOptions = {},
): Promise<{ registry: Registry; carried: () => { in: number; out: number; chunks: number } }> {
  const registry = await startRegistry({ ...options, helperPath });
  const { carrier } = registry.service;
  assert.ok(carrier !== undefined);
  const counts = { in: 0, out: 0, chunks: 0 };
  const take = carrier.take.bind(carrier);
  carrier.take = async (socket) => {
    const place = await take(socket);
    if (place === undefined) return undefined;
    return {
      carry: (file, order) => {
        counts[order.kind] += 1;
        return place.carry(file, order);
      },
      peek: place.peek,
      consumed: place.consumed,
      ahead: place.ahead,
      [Symbol.dispose]: () => place[Symbol.dispose](),
    };
  };
  return { registry, carried: () => counts };
}

/** One connection: writes the pieces, each after a moment; what came until it was closed: at `end` by us, once the system has all. */
async function talk(port: number, pieces: readonly (string | Uint8Array)[], end = false): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (data: Buffer) => {
    text += data.toString("latin1");
  });
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  let sent = Promise.resolve();
  for (const piece of pieces) {
    sent = new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  if (end) {
    await Promise.race([sent, closed]);
    socket.destroy();
  }
  await closed;
  return text;
}

const body = randomFillSync(Buffer.alloc(5 * 1024 * 1024 + 77));

async function begin(client: TestClient): Promise<string> {
  const { headers } = await client.request("POST", "/v2/big/blobs/uploads/");
  return String(headers["location"]);
}

test("orders and reports are what the helper's are", () => {
  const order = encodeOrder({
    id: 5n,
    kind: "in",
    position: 2 ** 40 + 1,
    count: 9,
    windowMilliseconds: 7,
    leastBytes: 3,
  });
  assert.equal(order.length, 160);
  assert.equal(new DataView(order.buffer).getBigUint64(16, true), 2n ** 40n + 1n);
  assert.equal(hashedBytes(beginHash()), 0);
  const report = new Uint8Array(200);
  const view = new DataView(report.buffer);
  view.setInt32(8, 28, true);
  view.setUint32(12, 1, true);
  view.setBigUint64(24 + 32, 12n, true);
  const { error, ofFile, hash } = decodeReport(report);
  assert.deepEqual([error, ofFile, hashedBytes(hash)], [28, true, 12]);
});

test("large bodies pass beside the process, in both directions, whole", {
  skip: unable,
  timeout: 300_000,
}, async () => {
  const { registry, carried } = await start();
  await using _registry = registry;
  const client = new TestClient(registry.url);
  for (const size of [256 * 1024, 1024 * 1024, 9 * 1024 * 1024 + 123, 40 * 1024 * 1024]) {
    const content = randomFillSync(Buffer.alloc(size));
    const digest = await client.pushBlob("big", content);
    const got = await client.get(`/v2/big/blobs/${digest}`);
    assert.ok(got.body.equals(content));
    const part = await client.get(`/v2/big/blobs/${digest}`, { Range: `bytes=17-${size - 5}` });
    assert.ok(part.body.equals(content.subarray(17, size - 4)));
  }
  // An upload of less than 1 MiB and a range of less than 256 KiB go the other way.
  assert.deepEqual(carried(), { in: 3, out: 7, chunks: 0 });
});

test("a chunk may come either way, and the digest is that of all", { skip: unable }, async () => {
  const { registry, carried } = await start();
  await using _registry = registry;
  const client = new TestClient(registry.url);
  const chunks = [100, 3 << 20, 200_000, 2 << 20, 30 << 20, 5].map((size) =>
    randomFillSync(Buffer.alloc(size)),
  );
  let location = await begin(client);
  for (const chunk of chunks) {
    const answer = await client.request("PATCH", location, { body: chunk });
    assert.equal(answer.status, 202);
    location = String(answer.headers["location"]);
  }
  const whole = Buffer.concat(chunks);
  const put = await client.request("PUT", `${location}?digest=${digestOf(whole)}`);
  assert.equal(put.status, 201, put.text());
  assert.equal(carried().in, 3);
  assert.ok((await client.get(`/v2/big/blobs/${digestOf(whole)}`)).body.equals(whole));
});

test("what came with the headers is not lost, and a wrong digest is refused", { skip: unable }, async () => {
  const { registry } = await start();
  await using _registry = registry;
  const client = new TestClient(registry.url);
  const put = (location: string, digest: string): string =>
    `PUT ${new URL(location, registry.url).pathname}?digest=${digest} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  for (const first of [1, 30_000, 2 << 20, body.length]) {
    const head = Buffer.from(put(await begin(client), digestOf(body)));
    const answer = await talk(registry.port, [
      Buffer.concat([head, body.subarray(0, first)]),
      body.subarray(first),
    ]);
    assert.match(answer, /^HTTP\/1.1 201 /);
  }
  const wrong = digestOf(Buffer.from("something else"));
  const refused = await talk(registry.port, [put(await begin(client), wrong), body]);
  assert.match(refused, /^HTTP\/1.1 400 [\s\S]*DIGEST_INVALID/);
});

test("a connection that breaks leaves what came of it, and the upload goes on", {
  skip: unable,
}, async () => {
  await using stack = new AsyncDisposableStack();
  // In memory, where space is asked for before it is filled.
  const root = fs.mkdtempSync("/dev/shm/vitrine-test-");
  stack.defer(() => fs.rmSync(root, { recursive: true, force: true }));
  const { registry } = await start({ root });
  stack.use(registry);
  const client = new TestClient(registry.url);
  const location = await begin(client);
  const at = new URL(location, registry.url).pathname;
  const cut = 3 * 1024 * 1024 + 5;
  const head = `PATCH ${at} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  assert.equal(await talk(registry.port, [head, body.subarray(0, cut)], true), "");
  const held = await heldWhenIdle(registry, at);
  const data = path.join(root, "uploads", path.basename(at), "data");
  const { size, blocks } = fs.statSync(data);
  assert.deepEqual([size, blocks * 512], [held, Math.ceil(held / 4096) * 4096]);
  const rest = await client.request("PATCH", at, {
    body: body.subarray(held),
    headers: { "Content-Range": `${held}-${body.length - 1}` },
  });
  assert.equal(rest.status, 202, rest.text());
  const put = await client.request("PUT", `${at}?digest=${digestOf(body)}`);
  assert.equal(put.status, 201, put.text());
});

/** How much an upload holds once nobody writes to it, some of it at least. */
async function heldWhenIdle({ service, url }: Registry, at: string): Promise<number> {
  const upload = (await service.uploads.find("big", path.basename(at)))!;
  await until(() => upload.size >= 256 * 1024 && !upload.busy);
  const range = String((await new TestClient(url).get(at)).headers["range"]);
  return Number(range.split("-")[1]) + 1;
}

/** As Go writes them: a piece and its frame each. */
function inChunks(content: Uint8Array, size: number): Buffer {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += size) {
    const piece = content.subarray(at, at + size);
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

const chunkedHead = (at: string) => `PATCH ${at} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`;

/** Written at once, as fast as they are taken, the last one a moment later; the answer's head, or what came until it was closed. */
async function sendAll(
  port: number,
  pieces: readonly (string | Uint8Array)[],
  last: Uint8Array = new Uint8Array(0),
): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  let text = "";
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("data", (data: Buffer) => {
    text += data.toString("latin1");
    if (text.includes("\r\n\r\n")) resolve();
  });
  socket.on("error", () => undefined);
  socket.once("close", () => resolve());
  for (const piece of pieces) socket.write(piece);
  if (last.length > 0) setTimeout(() => socket.write(last), 30);
  await promise;
  socket.destroy();
  return text;
}

test("a body in chunks is whole, whichever way its end comes", {
  skip: unable,
  timeout: 300_000,
}, async () => {
  const { registry, carried } = await start();
  await using _registry = registry;
  const client = new TestClient(registry.url);
  const content = randomFillSync(Buffer.alloc(12 * 1024 * 1024 + 5));
  let beside = 0;
  for (const [size, most] of [
    [32 * 1024, content.length],
    [4096, content.length],
    [1, 40_000],
    [100_000, 90_000],
    [5 * 1024 * 1024, content.length],
    [1000, 300_000],
  ] as const) {
    const whole = content.subarray(0, most);
    for (const [cut, tail] of [
      [0, 0],
      [1, 5],
      [3000, 2],
    ] as const) {
      const at = new URL(await begin(client), registry.url).pathname;
      const framed = inChunks(whole, size);
      const head = Buffer.concat([Buffer.from(chunkedHead(at)), framed.subarray(0, cut)]);
      const end = framed.length - tail;
      const answer = await sendAll(registry.port, [head, framed.subarray(cut, end)], framed.subarray(end));
      assert.match(answer, /^HTTP\/1.1 202 /);
      if (carried().chunks > beside) assert.match(answer, /\r\nConnection: close\r\n/i);
      beside = carried().chunks;
      const put = await client.request("PUT", `${at}?digest=${digestOf(whole)}`);
      assert.equal(put.status, 201, put.text());
      assert.ok((await client.get(`/v2/big/blobs/${digestOf(whole)}`)).body.equals(whole));
    }
  }
  // The runtime may read all before it is known where the chunks are; not three times of 12 MiB.
  assert.ok(beside > 0);
});

test("who waits to be told so is told to go on, and his body passes beside the process", {
  skip: unable,
  timeout: 300_000,
}, async () => {
  const { registry, carried } = await start();
  await using _registry = registry;
  const client = new TestClient(registry.url);
  const content = randomFillSync(Buffer.alloc(12 * 1024 * 1024 + 5));
  for (const [kind, framing, framed] of [
    ["in", `Content-Length: ${content.length}`, content],
    ["chunks", "Transfer-Encoding: chunked", inChunks(content, 32 * 1024)],
  ] as const) {
    // Of chunks the runtime may read all before it is known where they are.
    for (let tries = 0; tries < 3 || (carried()[kind] === 0 && tries < 20); tries++) {
      const at = new URL(await begin(client), registry.url).pathname;
      const head = `PATCH ${at} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n${framing}\r\n\r\n`;
      const answer = await sendWhenTold(registry.port, head, framed, tries === 0);
      assert.match(answer, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 202 /);
      const put = await client.request("PUT", `${at}?digest=${digestOf(content)}`);
      assert.equal(put.status, 201, put.text());
    }
    assert.ok(carried()[kind] > 0, kind);
  }
});

/** The body at once where it is `hasty`, else after the interim answer; both answers' heads. */
async function sendWhenTold(port: number, head: string, framed: Uint8Array, hasty: boolean): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  let text = "";
  let waits = !hasty;
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("data", (data: Buffer) => {
    text += data.toString("latin1");
    const heads = text.split("\r\n\r\n").length - 1;
    if (waits && heads > 0) {
      waits = false;
      socket.write(framed);
    }
    if (heads > 1) resolve();
  });
  socket.on("error", () => undefined);
  socket.once("close", () => resolve());
  socket.write(head);
  if (hasty) socket.write(framed);
  await promise;
  socket.destroy();
  return text;
}

test("chunks that are none, too many or cut off end as such, and the upload goes on", {
  skip: unable,
  timeout: 300_000,
}, async () => {
  const { registry, carried } = await start({ limits: { blobBytes: 20 << 20 } });
  await using _registry = registry;
  const client = new TestClient(registry.url);
  const content = randomFillSync(Buffer.alloc(16 << 20));
  const framed = inChunks(content, 32 * 1024);
  const send = async (tail: string | Uint8Array): Promise<string> => {
    const at = new URL(await begin(client), registry.url).pathname;
    return sendAll(registry.port, [chunkedHead(at), framed.subarray(0, framed.length - 5), tail]);
  };
  for (let tries = 0; carried().chunks === 0 && tries < 20; tries++)
    assert.match(await send("0\r\n\r\n"), / 202 /);
  for (const tail of ["x\r\n", "5\r\nhelloXX", `1;${"e".repeat(5000)}`, "8000\n"]) {
    assert.match(await send(tail), /^HTTP\/1.1 400 |^$/, tail);
  }
  assert.match(await send(inChunks(content, 32 * 1024)), /^HTTP\/1.1 413 /);
  const at = new URL(await begin(client), registry.url).pathname;
  const cut = framed.length >> 1;
  await talk(registry.port, [chunkedHead(at), framed.subarray(0, cut)], true);
  const held = await heldWhenIdle(registry, at);
  const rest = await client.request("PATCH", at, {
    body: content.subarray(held),
    headers: { "Content-Range": `${held}-${content.length - 1}` },
  });
  assert.equal(rest.status, 202, rest.text());
  const put = await client.request("PUT", `${at}?digest=${digestOf(content)}`);
  assert.equal(put.status, 201, put.text());
});

test("a newer request takes an upload over: the older one gets no answer", { skip: unable }, async () => {
  const { registry, carried } = await start();
  await using _registry = registry;
  const client = new TestClient(registry.url);
  for (const [index, method] of (["PATCH", "DELETE"] as const).entries()) {
    const at = new URL(await begin(client), registry.url).pathname;
    const head = `PATCH ${at} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
    const older = talk(registry.port, [head, body.subarray(0, 2 << 20)]);
    await until(() => carried().in > 2 * index);
    const newer = await client.request(method, at, {
      body: body.subarray(0, method === "PATCH" ? 2 << 20 : 0),
    });
    assert.equal(newer.status, method === "PATCH" ? 202 : 204, newer.text());
    assert.equal(await older, "");
  }
});

test("who sends or reads too slowly is let go", { skip: unable }, async () => {
  await using stack = new AsyncDisposableStack();
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-registry-"));
  stack.defer(() => fs.rmSync(root, { recursive: true, force: true }));
  // While it is pushed nobody looks at the clock.
  const large = randomFillSync(Buffer.alloc(40 * 1024 * 1024));
  let digest = "";
  {
    const { registry: patient } = await start({ root });
    await using _patient = patient;
    digest = await new TestClient(patient.url).pushBlob("big", large);
  }
  const { promise: letGo, resolve: ended } = Promise.withResolvers<void>();
  const { registry } = await start({
    root,
    limits: { progressMilliseconds: 150, progressBytes: 1024, idleMilliseconds: 400 },
    onAnswer: ({ method }) => method === "GET" && ended(),
  });
  stack.use(registry);
  const client = new TestClient(registry.url);
  const at = new URL(await begin(client), registry.url).pathname;
  const head = `PATCH ${at} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  const drops = Array.from({ length: 30 }, () => "x");
  assert.match(await talk(registry.port, [head, ...drops]), /^HTTP\/1.1 408 /);
  const socket = net.connect(registry.port, "127.0.0.1");
  socket.pause();
  socket.on("error", () => undefined);
  socket.write(`GET /v2/big/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await letGo;
  let came = 0;
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("data", (data: Buffer) => {
    came += data.length;
  });
  socket.resume();
  await closed;
  assert.ok(came < large.length, `${came}`);
});

test("when the helper ends, so do bodies under way; the next ones go through the process", {
  skip: unable,
}, async () => {
  const { registry, carried } = await start();
  await using _registry = registry;
  const client = new TestClient(registry.url);
  const at = new URL(await begin(client), registry.url).pathname;
  const head = `PATCH ${at} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  const talking = talk(registry.port, [head, body.subarray(0, 2 << 20)]);
  await until(() => carried().in > 0);
  process.kill(helperOf(process.pid), "SIGKILL");
  assert.equal(await talking, "");
  const digest = await client.pushBlob("big", body);
  assert.equal(digest, digestOf(body));
  assert.equal(carried().in, 1);
});

/** The child of `parent` that carries. */
function helperOf(parent: number): number {
  for (const name of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, "latin1");
      const itsParent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      const words = fs.readFileSync(`/proc/${name}/cmdline`, "latin1").split("\0");
      if (itsParent === parent && words[1] === "convey") return Number(name);
    } catch {}
  }
  throw new Error("no helper");
}
