/**
 * A whole blob that lies in a file, to a registry of this machine: the kernel sends it (the runtime's `fetch` uses sendfile(2) for a file over
 * plain HTTP) while its bytes are read here to be verified, and nothing is copied through JavaScript. It saves more than half of
 * what sending costs otherwise. Over TLS, and further away, something else is what takes the time.
 */
import { type ByteStream, noting } from "../../base/mod.ts";
import type { Digest } from "../../oci/mod.ts";
import { isLoopback } from "./proxy.ts";

/** Smaller ones are not worth a second way. */
const leastBytes = 1024 * 1024;
const accepted = 202;

interface Runtime {
  readonly file: (path: string) => Blob;
}

export interface FileBody {
  readonly digest: Digest;
  readonly size: number;
  /** Holds the bytes, as far as is known; undefined where they lie in no file of their own. */
  readonly file: string | undefined;
  /** The same bytes; throws at its end where they are not those of the digest. */
  readonly open: () => ByteStream;
}

export interface Answer {
  readonly status: number;
  readonly url: URL;
  readonly header: (name: string) => string | undefined;
}

/** Whether `sendFile` can send that there. */
export function canSendFile({ file, size }: FileBody, url: URL): boolean {
  return (
    file !== undefined &&
    size >= leastBytes &&
    url.protocol === "http:" &&
    isLoopback(url.hostname) &&
    runtime() !== undefined
  );
}

/**
 * PATCHes all of it. Undefined: the registry did not take it, and it is to be sent as ever; nothing is said of why. `patience`: milliseconds for
 * the registry to answer once all was read. Errors: those of the stream alone.
 */
export async function sendFile(
  body: FileBody,
  url: URL,
  headers: Readonly<Record<string, string>>,
  patience: number,
): Promise<Answer | undefined> {
  noting.noter?.giveUp("a registry was asked");
  const ending = new AbortController();
  const sent = fetch(url, {
    method: "PATCH",
    headers,
    body: runtime()!.file(body.file!),
    redirect: "manual",
    signal: ending.signal,
  }).then(
    (response): Answer => ({
      status: response.status,
      url,
      header: (name) => response.headers.get(name) ?? undefined,
    }),
    () => undefined,
  );
  let refused = false;
  sent.then((answer) => {
    refused = answer?.status !== accepted;
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    for await (const _ of body.open()) {
      if (refused) return undefined;
    }
    timer = setTimeout(() => ending.abort(), patience);
    const answer = await sent;
    return answer?.status === accepted ? answer : undefined;
  } finally {
    clearTimeout(timer);
    ending.abort();
  }
}

function runtime(): Runtime | undefined {
  return (globalThis as { readonly Bun?: Runtime }).Bun;
}
