import { findContainer, parseName, renameContainer } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description: "Gives a container another name.",
  options: {},
  positionals: [
    { name: "CONTAINER", completion: "container" },
    { name: "NAME", completion: "none" },
  ],
  async run({ positionals, context }) {
    const name = parseName("NAME", positionals[1] ?? "");
    await sweepNamed(context, positionals.slice(0, 1));
    const paths = context.paths();
    await renameContainer(paths, findContainer(paths, positionals[0] ?? ""), name);
  },
});
