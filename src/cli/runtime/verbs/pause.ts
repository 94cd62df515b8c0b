import { defineVerb } from "../verb.ts";
import { setFrozen } from "./freeze.ts";

export const verb = defineVerb({
  summary: "Stop all processes of a container for a while",
  usage: "CONTAINER",
  options: {},
  positionals: [1, 1],
  run({ positionals, globals }) {
    setFrozen(globals.root, positionals[0] ?? "", true);
    return 0;
  },
});
