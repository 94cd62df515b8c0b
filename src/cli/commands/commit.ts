import * as fs from "node:fs";
import { findContainer, loadFiles, recordContainerEvent } from "../../engine/mod.ts";
import { sweep } from "../container-trees.ts";
import { defineCommand } from "../framework/command.ts";
import { interruptible } from "../framework/interrupt.ts";
import { openMachineStore } from "../framework/storage.ts";
import { creationTime } from "../images/created.ts";
import { newName } from "../images/names.ts";
import { watched } from "../images/progress.ts";

export const command = defineCommand({
  usage: ["[OPTIONS] CONTAINER [NAME]"],
  description: `Makes an image of a container: its changes become a layer on top of its image, and the image runs what the container
    ran. Volumes are not in it. Prints the image's ID.`,
  options: {
    author: { type: "string", short: "a", value: "NAME", help: "author of the image" },
    change: {
      type: "strings",
      short: "c",
      value: "INSTRUCTION",
      help: "apply CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR to the config",
    },
    format: {
      type: "string",
      short: "f",
      value: "FORMAT",
      choices: ["oci", "docker"],
      default: "oci",
      help: "media types of the image",
    },
    iidfile: { type: "string", value: "FILE", completion: "file", help: "write the image's ID to FILE" },
    message: { type: "string", short: "m", value: "TEXT", help: "comment in the image's history" },
    pause: { type: "boolean", short: "p", default: true, help: "let the container stand still meanwhile" },
    quiet: { type: "boolean", short: "q", help: "show no progress" },
    squash: { type: "boolean", short: "s", help: "make one layer of all" },
  },
  positionals: [
    { name: "CONTAINER", completion: "container" },
    { name: "NAME", optional: true },
  ],
  examples: [
    { command: "vitrine commit -c 'CMD [\"nginx\"]' web local/web:1", does: "an image of what web is now" },
  ],
  exitCodes: { "not-found": 1 },
  async run({ options, positionals, given, context }) {
    const names = positionals[1] === undefined ? [] : [newName(positionals[1])];
    const created = creationTime(context.environment["SOURCE_DATE_EPOCH"], context.now());
    const { commitContainer } = await loadFiles();
    await sweep(context, 8);
    const paths = context.paths();
    const container = findContainer(paths, positionals[0]!);
    const id = await interruptible((guard) =>
      commitContainer(
        container,
        {
          author: options.author,
          message: options.message,
          changes: options.change,
          pause: !options.pause ? "no" : given.has("pause") ? "yes" : "if-possible",
          squash: options.squash,
          format: options.format === "docker" ? "docker" : "oci",
          names,
          created,
        },
        {
          paths,
          helperPath: context.helperPath(),
          openStore: (ids) => openMachineStore(context, ids),
          watch: (source) => watched(source, guard, options.quiet ? undefined : "Committing"),
        },
      ),
    );
    recordContainerEvent(paths, container, "commit", { imageID: id });
    if (options.iidfile !== undefined) fs.writeFileSync(options.iidfile, id);
    context.out(`${id}\n`);
  },
});
