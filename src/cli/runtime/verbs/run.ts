import { defineVerb } from "../verb.ts";
import { makeContainer, makeOptions } from "./make.ts";

export const verb = defineVerb({
  summary: "Make a container and start it",
  usage: "CONTAINER",
  options: {
    ...makeOptions,
    detach: { type: "boolean", short: "d", help: "return once the program runs" },
    keep: { type: "boolean", hidden: true, help: "do not delete the container when it ends" },
  },
  positionals: [1, 1],
  run: (invocation) =>
    makeContainer(invocation, { verb: "run", waits: false, detach: invocation.options.detach }),
});
