/**
 * Bodies of blobs between connections and files, by `vitrine-helper convey` (native/convey.c), a process beside this one: it is
 * handed the two descriptors and says when it is done. While it is at work the runtime must leave the connection alone.
 */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import type { Socket } from "node:net";
import { type Connection, type ForeignCalls, foreignCalls, openConnection } from "../http/connection.ts";
import { beginHash, decodeReport, encodeOrder, type Order, type Report, reportBytes } from "./wire.ts";

/** As many bodies are carried at once; a slow client holds one. The others go through the runtime. */
const places = 64;
/** A helper that ends earlier than so long after its start is not started again. */
const shortLifeMilliseconds = 10_000;

/** AF_UNIX; SOCK_SEQPACKET | SOCK_CLOEXEC; F_DUPFD_CLOEXEC; MSG_DONTWAIT | MSG_NOSIGNAL; ECONNRESET; RWF_NOWAIT. */
const familyUnix = 1;
const sequencedAndClosing = 5 | 0o2000000;
const duplicateClosing = 1030;
const messageFlags = 0x40 | 0x4000;
const connectionReset = 104;
/** MSG_PEEK | MSG_DONTWAIT; FIONREAD; IPPROTO_TCP, TCP_INFO and where in it tcpi_bytes_received is, in units of 8 bytes (linux/tcp.h). */
const lookFlags = 2 | 0x40;
const requestUnread = 0x541b;
const protocolTcp = 6;
const optionInfo = 11;
const receivedAt = 16;
const readWithoutWaiting = 8;

export interface Carrier extends AsyncDisposable {
  /** A place for one body on this connection; undefined where there is none: the runtime has to do it. */
  take(socket: Socket): Promise<Place | undefined>;
}

/** Disposing it gives it back, when it is not in use. */
export interface Place extends Disposable {
  /**
   * Carries between the connection and a file (its descriptor); resolves with how far it came. A socket that the runtime
   * closes meanwhile ends it.
   */
  carry(file: number, order: Omit<Order, "id">): Promise<Report>;
  /** How many bytes of the connection the runtime has read so far, since it was made; undefined where that cannot be known. */
  consumed(): number | undefined;
  /** Copies what it will read next to `buffer`; how many bytes. */
  ahead(buffer: Uint8Array): number;
  /** Fills `buffer` with what of the file is in memory; how many bytes: 0 where that means waiting for the disk. */
  peek(file: number, buffer: Uint8Array, position: number): number;
}

/** Undefined where the runtime does not call C, or the helper does not start. */
export async function startCarrier(helperPath: string): Promise<Carrier | undefined> {
  const calls = await foreignCalls();
  return calls === undefined ? undefined : new HelperCarrier(calls, helperPath);
}

interface Helper {
  readonly process: ChildProcess;
  /** Our end of its socket. */
  readonly orders: number;
  readonly started: number;
  readonly waiting: Map<bigint, (report: Report) => void>;
}

class HelperCarrier implements Carrier {
  private readonly calls: ForeignCalls;
  private readonly helperPath: string;
  private readonly envelope: Envelope;
  /** A `struct iovec`. */
  private readonly part = new BigUint64Array(2);
  private readonly came = new BigUint64Array(64);
  private readonly unread = new Int32Array(1);
  private helper: Helper | undefined;
  private lastId = 0n;
  private taken = 0;
  /** Whether no helper is started any more. */
  private given = false;

  constructor(calls: ForeignCalls, helperPath: string) {
    this.calls = calls;
    this.envelope = new Envelope(calls);
    this.helperPath = helperPath;
  }

  async take(socket: Socket): Promise<Place | undefined> {
    const connection = await openConnection(socket);
    this.helper ??= this.given ? undefined : this.start();
    if (connection === undefined || this.helper === undefined || this.taken >= places) return undefined;
    this.taken += 1;
    let mine = true;
    return {
      carry: (file, order) => this.carry(socket, connection, file, { ...order, id: ++this.lastId }),
      consumed: () => this.consumed(connection),
      ahead: (buffer) => this.ahead(connection, buffer),
      peek: (file, buffer, position) => this.peek(file, buffer, position),
      [Symbol.dispose]: () => {
        if (mine) this.taken -= 1;
        mine = false;
      },
    };
  }

  private carry(socket: Socket, connection: Connection, file: number, order: Order): Promise<Report> {
    const { helper, calls } = this;
    const { id } = order;
    const fd = connection.descriptor();
    if (helper === undefined || fd === undefined) return Promise.resolve(broken(id));
    // Of our own, to end it by: the runtime's may be closed, and mean something else, at any time.
    const own = calls.fcntl(fd, duplicateClosing, 3);
    if (own < 0 || !this.envelope.send(helper.orders, encodeOrder(order), own, file)) {
      if (own >= 0) fs.closeSync(own);
      return Promise.resolve(broken(id));
    }
    const { promise, resolve } = Promise.withResolvers<Report>();
    const cut = (): void => {
      calls.shutdown(own, 2);
    };
    socket.once("close", cut);
    helper.waiting.set(id, (report) => {
      socket.off("close", cut);
      fs.closeSync(own);
      resolve(report);
    });
    return promise;
  }

