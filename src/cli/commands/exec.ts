import { isTerminal, ofContainer, VitrineError } from "../../base/mod.ts";
import {
  findContainer,
  parseDescriptorCount,
  parseDetachKeys,
  parseEnvironment,
  prepareExec,
  readEnvironmentFile,
} from "../../engine/mod.ts";
import { becomeHelper } from "../../kernel/mod.ts";
import { sweep } from "../container-trees.ts";
import { choiceOptions } from "../containers/choice-options.ts";
import { chosenNames } from "../containers/each.ts";
import { defineCommand } from "../framework/command.ts";
import { detachKeys } from "../framework/flags.ts";
import { runDeps } from "../run-deps.ts";

export const command = defineCommand({
  usage: ["[OPTIONS] CONTAINER COMMAND [ARG...]"],
  description: `Runs a further command in a container that runs. The exit status is the command's; 125 when vitrine itself
    fails, 126 when the command cannot be run, 127 when it is not there.`,
  options: {
    cidfile: { ...choiceOptions.cidfile, type: "string", help: "in the container whose id is in this file" },
    detach: { type: "boolean", short: "d", help: "return when it runs" },
    "detach-keys": detachKeys,
    env: { type: "strings", short: "e", value: "NAME[=VALUE]", help: "set an environment variable" },
    "env-file": {
      type: "strings",
      value: "FILE",
      completion: "file",
      help: "read environment variables from FILE",
    },
    interactive: { type: "boolean", short: "i", help: "pass stdin on" },
    latest: { type: "boolean", short: "l", help: "in the newest container" },
    "no-session": { type: "boolean", hidden: true, help: "ignored: there is no session to record" },
    "preserve-fds": {
      type: "number",
      value: "N",
      default: 0,
      help: "hand N open descriptors from 3 on to the program",
    },
    privileged: { type: "boolean", help: "all capabilities, no seccomp" },
    tty: { type: "boolean", short: "t", help: "give the program a terminal" },
    user: {
      type: "string",
      short: "u",
      value: "USER[:GROUP]",
      defaultText: "the container's",
      help: "user to run as",
    },
    workdir: {
      type: "string",
      short: "w",
      value: "DIR",
      defaultText: "the container's",
      help: "directory to run in",
    },
  },
  positionals: [
    { name: "CONTAINER", completion: "container" },
    { name: "COMMAND", optional: true, variadic: true, completion: "none" },
  ],
  stopAtFirstPositional: true,
  examples: [{ command: "vitrine exec -it web sh", does: "a shell beside what runs there" }],
  async run({ options, positionals, context }) {
    const { latest, cidfile } = options;
    const words =
      latest || cidfile !== undefined
        ? [
            ...chosenNames(context, [], { latest, ...(cidfile === undefined ? {} : { cidfile: [cidfile] }) }),
            ...positionals,
          ]
        : positionals;
    const [name = "", ...args] = words;
    if (args.length === 0) {
      throw new VitrineError("invalid", "there is no command to run", {
        code: "missing-argument",
        operand: "COMMAND",
        hint: "vitrine exec [OPTIONS] CONTAINER COMMAND [ARG...]",
      });
    }
    if (options.tty && options.interactive && !options.detach && !isTerminal(0)) {
      throw new VitrineError("invalid", "the input device is not a TTY", {
        code: "stdin-not-a-terminal",
        operand: "--tty",
        hint: "leave -t out where stdin is a pipe or a file",
      });
    }
    const preserveDescriptors = parseDescriptorCount(options["preserve-fds"]);
    const become = preserveDescriptors === undefined ? undefined : await import("../become.ts");
    become?.requireOpen(preserveDescriptors ?? 0);
    const detachKeys = parseDetachKeys(options["detach-keys"]);
    await sweep(context, 8);
    // Of its record only what is the same for each like it decides anything here (docs/launch-record.md).
    const container = ofContainer(() => findContainer(context.paths(), name));
    const { planFile, discard } = await prepareExec(
      container,
      {
        command: args,
        interactive: options.interactive,
        tty: options.tty,
        detach: options.detach,
        detachKeys,
        environment: [
          ...options["env-file"].flatMap((file) => readEnvironmentFile(file, context.environment)),
          ...options.env.flatMap((text) => parseEnvironment("--env", text, context.environment)),
        ],
        user: options.user === "" ? undefined : options.user,
        workdir: options.workdir,
        privileged: options.privileged,
        preserveDescriptors,
      },
      runDeps(context),
    );
    try {
      if (become === undefined || preserveDescriptors === undefined)
        return becomeHelper(context.helperPath(), planFile);
      const words = become.runArguments(planFile, preserveDescriptors);
      return await become.becomePreserving(context.helperPath(), words, preserveDescriptors);
    } catch (error) {
      discard();
      throw error;
    }
  },
});
