/** The containers of a runtime's root. */
import * as fs from "node:fs";
import { errnoOf, VitrineError } from "../../base/mod.ts";

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

/** All whose ids match a regular expression. Error: `option-invalid`. */
export function containersLike(root: string, pattern: string): readonly string[] {
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch (cause) {
    throw new VitrineError("invalid", `${JSON.stringify(pattern)} is no regular expression`, {
      code: "option-invalid",
      operand: "--regex",
      cause,
    });
  }
  return containerIds(root).filter((id) => expression.test(id));
}
