/**
 * From a file to a connection inside the kernel (sendfile(2)): the bytes are never copied into this process. Only where the
 * runtime calls C (bun), and the connection is plain TCP; everywhere else `openConveyor` gives nothing, and the blob goes
 * through buffers.
 *
 * The runtime does not tell a connection's descriptor. It is found by what it is connected to, and asked for it again before
 * each use: a descriptor that was closed and means something else by now must not get a byte.
 */
import * as fs from "node:fs";
import type { Socket } from "node:net";

export interface Conveyor {
  /**
   * Sends up to `length` bytes of `file` (a descriptor) from `position`; returns how many. 0: the connection takes none now,
   * or is broken, or the file ends: an ordinary write or read shows which. Call it only when all that was written has gone out.
   */
  send(file: number, position: number, length: number): number;
}

interface Library {
  readonly sendfile: (to: number, from: number, offset: BigInt64Array, count: number) => number | bigint;
  readonly getpeername: (fd: number, address: Uint8Array, length: Uint32Array) => number;
  readonly getsockname: (fd: number, address: Uint8Array, length: Uint32Array) => number;
}

interface ForeignFunctions {
  dlopen(name: string, symbols: object): { readonly symbols: Library };
}

const addressBytes = 128;
const familyIPv4 = 2;
const familyIPv6 = 10;

let library: Promise<Library | undefined> | undefined;

async function loadLibrary(): Promise<Library | undefined> {
  if (!("Bun" in globalThis)) return undefined;
  try {
    // Not for the type checker and the bundler: other runtimes have no such module.
    const name: string = "bun:ffi";
    const { dlopen } = (await import(name)) as ForeignFunctions;
    const names = { args: ["i32", "ptr", "ptr"], returns: "i32" };
    return dlopen("libc.so.6", {
      sendfile: { args: ["i32", "i32", "ptr", "u64"], returns: "i64_fast" },
      getpeername: names,
      getsockname: names,
    }).symbols;
  } catch {
    // A system with another C library.
    return undefined;
  }
}

const conveyors = new WeakMap<Socket, Conveyor | null>();

/** Undefined where there is none for this connection. */
export async function openConveyor(socket: Socket): Promise<Conveyor | undefined> {
  const known = conveyors.get(socket);
  if (known !== undefined) return known ?? undefined;
  library ??= loadLibrary();
  const symbols = await library;
  const secure = (socket as { readonly encrypted?: boolean }).encrypted === true;
  const found = symbols === undefined || secure ? undefined : findConveyor(symbols, socket);
  conveyors.set(socket, found ?? null);
  return found;
}

function findConveyor(symbols: Library, socket: Socket): Conveyor | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || localAddress === undefined) return undefined;
  const wanted = `${placeOf(localAddress, localPort)} ${placeOf(remoteAddress, remotePort)}`;
  const address = new Uint8Array(addressBytes);
  const length = new Uint32Array(1);
  const offset = new BigInt64Array(1);
  const end = (name: "getpeername" | "getsockname", fd: number): string | undefined => {
    length[0] = addressBytes;
    return symbols[name](fd, address, length) === 0 ? readPlace(address) : undefined;
  };
  const isOurs = (fd: number): boolean => {
    const local = end("getsockname", fd);
    return local !== undefined && `${local} ${end("getpeername", fd)}` === wanted;
  };
  const fd = fs.readdirSync("/proc/self/fd").map(Number).find(isOurs);
  if (fd === undefined) return undefined;
  return {
    send(file, position, count) {
      if (!isOurs(fd)) return 0;
      offset[0] = BigInt(position);
      return Math.max(0, Number(symbols.sendfile(fd, file, offset, count)));
    },
  };
}

/** `HEX:PORT` of an address as the runtime writes it; IPv4 as the mapped IPv6 address (RFC 4291 section 2.5.5.2). */
export function placeOf(address: string, port: number | undefined): string {
  const bytes = new Uint8Array(16);
  const text = address.replace(/%.*$/, "");
  const dotted = /(?:^|:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) {
    bytes.set([0xff, 0xff, ...dotted.slice(1).map(Number)], 10);
    return `${Buffer.from(bytes).toString("hex")}:${port}`;
  }
  const [head = "", tail] = text.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const before = groups(head);
  const after = groups(tail ?? "");
  const all = [
    ...before,
    ...new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0),
    ...after,
  ];
  for (const [at, group] of all.entries()) bytes.set([group >> 8, group & 0xff], at * 2);
  return `${Buffer.from(bytes).toString("hex")}:${port}`;
}

/** The same of a `struct sockaddr`; undefined for other families. */
function readPlace(address: Uint8Array): string | undefined {
  const view = new DataView(address.buffer);
  const family = view.getUint16(0, true);
  const port = view.getUint16(2);
  if (family === familyIPv6) return `${Buffer.from(address.subarray(8, 24)).toString("hex")}:${port}`;
  if (family !== familyIPv4) return undefined;
  return `00000000000000000000ffff${Buffer.from(address.subarray(4, 8)).toString("hex")}:${port}`;
}
