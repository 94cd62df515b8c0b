import type { OptionTable } from "../framework/command.ts";

/** How containers can be meant without their names, in podman's words: see `chosenNames`. */
export const choiceOptions = {
  cidfile: {
    type: "strings",
    value: "FILE",
    completion: "file",
    help: "also the container whose id is in this file",
  },
  filter: {
    type: "strings",
    short: "f",
    value: "KEY=VALUE",
    help: "those for which it holds, as in 'vitrine ps'",
  },
} as const satisfies OptionTable;
