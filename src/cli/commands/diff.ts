import { printable } from "../../base/mod.ts";
import { findContainer, loadFiles } from "../../engine/mod.ts";
import { sweep } from "../container-trees.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { openMachineStore } from "../framework/storage.ts";

const letters = { changed: "C", added: "A", deleted: "D" } as const;

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
    if (options.format === "json") {
      const of = (kind: keyof typeof letters) =>
        changes.filter((each) => each.kind === kind).map((each) => each.path);
      const all = { changed: of("changed"), added: of("added"), deleted: of("deleted") };
      const present = Object.fromEntries(Object.entries(all).filter(([, list]) => list.length > 0));
      context.out(`${jsonText(present, 4)}\n`);
      return;
    }
    context.out(changes.map(({ kind, path }) => `${letters[kind]} ${printable(path)}\n`).join(""));
  },
});
