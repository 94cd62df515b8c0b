import assert from "node:assert/strict";
import { createHash, randomFillSync } from "node:crypto";
import * as http from "node:http";
import * as net from "node:net";
import { test } from "node:test";
import { digestOf } from "../../../oci/mod.ts";
import { startRegistry } from "../registry.ts";
import { TestClient } from "../testing.ts";
import { placeOf } from "./connection.ts";
import { openConveyor } from "./sendfile.ts";

/** Larger than a connection's buffers, and no multiple of any piece. */
const content = randomFillSync(Buffer.alloc(9 * 1024 * 1024 + 12_345));
const digest = digestOf(content);

/** One connection: asks for the ranges one after the other and reads in its own way; the hashes of the bodies. */
function fetchRanges(
  port: number,
  ranges: readonly (readonly [first: number, last: number])[],
  onChunk: (socket: net.Socket) => void,
): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const hashes: string[] = [];
    const socket = net.connect(port, "127.0.0.1");
    let head = "";
    let hash = createHash("sha256");
    let left = 0;
    const ask = (): void => {
      const [first, last] = ranges[hashes.length]!;
      socket.write(
        `GET /v2/big/blobs/${digest} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=${first}-${last}\r\n\r\n`,
      );
    };
    socket.on("connect", ask);
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed early")));
    socket.on("data", (data: Buffer) => {
      let body = data;
      if (left === 0) {
        head += data.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end === -1) return;
        assert.match(head, /^HTTP\/1\.1 206 /);
        left = Number(/content-length: (\d+)/i.exec(head)![1]);
        body = Buffer.from(head.slice(end + 4), "latin1");
        head = "";
      }
      hash.update(body);
      left -= body.length;
      assert.ok(left >= 0, "more than was asked for");
      if (left === 0 && body.length > 0) {
        hashes.push(hash.digest("hex"));
        hash = createHash("sha256");
        if (hashes.length === ranges.length) {
          socket.removeAllListeners("close");
          socket.destroy();
          resolve(hashes);
          return;
        }
        ask();
      }
      onChunk(socket);
    });
  });
}

const hashOf = (first: number, last: number): string =>
  createHash("sha256")
    .update(content.subarray(first, last + 1))
    .digest("hex");

test("a blob comes whole to readers that are fast, slow or leave, several at once on kept connections", async () => {
  await using registry = await startRegistry();
  await new TestClient(registry.url).pushBlob("big", content);
  const end = content.length - 1;
  const ranges = [
    [0, end],
    [1, end - 1],
    [4_000_001, 4_000_001 + 3_000_000],
    [0, end],
  ] as const;
  const wanted = ranges.map(([first, last]) => hashOf(first, last));
  const slow = (socket: net.Socket): void => {
    socket.pause();
    setTimeout(() => socket.resume(), Math.random() * 8);
  };
  let seen = 0;
  const leaves = fetchRanges(registry.port, ranges, (socket) => {
    seen += 1;
    if (seen === 5) socket.destroy();
  });
  const readers = [() => undefined, () => undefined, slow, slow, slow].map((how) =>
    fetchRanges(registry.port, ranges, how),
  );
  await assert.rejects(leaves, /closed early/);
  for (const hashes of await Promise.all(readers)) assert.deepEqual(hashes, wanted);
  assert.equal(
    (await new TestClient(registry.url).get(`/v2/big/blobs/${digest}`)).body.equals(content),
    true,
  );
});

test("addresses are compared as the kernel has them", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["127.0.0.1", "00000000000000000000ffff7f000001:80"],
    ["::ffff:127.0.0.1", "00000000000000000000ffff7f000001:80"],
    ["::1", "00000000000000000000000000000001:80"],
    ["2001:db8::1:2", "20010db8000000000000000000010002:80"],
    ["fe80::a:b%eth0", "fe8000000000000000000000000a000b:80"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008:80"],
  ];
  for (const [text, place] of cases) assert.equal(placeOf(text, 80), place);
});

test("where the runtime calls C, the kernel is found a way to each connection", async () => {
  const found: boolean[] = [];
  const server = http.createServer(async (request, response) => {
    found.push((await openConveyor(request.socket)) !== undefined);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  for (let turn = 0; turn < 2; turn++) {
    await new Promise<void>((resolve, reject) => {
      http
        .get({ port, host: "127.0.0.1", agent: false }, (answer) => answer.resume().on("end", resolve))
        .on("error", reject);
    });
  }
  server.close();
  assert.deepEqual(found, "Bun" in globalThis ? [true, true] : [false, false]);
});
