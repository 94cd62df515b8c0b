/** `vitrine volume`. */
import type { CommandEntry } from "../framework/command.ts";

export const volumeCommands: CommandEntry = {
  name: "volume",
  group: "Management",
  summary: "Manage volumes",
  subcommands: [
    {
      name: "create",
      group: "Management",
      summary: "Make a volume",
      load: () => import("../commands/volume-create.ts"),
    },
    {
      name: "ls",
      aliases: ["list"],
      group: "Management",
      summary: "List volumes",
      load: () => import("../commands/volume-ls.ts"),
    },
    {
      name: "inspect",
      group: "Management",
      summary: "Show all that is known of volumes",
      load: () => import("../commands/volume-inspect.ts"),
    },
    {
      name: "rm",
      aliases: ["remove"],
      group: "Management",
      summary: "Remove volumes",
      load: () => import("../commands/volume-rm.ts"),
    },
    {
      name: "prune",
      group: "Management",
      summary: "Remove volumes that no container has",
      load: () => import("../commands/volume-prune.ts"),
    },
    {
      name: "exists",
      group: "Management",
      summary: "Tell by the exit status whether a volume is there",
      load: () => import("../commands/volume-exists.ts"),
    },
    {
      name: "export",
      group: "Management",
      summary: "Write what is in a volume as an archive",
      load: () => import("../commands/volume-export.ts"),
    },
    {
      name: "import",
      group: "Management",
      summary: "Unpack an archive in a volume",
      load: () => import("../commands/volume-import.ts"),
    },
  ],
};
