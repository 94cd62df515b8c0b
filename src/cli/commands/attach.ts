import { VitrineError } from "../../base/mod.ts";
import {
  attachSocket,
  findContainer,
  notRunning,
  parseDetachKeys,
  recordContainerEvent,
  runningProcess,
} from "../../engine/mod.ts";
import { becomeHelperWith } from "../../kernel/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { chosenNames } from "../containers/each.ts";
import { defineCommand } from "../framework/command.ts";
import { detachKeys } from "../framework/flags.ts";

export const command = defineCommand({
  description: `Follows the output of a container in the background, and passes stdin and signals on to it. The exit status is
    the container's. On a terminal the detach keys leave it running.`,
  options: {
    "detach-keys": detachKeys,
    latest: { type: "boolean", short: "l", help: "the newest container" },
    "no-stdin": { type: "boolean", help: "do not pass stdin on" },
    "sig-proxy": { type: "boolean", default: true, help: "pass signals on" },
  },
  positionals: [{ name: "CONTAINER", optional: true, completion: "container" }],
  examples: [{ command: "vitrine attach --no-stdin web", does: "see what it prints from now on" }],
  async run({ options, positionals, context }) {
    const keys = parseDetachKeys(options["detach-keys"]);
    await sweepNamed(context, positionals);
    const paths = context.paths();
    const [name] = chosenNames(context, positionals, options);
    const container = findContainer(paths, name ?? "");
    if (runningProcess(paths, container) === undefined) throw notRunning(container);
    const socket = attachSocket(paths, container.id);
    const { existsSync } = process.getBuiltinModule("node:fs");
    if (!existsSync(socket)) {
      throw new VitrineError(
        "unsupported",
        `container ${container.name} runs in the foreground of its command`,
        {
          code: "container-in-foreground",
          operand: container.name,
          hint: "start it on a terminal, with --log-driver k8s-file or with --detach to be able to attach to it",
        },
      );
    }
    recordContainerEvent(paths, container, "attach");
    return becomeHelperWith(context.helperPath(), [
      "attach",
      ...(options["no-stdin"] ? ["--no-input"] : []),
      ...(options["sig-proxy"] ? [] : ["--no-signals"]),
      ...(keys.length === 0 ? [] : ["--keys", Buffer.from(keys).toString("hex")]),
      socket,
    ]);
  },
});
