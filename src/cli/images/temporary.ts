import * as fs from "node:fs";
import * as path from "node:path";
import type { Store } from "../../store/mod.ts";

/** ROOT/tmp, made when missing: what is spooled there is on the store's filesystem and swept with it. */
export function temporaryDirectory(store: Store): string {
  const directory = path.join(store.root, "tmp");
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}
