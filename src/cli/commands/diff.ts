import { findContainer, loadFiles } from "../../engine/mod.ts";
import { sweep } from "../container-trees.ts";
import { renderChanges } from "../format/changes.ts";
import { defineCommand } from "../framework/command.ts";
import { openMachineStore } from "../framework/storage.ts";

export const command = defineCommand({
  description: `Lists what a container changed in its image's files: A added, C changed, D deleted. Mount points and files that every
    start makes are left out.`,
  options: {
    format: { type: "string", value: "FORMAT", choices: ["json"], help: "'json': the paths of each kind" },
    latest: { type: "boolean", short: "l", help: "of the newest container" },
  },
  positionals: [{ name: "CONTAINER", optional: true, completion: "container" }],
  exitCodes: { "not-found": 1, unsupported: 1, corrupt: 1 },
  async run({ options, positionals, context }) {
    const { diffContainer } = await loadFiles();
    const { chosenNames } = await import("../containers/each.ts");
    await sweep(context, 8);
    const paths = context.paths();
    const [name = ""] = chosenNames(context, positionals, options);
    const changes = await diffContainer(findContainer(paths, name), {
      paths,
      helperPath: context.helperPath(),
      openStore: (ids) => openMachineStore(context, ids),
    });
    context.out(renderChanges(changes, options.format));
  },
});
