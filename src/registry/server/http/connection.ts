/**
 * The descriptor of a connection, and the few calls of C on it. Only where the runtime calls C (bun), and the connection is
 * plain TCP; everywhere else `openConnection` gives nothing.
 *
 * The runtime does not tell a connection's descriptor. It is found by what it is connected to, and asked for it again before
 * each use: a descriptor that was closed and means something else by now must not get a byte.
 */
import * as fs from "node:fs";
import type { AddressInfo, Socket } from "node:net";

export interface Connection {
  /** Throws nothing; undefined once the runtime has closed it. Not to be kept over an `await`. */
  descriptor(): number | undefined;
}

export interface Library {
  readonly sendfile: (to: number, from: number, offset: BigInt64Array, count: number) => number | bigint;
  readonly getpeername: (fd: number, address: Uint8Array, length: Uint32Array) => number;
  readonly getsockname: (fd: number, address: Uint8Array, length: Uint32Array) => number;
  readonly socketpair: (family: number, type: number, protocol: number, fds: Int32Array) => number;
  readonly sendmsg: (fd: number, message: Uint8Array, flags: number) => number | bigint;
  readonly fcntl: (fd: number, command: number, value: number) => number;
  readonly shutdown: (fd: number, how: number) => number;
  readonly recv: (fd: number, bytes: Uint8Array, length: number, flags: number) => number | bigint;
  readonly ioctl: (fd: number, request: number, value: Int32Array) => number;
  readonly getsockopt: (
    fd: number,
    level: number,
    name: number,
    value: BigUint64Array,
    length: Uint32Array,
  ) => number;
  readonly preadv2: (
    fd: number,
    parts: BigUint64Array,
    count: number,
    offset: number,
    flags: number,
  ) => number | bigint;
  readonly setsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number;
  readonly listen: (fd: number, backlog: number) => number;
}

export interface ForeignCalls extends Library {
  /** Where the bytes are, as long as somebody holds them. */
  readonly addressOf: (bytes: Uint8Array) => number;
}

interface ForeignFunctions {
  dlopen(name: string, symbols: object): { readonly symbols: Library };
  ptr(bytes: Uint8Array): number;
}

const addressBytes = 128;
const familyIPv4 = 2;
const familyIPv6 = 10;
const protocolTcp = 6;
const optionCongestion = 13;

let library: Promise<ForeignCalls | undefined> | undefined;

/** Undefined where this runtime does not call C. */
export function foreignCalls(): Promise<ForeignCalls | undefined> {
  library ??= loadLibrary();
  return library;
}

async function loadLibrary(): Promise<ForeignCalls | undefined> {
  if (!("Bun" in globalThis)) return undefined;
  try {
    // Not for the type checker and the bundler: other runtimes have no such module.
    const name: string = "bun:ffi";
    const { dlopen, ptr } = (await import(name)) as ForeignFunctions;
    const names = { args: ["i32", "ptr", "ptr"], returns: "i32" };
    const { symbols } = dlopen("libc.so.6", {
      sendfile: { args: ["i32", "i32", "ptr", "u64"], returns: "i64_fast" },
      getpeername: names,
      getsockname: names,
      socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
      sendmsg: { args: ["i32", "ptr", "i32"], returns: "i64_fast" },
      fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
      shutdown: { args: ["i32", "i32"], returns: "i32" },
      recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64_fast" },
      ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
      getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
      preadv2: { args: ["i32", "ptr", "i32", "i64", "i32"], returns: "i64_fast" },
      setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
      listen: { args: ["i32", "i32"], returns: "i32" },
    });
    return { ...symbols, addressOf: ptr };
  } catch {
    // A system with another C library.
    return undefined;
  }
}

const connections = new WeakMap<Socket, Connection | null>();

/** Undefined where there is none to be had. */
export async function openConnection(socket: Socket): Promise<Connection | undefined> {
  const known = connections.get(socket);
  if (known !== undefined) return known ?? undefined;
  const calls = await foreignCalls();
  const secure = (socket as { readonly encrypted?: boolean }).encrypted === true;
  const found = calls === undefined || secure ? undefined : findConnection(calls, socket);
  connections.set(socket, found ?? null);
  return found;
}

function findConnection(calls: Library, socket: Socket): Connection | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || localAddress === undefined) return undefined;
  const local = placeOf(localAddress, localPort);
  const remote = placeOf(remoteAddress, remotePort);
  const { fd, isThat } = findSocket(calls, local, remote) ?? {};
  if (fd === undefined) return undefined;
  if (isLoopback(remote) || hostOf(remote) === hostOf(local)) dropPacing(calls, fd);
  return { descriptor: () => (isThat?.(fd) === true ? fd : undefined) };
}

/** The descriptor between these two places; `remote` undefined: the one that listens. */
function findSocket(
  calls: Library,
  local: string,
  remote: string | undefined,
): { readonly fd: number; readonly isThat: (fd: number) => boolean } | undefined {
  const address = new Uint8Array(addressBytes);
  const length = new Uint32Array(1);
  const end = (name: "getpeername" | "getsockname", fd: number): string | undefined => {
    length[0] = addressBytes;
    return calls[name](fd, address, length) === 0 ? readPlace(address) : undefined;
  };
  const isThat = (fd: number): boolean =>
    end("getsockname", fd) === local && end("getpeername", fd) === remote;
  const fd = fs.readdirSync("/proc/self/fd").map(Number).find(isThat);
  return fd === undefined ? undefined : { fd, isThat };
}

/** Connections that are made and wait to be taken: the kernel's own bound (net.core.somaxconn) where that is lower. */
export const waitingConnections = 4096;

/**
 * For a server that has just begun to listen. Who meets a full queue tries again after a second: the queue is as long as other servers'
 * is, where the runtime makes it short whatever it was told.
 *
 * Where only this machine can connect (a loopback address), no connection is paced: there is no congestion to control, and a
 * pacing algorithm (bbr, where it is the system's default) sends half as much at twice the processor time. Other addresses keep the system's
 * choice, but for connections of this machine that a large blob goes to. On a connection that was paced already the gain is smaller.
 */
export async function tuneListener({ address, port }: AddressInfo): Promise<void> {
  const place = placeOf(address, port);
  const calls = await foreignCalls();
  const found = calls && findSocket(calls, place, undefined);
  if (calls === undefined || found === undefined) return;
  calls.listen(found.fd, waitingConnections);
  if (isLoopback(place)) dropPacing(calls, found.fd);
}

/** "reno" is what every Linux has and everybody may choose (tcp(7)). Where it may not be, all stays as it is. */
function dropPacing(calls: Library, fd: number): void {
  const name = Buffer.from("reno");
  calls.setsockopt(fd, protocolTcp, optionCongestion, name, name.length);
}

function hostOf(place: string): string {
  return place.slice(0, place.lastIndexOf(":"));
}

/** 127.0.0.0/8 and ::1. */
function isLoopback(place: string): boolean {
  return /^0{20}ffff7f/.test(place) || /^0{31}1:/.test(place);
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
