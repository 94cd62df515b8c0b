/** The containers of a runtime's root. */
import * as fs from "node:fs";
import { errnoOf } from "../../base/mod.ts";

export function containerIds(root: string): readonly string[] {
  try {
    return fs
      .readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && fs.existsSync(`${root}/${entry.name}/state.json`))
      .map(({ name }) => name)
      .filter((name) => !name.endsWith(".tmp"))
      .sort();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
