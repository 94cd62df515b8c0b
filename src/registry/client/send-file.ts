/**
 * A whole blob that lies in a file, to a registry of this machine: the kernel sends it (the runtime's `fetch` uses sendfile(2) for a file over
 * plain HTTP) while its bytes are read here to be verified, and nothing is copied through JavaScript. It saves more than half of
 * what sending costs otherwise. Over TLS, and further away, something else is what takes the time.
 */
import { noting } from "../../base/mod.ts";
import type { BlobFile } from "../../image/mod.ts";
import type { Descriptor } from "../../oci/mod.ts";
import { isLoopback } from "./proxy.ts";

/** Smaller ones are not worth a second way. */
const leastBytes = 1024 * 1024;
const accepted = 202;

interface Runtime {
  readonly file: (path: string) => Blob;
}

export interface Answer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
}

/** Whether `sendFile` can send a blob there. */
export function canSendFile({ size }: Descriptor, url: URL): boolean {
  const near = url.protocol === "http:" && isLoopback(url.hostname);
  return near && size >= leastBytes && runtime() !== undefined;
}

/**
 * PATCHes all of it. Undefined: the registry did not take it, and it is to be sent as ever; nothing is said of why. `patience`: milliseconds for
 * the registry to answer once all was read. Errors: those of `check` alone.
 */
export async function sendFile(
  file: BlobFile,
  url: URL,
  headers: Readonly<Record<string, string>>,
  patience: number,
): Promise<Answer | undefined> {
  noting.noter?.giveUp("a registry was asked");
  const ending = new AbortController();
  const sent = fetch(url, {
    method: "PATCH",
    headers,
    body: runtime()!.file(file.path),
    redirect: "manual",
    signal: ending.signal,
  }).then(
    (response): Answer => ({
      status: response.status,
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
    for await (const _ of file.check()) {
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
