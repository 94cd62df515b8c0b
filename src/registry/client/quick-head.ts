/**
 * One HEAD of a manifest on this machine's own registry, by `fetch`: node:http takes three times as long to load and connect as
 * the whole question, and `pull` and `run --pull=always` ask it each time. What is not a plain answer is left to the client.
 */
import { type Descriptor, isDigest } from "../../oci/mod.ts";
import { headerNames, paths, withoutParameters } from "../protocol/mod.ts";
import { acceptedManifests } from "./accept.ts";

const patience = 2000;

/** Undefined: it is not known this way. `host` is a loopback address, which speaks plain HTTP or nothing of use here. */
export async function quickHead(
  host: string,
  name: string,
  reference: string,
  userAgent: string,
): Promise<Descriptor | undefined> {
  try {
    const response = await fetch(`http://${host}${paths.manifest(name, reference)}`, {
      method: "HEAD",
      headers: { accept: acceptedManifests, "user-agent": userAgent },
      redirect: "manual",
      signal: AbortSignal.timeout(patience),
    });
    const digest = response.headers.get(headerNames.contentDigest) ?? "";
    const size = Number(response.headers.get("content-length") ?? Number.NaN);
    const mediaType = withoutParameters(response.headers.get("content-type") ?? "");
    // Warnings are told by the client alone.
    if (response.headers.has(headerNames.warning)) return undefined;
    return response.status === 200 &&
      isDigest(digest) &&
      Number.isSafeInteger(size) &&
      mediaType.includes("+json")
      ? { mediaType, digest, size }
      : undefined;
  } catch {
    return undefined;
  }
}
