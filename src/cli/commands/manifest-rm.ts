import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";
import { recordRemovals, removalLines } from "../images/removals.ts";
import { readStoredIndex } from "../remote/index-edit.ts";

export const command = defineCommand({
  description: "Removes indexes from the store, and their images where no other name leads to them.",
  options: { ignore: { type: "boolean", short: "i", help: "a missing index is no error" } },
  positionals: [{ name: "NAME", variadic: true, completion: "image" }],
  async run({ options, positionals, context }) {
    const store = await context.store();
    const isThere = (name: string): boolean => store.list().some((row) => row.name === name);
    const names = positionals.map(newName).filter((name) => !options.ignore || isThere(name));
    // One that is no index is told before any goes.
    for (const name of names) await readStoredIndex(store, name);
    for (const name of names) {
      const removals = await store.remove(name);
      recordRemovals(context.paths(), removals);
      context.out(removalLines(removals));
    }
    return 0;
  },
});
