/** The world of places, from a command's context. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { RegistryClient } from "../../registry/mod.ts";
import type { Context } from "../framework/context.ts";
import type { World } from "./places.ts";

/** What is spooled lies in a directory of its own, removed at the end: a copy need not have a store. */
export async function withWorld<T>(
  context: Context,
  client: RegistryClient,
  body: (world: World) => Promise<T>,
): Promise<T> {
  return withSpool(context, (temporaryDirectory) =>
    body({ client, store: () => context.store(), temporaryDirectory }),
  );
}

/** A directory that is made on the first call and removed at the end. */
export async function withSpool<T>(
  { environment }: Pick<Context, "environment">,
  body: (temporaryDirectory: () => Promise<string>) => Promise<T>,
): Promise<T> {
  let spool: string | undefined;
  try {
    return await body(async () => {
      spool ??= fs.mkdtempSync(path.join(environment["TMPDIR"] || os.tmpdir(), "vitrine-copy-"));
      return spool;
    });
  } finally {
    if (spool !== undefined) fs.rmSync(spool, { recursive: true, force: true });
  }
}
