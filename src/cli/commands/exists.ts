import { VitrineError } from "../../base/mod.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description:
    "Exit status 0 when the image is in the store, 1 when it is not, 125 when that cannot be told.",
  options: {},
  positionals: [{ name: "IMAGE", completion: "image" }],
  async run({ positionals, context }) {
    const store = await context.store();
    try {
      store.resolve(positionals[0]!);
      return 0;
    } catch (error) {
      if (error instanceof VitrineError && error.kind === "not-found") return 1;
      throw error;
    }
  },
});
