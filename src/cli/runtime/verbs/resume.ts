import { defineVerb } from "../verb.ts";
import { setFrozen } from "./freeze.ts";

export const verb = defineVerb({
  summary: "Let the processes of a paused container go on",
  usage: "CONTAINER",
  options: {},
  positionals: [1, 1],
  run({ positionals, globals }) {
    setFrozen(globals.root, positionals[0] ?? "", false);
    return 0;
  },
});
