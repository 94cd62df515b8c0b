import { VitrineError } from "../../../base/mod.ts";
import { readState } from "../../../runtime/mod.ts";
import { becomeHelperWith } from "../../become.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "Start the program of a container that was created",
  usage: "CONTAINER",
  options: {},
  positionals: [1, 1],
  run({ positionals, globals, context }) {
    const id = positionals[0] ?? "";
    const { status } = readState(globals.root, id);
    if (status !== "created") {
      const message =
        status === "stopped"
          ? "cannot start a container that has stopped"
          : `cannot start an already running container (${status})`;
      throw new VitrineError("invalid", message, { code: "container-not-created", operand: id });
    }
    return becomeHelperWith(context.helperPath(), ["start", `${globals.root}/${id}`]);
  },
});
