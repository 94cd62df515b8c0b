/**
 * From one format to the next, each step made so that a kill in the middle leaves a store on which it can be made again: the
 * version is written last.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { withLock, writeFileAtomically } from "../base/mod.ts";
import { ApplySession, FileReader, textOf } from "../kernel/mod.ts";
import { applyOptions } from "./apply.ts";
import { namesIn } from "./blobs.ts";
import type { StoreContext } from "./context.ts";
import { requireKnown, versionOf } from "./version.ts";

type Step = (context: StoreContext) => Promise<void>;

/** By the format that each step begins with. */
const steps: Readonly<Record<string, Step>> = {
  "0": rememberOpaqueDirectories,
};

export async function upgradeStore(context: StoreContext): Promise<void> {
  await withLock(context.lockFile, async () => {
    for (;;) {
      const version = versionOf(context.root) ?? "";
      const step = steps[version];
      // Another command was faster, or came from a vitrine that knows more.
      if (step === undefined) return requireKnown(context.root);
      await step(context);
      writeFileAtomically(path.join(context.root, "version"), `${Number(version) + 1}\n`);
    }
  });
}

/**
 * 0 → 1: an unpacked layer says which of its directories are opaque. Before, only the extended attributes on the disk did,
 * which JavaScript cannot read: files were found in layers where a container would not see them.
 */
async function rememberOpaqueDirectories(context: StoreContext): Promise<void> {
  const all = path.join(context.root, "layers");
  for (const map of namesIn(all)) {
    for (const name of namesIn(path.join(all, map))) {
      const directory = path.join(all, map, name);
      const file = path.join(directory, "layer.json");
      if (!fs.existsSync(file)) continue;
      const row = JSON.parse(fs.readFileSync(file, "utf8")) as Readonly<Record<string, unknown>>;
      if (typeof row["opaques"] === "number") continue;
      const opaque = await opaqueIn(context, path.join(directory, "fs"));
      if (opaque.length > 0) {
        writeFileAtomically(path.join(directory, "opaque.json"), `${JSON.stringify(opaque)}\n`);
      }
      writeFileAtomically(file, `${JSON.stringify({ ...row, opaques: opaque.length })}\n`);
    }
  }
}

async function opaqueIn(context: StoreContext, tree: string): Promise<readonly string[]> {
  const ids = context.widestIds ?? context.ids;
  const session = new ApplySession(applyOptions(context.helperPath, ids), { answers: true });
  const reader = new FileReader(session);
  const found: string[] = [];
  try {
    for await (const event of reader.tree({ path: { base: "host", path: tree }, name: "", content: false })) {
      if (event.kind !== "entry") continue;
      const marked = event.entry.xattrNames.some((name) => /^(?:trusted|user)\.overlay\.opaque$/.test(name));
      if (marked) found.push(textOf(event.entry.path).replace(/^\.$/, ""));
    }
    await session.end();
    return found;
  } catch (error) {
    throw (await session.abort()) ?? error;
  } finally {
    reader.close();
  }
}
