/**
 * One HEAD of a manifest on this machine's own registry, by the connection that the launcher made meanwhile, else by `fetch`: node:http takes
 * three times as long to load and connect as the whole question, and `pull` and `run --pull=always` ask it each time. What is not a
 * plain answer is left to the client.
 */
import * as fs from "node:fs";
import { noting } from "../../base/mod.ts";
import { type Descriptor, isDigest } from "../../oci/mod.ts";
import { headerNames, paths, withoutParameters } from "../protocol/mod.ts";
import { acceptedManifests } from "./accept.ts";
import type { Environment } from "./types.ts";

const patience = 2000;
const answerBytesMost = 16 * 1024;

/** What the launcher may ask itself (docs/launch-record.md): names that need no looking up. */
const plainHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]):\d{1,5}$/;
const toldHeaders = ["docker-content-digest", "content-length", "content-type"] as const;
const told: ReadonlySet<string> = new Set(toldHeaders);

/** Undefined: it is not known this way. Never rejects. */
export type QuickAnswer = () => Promise<Descriptor | undefined>;

type ReadHeader = (name: string) => string | undefined;

/** A connection that stands: `VITRINE_REACHED` (native/launcher_pull.c). It waits 2 s for each byte. */
export interface Reached {
  readonly host: string;
  readonly fd: number;
}

export function reachedBy(environment: Environment): Reached | undefined {
  const [, fd, host] = /^(\d{1,5}) (\S+)$/.exec(environment["VITRINE_REACHED"] ?? "") ?? [];
  return host === undefined ? undefined : { host, fd: Number(fd) };
}

/**
 * Asks, and returns who waits for the answer. `host` is a loopback address, which speaks plain HTTP or nothing of use here; `reached` is used
 * up where it leads there.
 */
export function quickHead(
  host: string,
  name: string,
  reference: string,
  userAgent: string,
  reached?: Reached,
): QuickAnswer {
  const target = paths.manifest(name, reference);
  const headers = { accept: acceptedManifests, "user-agent": userAgent };
  if (reached?.host === host && noting.noter === undefined) {
    const asked = askOn(reached.fd, requestOf(target, { host, ...headers }));
    return async () => (asked ? descriptorOf(answerOn(reached.fd)) : undefined);
  }
  const answer = ask(`http://${host}${target}`, headers);
  return async () => {
    const read = await answer;
    const found = descriptorOf(read);
    if (read === undefined || found === undefined || !plainHost.test(host)) {
      noting.noter?.giveUp("a registry was asked");
      return found;
    }
    noting.noter?.answer(
      host,
      requestOf(target, { host, ...headers, connection: "close" }),
      toldHeaders.map((key) => [key, read(key) ?? ""]),
    );
    return found;
  };
}

function requestOf(target: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([key, value]) => `${key}: ${value}`);
  return `${[`HEAD ${target} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n`;
}

/** The headers of an answer 200 without warnings: those are told by the client alone. */
async function ask(url: string, headers: Readonly<Record<string, string>>): Promise<ReadHeader | undefined> {
  try {
    const signal = AbortSignal.timeout(patience);
    const response = await fetch(url, { method: "HEAD", headers, redirect: "manual", signal });
    if (response.status !== 200 || response.headers.has(headerNames.warning)) return undefined;
    return (name) => response.headers.get(name) ?? undefined;
  } catch {
    return undefined;
  }
}

function askOn(fd: number, request: string): boolean {
  try {
    return fs.writeSync(fd, request) === request.length;
  } catch {
    return false;
  }
}

/** The same of a connection that was asked, which ends with it. */
function answerOn(fd: number): ReadHeader | undefined {
  try {
    const bytes = Buffer.allocUnsafe(answerBytesMost);
    let text = "";
    for (let have = 0; !text.includes("\r\n\r\n"); text = bytes.toString("latin1", 0, have)) {
      const got = have < bytes.length ? fs.readSync(fd, bytes, have, bytes.length - have, null) : 0;
      if (got === 0) return undefined;
      have += got;
    }
    return readHead(text);
  } catch {
    return undefined;
  } finally {
    fs.closeSync(fd);
  }
}

/** As the launcher reads it (native/launch_ask.c). */
function readHead(text: string): ReadHeader | undefined {
  const [status, ...lines] = text.slice(0, text.indexOf("\r\n\r\n")).split("\r\n");
  if (!/^HTTP\/1\.1 200(?: |$)/.test(status!)) return undefined;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    const key = name?.toLowerCase();
    if (key === undefined || (headers.has(key) && told.has(key))) return undefined;
    headers.set(key, value!);
  }
  return headers.has(headerNames.warning.toLowerCase())
    ? undefined
    : (name) => headers.get(name.toLowerCase());
}

function descriptorOf(read: ReadHeader | undefined): Descriptor | undefined {
  const digest = read?.(headerNames.contentDigest) ?? "";
  const size = Number(read?.("content-length") ?? Number.NaN);
  const mediaType = withoutParameters(read?.("content-type") ?? "");
  return isDigest(digest) && Number.isSafeInteger(size) && mediaType.includes("+json")
    ? { mediaType, digest, size }
    : undefined;
}
