/** Blobs from a registry: a broken connection goes on where it stopped, and the whole is verified. */
import { type ByteStream, VitrineError } from "../../base/mod.ts";
import type { Descriptor } from "../../oci/mod.ts";
import { parseContentRange } from "../protocol/mod.ts";
import { isTransient, responseError } from "./failures.ts";
import type { HttpResponse } from "./http.ts";
import type { Timing } from "./types.ts";

/** Progress that is worth another set of tries. */
const worthBytes = 1024 * 1024;

export interface DownloadOptions {
  readonly timing: Timing;
  /** Asks for the blob from `start` on, by Range unless that is 0; any status. */
  readonly request: (start: number) => Promise<HttpResponse>;
  readonly onNote: (text: string) => void;
}

/**
 * The bytes of a blob from `start` on, unverified; never more than the descriptor says and one chunk.
 * Errors: `blob-unknown` and those of `responseError`; `download-broken` when tries are used up.
 */
export async function* downloadFrom(
  descriptor: Descriptor,
  start: number,
  options: DownloadOptions,
): AsyncGenerator<Uint8Array, void> {
  const { timing } = options;
  let at = start;
  let failures = 0;
  let progressedTo = start;
  /** Until the registry, or a proxy before it, gets a Range wrong. */
  let byRange = true;
  while (true) {
    try {
      for await (const chunk of openAt(descriptor, at, byRange, options)) {
        at += chunk.length;
        yield chunk;
        // An endless body: whoever verifies has thrown by now, others must not go on either.
        if (at > descriptor.size) return;
      }
      if (at >= descriptor.size) return;
      // A body without a length that ended early is a connection that broke.
      throw new VitrineError("unavailable", `the connection ended after ${at} of ${descriptor.size} bytes`, {
        code: "registry-connection-broken",
        operand: descriptor.digest,
      });
    } catch (error) {
      if (error instanceof WrongRange) {
        byRange = false;
        options.onNote(`${error.message}: asking for the whole`);
        continue;
      }
      if (!isTransient(error)) throw error;
      if (at - progressedTo >= worthBytes) {
        progressedTo = at;
        failures = 0;
      }
      failures += 1;
      if (failures >= timing.attempts) {
        throw new VitrineError(
          "unavailable",
          `the download of ${descriptor.digest} broke off at ${at} of ${descriptor.size} bytes, ${failures} times`,
          {
            code: "download-broken",
            operand: descriptor.digest,
            hint: "try again: what came is kept where it can be",
            cause: error,
          },
        );
      }
      options.onNote(`${(error as Error).message}: going on at byte ${at} of ${descriptor.size}`);
      if (failures > 1) await sleep(timing.backoff * 2 ** (failures - 2));
    }
  }
}

/** One connection's worth. A registry without ranges sends all again: what we have is passed over. */
async function* openAt(
  descriptor: Descriptor,
  start: number,
  byRange: boolean,
  options: DownloadOptions,
): AsyncGenerator<Uint8Array, void> {
  // Nothing is left to ask for, and `bytes=SIZE-` would be refused.
  if (start > 0 && start >= descriptor.size) return;
  const response = await options.request(byRange ? start : 0);
  if (response.status === 200) {
    yield* start === 0 ? response.body : passOver(response.body, start);
    return;
  }
  if (start > 0 && byRange) {
    if (response.status === 206 && isRest(response, start, descriptor.size)) {
      yield* response.body;
      return;
    }
    if (response.status === 206 || response.status === 416) {
      await response.discard();
      throw new WrongRange(
        `${response.url.host} sends another part of ${descriptor.digest} than was asked for`,
      );
    }
  }
  throw await responseError(response, descriptor.digest, "blob-unknown");
}

function isRest(response: HttpResponse, start: number, size: number): boolean {
  const range = parseContentRange(response.headers.get("content-range") ?? "");
  return range?.first === start && (range.size === undefined || range.size === size);
}

class WrongRange extends Error {}

async function* passOver(body: ByteStream, bytes: number): AsyncGenerator<Uint8Array, void> {
  let left = bytes;
  for await (const chunk of body) {
    if (chunk.length > left) yield left === 0 ? chunk : chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
