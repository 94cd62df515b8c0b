/**
 * One HEAD of a manifest on this machine's own registry, by `fetch`: node:http takes three times as long to load and connect as
 * the whole question, and `pull` and `run --pull=always` ask it each time. What is not a plain answer is left to the client.
 */
import { noting } from "../../base/mod.ts";
import { type Descriptor, isDigest } from "../../oci/mod.ts";
import { headerNames, paths, withoutParameters } from "../protocol/mod.ts";
import { acceptedManifests } from "./accept.ts";

const patience = 2000;

/** What the launcher may ask itself (docs/launch-record.md): names that need no looking up. */
const plainHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]):\d{1,5}$/;
const toldHeaders = [headerNames.contentDigest, "content-length", "content-type"] as const;

/** Undefined: it is not known this way. `host` is a loopback address, which speaks plain HTTP or nothing of use here. */
export async function quickHead(
  host: string,
  name: string,
  reference: string,
  userAgent: string,
): Promise<Descriptor | undefined> {
  const target = paths.manifest(name, reference);
  const headers = { accept: acceptedManifests, "user-agent": userAgent };
  const answer = await ask(`http://${host}${target}`, headers);
  const found = answer === undefined ? undefined : descriptorOf(answer);
  if (answer === undefined || found === undefined || !plainHost.test(host)) {
    noting.noter?.giveUp("a registry was asked");
    return found;
  }
  const lines = Object.entries({ host, ...headers, connection: "close" }).map(
    ([key, value]) => `${key}: ${value}`,
  );
  noting.noter?.answer(
    host,
    `${[`HEAD ${target} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n`,
    toldHeaders.map((key) => [key.toLowerCase(), answer.get(key) ?? ""]),
  );
  return found;
}

/** The headers of an answer 200 without warnings: those are told by the client alone. */
async function ask(url: string, headers: Readonly<Record<string, string>>): Promise<Headers | undefined> {
  try {
    const signal = AbortSignal.timeout(patience);
    const response = await fetch(url, { method: "HEAD", headers, redirect: "manual", signal });
    return response.status === 200 && !response.headers.has(headerNames.warning)
      ? response.headers
      : undefined;
  } catch {
    return undefined;
  }
}

function descriptorOf(headers: Headers): Descriptor | undefined {
  const digest = headers.get(headerNames.contentDigest) ?? "";
  const size = Number(headers.get("content-length") ?? Number.NaN);
  const mediaType = withoutParameters(headers.get("content-type") ?? "");
  return isDigest(digest) && Number.isSafeInteger(size) && mediaType.includes("+json")
    ? { mediaType, digest, size }
    : undefined;
}
