import { readState, stateOutput } from "../../../runtime/mod.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "Print the state of a container",
  usage: "CONTAINER",
  options: {},
  positionals: [1, 1],
  run({ positionals, globals, context }) {
    const state = readState(globals.root, positionals[0] ?? "");
    context.out(`${JSON.stringify(stateOutput(state), undefined, 2)}\n`);
    return 0;
  },
});
