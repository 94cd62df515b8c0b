import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import * as net from "node:net";
import { test } from "node:test";
import { startRegistry } from "../registry.ts";
import { TestClient } from "../testing.ts";

const unable = "Bun" in globalThis ? false : "this runtime does not call C: nothing is chosen there";

interface Sockets {
  /** Of this process's TCP sockets: whether it listens, the algorithm of its congestion control, how many may wait. */
  list(): readonly { readonly listens: boolean; readonly algorithm: string; readonly queue: number }[];
}

async function openSockets(): Promise<Sockets> {
  const name: string = "bun:ffi";
  const { dlopen } = (await import(name)) as {
    dlopen(library: string, symbols: object): { symbols: { getsockopt: (...args: unknown[]) => number } };
  };
  const { getsockopt } = dlopen("libc.so.6", {
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  }).symbols;
  const option = (fd: number, level: number, name: number): Buffer | undefined => {
    const value = Buffer.alloc(64);
    const length = new Uint32Array([value.length]);
    return getsockopt(fd, level, name, value, length) === 0 ? value : undefined;
  };
  return {
    list: () =>
      fs.readdirSync("/proc/self/fd").flatMap((fd) => {
        const algorithm = option(Number(fd), 6, 13)?.toString("latin1").replace(/\0.*$/s, "");
        const listens = option(Number(fd), 1, 30)?.readUInt32LE() === 1;
        // tcpi_sacked of TCP_INFO, which of a listening socket is the length of its queue.
        const queue = option(Number(fd), 6, 11)?.readUInt32LE(28) ?? 0;
        return algorithm === undefined ? [] : [{ listens, algorithm, queue }];
      }),
  };
}

/** What the kernel allows. */
const longest = Number(fs.readFileSync("/proc/sys/net/core/somaxconn", "latin1"));
const systems = fs.readFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "latin1").trim();

test("where only this machine connects nothing is paced; elsewhere the system's choice stands", {
  skip: unable,
}, async () => {
  const sockets = await openSockets();
  const listening = (): readonly string[] =>
    sockets.list().flatMap(({ listens, algorithm }) => (listens ? [algorithm] : []));
  assert.deepEqual(listening(), []);
  const hosts = ["127.0.0.1", "127.0.0.2", ...(fs.existsSync("/proc/net/if_inet6") ? ["::1"] : [])];
  for (const host of hosts) {
    await using _registry = await startRegistry({ host });
    assert.deepEqual(listening(), ["reno"], host);
  }
  await using registry = await startRegistry({ host: "0.0.0.0" });
  assert.deepEqual(listening(), [systems]);
  // A large blob to this machine itself.
  const content = randomFillSync(Buffer.alloc(40 * 1024 * 1024));
  const digest = await new TestClient(`http://127.0.0.1:${registry.port}`).pushBlob("big", content);
  const socket = net.connect(registry.port, "127.0.0.1");
  socket.write(`GET /v2/big/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
  let came = 0;
  await new Promise<void>((resolve) => {
    socket.on("data", (data: Buffer) => {
      came += data.length;
      if (came < 1024 * 1024) return;
      socket.pause();
      resolve();
    });
  });
  // The client's end keeps the system's.
  assert.equal(
    sockets.list().filter(({ algorithm }) => algorithm === "reno").length,
    systems === "reno" ? 3 : 1,
  );
  socket.destroy();
});

test("as many connections may wait to be taken as for other servers", { skip: unable }, async () => {
  const sockets = await openSockets();
  for (const host of ["127.0.0.1", "0.0.0.0"]) {
    await using _registry = await startRegistry({ host });
    const queues = sockets.list().flatMap(({ listens, queue }) => (listens ? [queue] : []));
    assert.deepEqual(queues, [Math.min(4096, longest)], host);
  }
});
