import { defineVerb } from "../verb.ts";
import { makeContainer, makeOptions } from "./make.ts";

export const verb = defineVerb({
  summary: "Make a container and start it",
  usage: "CONTAINER",
  options: {
    ...makeOptions,
    detach: { type: "boolean", short: "d", help: "return once the program runs" },
    keep: { type: "boolean", help: "the container is not deleted when it ends" },
  },
  positionals: [1, 1],
  run: (invocation) =>
    makeContainer(invocation, {
      verb: "run",
      waits: false,
      detach: invocation.options.detach,
      keep: invocation.options.keep,
    }),
});