  /** What came (tcpi_bytes_received) less what lies unread; asked until nothing came in between. */
  private consumed(connection: Connection): number | undefined {
    const { calls, came, unread } = this;
    const fd = connection.descriptor();
    if (fd === undefined) return undefined;
    const length = new Uint32Array(1);
    const received = (): bigint | undefined => {
      length[0] = came.byteLength;
      const known = calls.getsockopt(fd, protocolTcp, optionInfo, came, length) === 0;
      return known && length[0]! >= (receivedAt + 1) * 8 ? came[receivedAt] : undefined;
    };
    for (let before = received(), tries = 0; before !== undefined && tries < 100; tries++) {
      if (calls.ioctl(fd, requestUnread, unread) !== 0) return undefined;
      const after = received();
      if (after === before) return Number(before) - unread[0]!;
      before = after;
    }
    return undefined;
  }

  private ahead(connection: Connection, buffer: Uint8Array): number {
    const fd = connection.descriptor();
    return fd === undefined ? 0 : Math.max(0, Number(this.calls.recv(fd, buffer, buffer.length, lookFlags)));
  }

  private peek(file: number, buffer: Uint8Array, position: number): number {
    const { calls, part } = this;
    part[0] = BigInt(calls.addressOf(buffer));
    part[1] = BigInt(buffer.length);
    return Math.max(0, Number(calls.preadv2(file, part, 1, position, readWithoutWaiting)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.given = true;
    const { helper } = this;
    if (helper === undefined) return;
    const ended = new Promise<void>((resolve) => helper.process.once("exit", () => resolve()));
    this.forget(helper);
    await ended;
  }

  private start(): Helper | undefined {
    const ends = new Int32Array(2);
    if (this.calls.socketpair(familyUnix, sequencedAndClosing, 0, ends) !== 0) return undefined;
    const [orders, theirs] = ends as unknown as [number, number];
    const child = spawn(this.helperPath, ["convey", `${places}`], {
      stdio: ["ignore", "pipe", "inherit", theirs],
      env: {},
    });
    fs.closeSync(theirs);
    const helper: Helper = { process: child, orders, started: performance.now(), waiting: new Map() };
    const gone = (): void => {
      if (this.helper !== helper) return;
      if (performance.now() - helper.started < shortLifeMilliseconds) this.given = true;
      this.forget(helper);
    };
    child.once("error", gone);
    child.once("exit", gone);
    let rest: Buffer = Buffer.alloc(0);
    child.stdout?.on("data", (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (; rest.length >= reportBytes; rest = rest.subarray(reportBytes)) {
        const report = decodeReport(rest);
        const done = helper.waiting.get(report.id);
        helper.waiting.delete(report.id);
        done?.(report);
      }
    });
    return helper;
  }

  /** What it was at ended with it. */
  private forget(helper: Helper): void {
    this.helper = undefined;
    fs.closeSync(helper.orders);
    for (const [id, done] of helper.waiting) done(broken(id));
    helper.waiting.clear();
  }
}

function broken(id: bigint): Report {
  return { id, error: connectionReset, ofFile: false, count: 0, hash: beginHash(), hex: "" };
}

/**
 * sendmsg(2) with two descriptors (SCM_RIGHTS): a `struct msghdr`, what it points to and the order, in one piece of memory that
 * stays where it is.
 */
class Envelope {
  private readonly calls: ForeignCalls;
  private readonly memory = new Uint8Array(new ArrayBuffer(512));
  private readonly view = new DataView(this.memory.buffer);

  constructor(calls: ForeignCalls) {
    this.calls = calls;
    const { view, memory } = this;
    const address = BigInt(calls.addressOf(memory));
    view.setBigUint64(16, address + BigInt(partAt), true);
    view.setBigUint64(24, 1n, true);
    view.setBigUint64(32, address + BigInt(controlAt), true);
    view.setBigUint64(40, 24n, true);
    view.setBigUint64(partAt, address + BigInt(orderAt), true);
    view.setBigUint64(controlAt, 24n, true);
    view.setInt32(controlAt + 8, 1, true);
    view.setInt32(controlAt + 12, 1, true);
  }

  /** False: it would have waited, or nobody is there. */
  send(to: number, order: Uint8Array, connection: number, file: number): boolean {
    const { view, memory } = this;
    memory.set(order, orderAt);
    view.setBigUint64(partAt + 8, BigInt(order.length), true);
    view.setInt32(controlAt + 16, connection, true);
    view.setInt32(controlAt + 20, file, true);
    return Number(this.calls.sendmsg(to, memory, messageFlags)) === order.length;
  }
}

const partAt = 64;
const controlAt = 96;
const orderAt = 128;
