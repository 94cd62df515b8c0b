import { VitrineError } from "../../base/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";
import { readStoredIndex } from "../remote/index-edit.ts";

export const command = defineCommand({
  description:
    "Exit status 0 when the store has an index of this name, 1 when it has not, 125 when that cannot be told.",
  options: {},
  positionals: [{ name: "NAME", completion: "image" }],
  async run({ positionals, context }) {
    try {
      await readStoredIndex(await context.store(), newName(positionals[0]!));
      return 0;
    } catch (error) {
      const missing =
        error instanceof VitrineError && ["image-not-found", "not-an-index"].includes(error.code);
      if (missing) return 1;
      throw error;
    }
  },
});
