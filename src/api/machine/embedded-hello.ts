/**
 * The image that the executable carries: `hello`, built reproducibly around native/probe.c (scripts/build-hello.ts).
 * It comes into the store the first time somebody asks for it and no image of that name is there.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { streamOf } from "../../base/mod.ts";
import { openArchive } from "../../image/mod.ts";
import type { Store } from "../../store/mod.ts";

export const helloName = "localhost/hello:latest";

/** What users may type for it: exactly these, so that nobody's `hello` of a registry is hidden by it. */
export function namesHello(reference: string): boolean {
  return ["hello", "hello:latest", "localhost/hello", helloName].includes(reference);
}

/** Puts the embedded image into the store under `helloName`. Errors: those of `openArchive` and `Store.put`. */
export async function loadHello(store: Store): Promise<void> {
  const { helloArchive } = await import("../../../build/hello-image.ts");
  const temporaryDirectory = path.join(store.root, "tmp");
  fs.mkdirSync(temporaryDirectory, { recursive: true, mode: 0o700 });
  const archive = await openArchive(streamOf(Buffer.from(helloArchive, "base64")), { temporaryDirectory });
  try {
    for (const image of archive.images) await store.put(image, { names: [helloName] });
  } finally {
    archive.close();
  }
}
