import { defineVerb } from "../verb.ts";
import { makeContainer, makeOptions } from "./make.ts";

export const verb = defineVerb({
  summary: "Make a container; its program waits for 'start'",
  usage: "CONTAINER",
  options: makeOptions,
  positionals: [1, 1],
  run: (invocation) => makeContainer(invocation, { verb: "create", waits: true, detach: true }),
});
