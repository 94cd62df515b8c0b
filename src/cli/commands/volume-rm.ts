import { VitrineError } from "../../base/mod.ts";
import { listVolumes, removeContainer, removeVolume, volumeUsers } from "../../engine/mod.ts";
import { sweep, sweepUnused, treeRemover } from "../container-trees.ts";
import { defineCommand } from "../framework/command.ts";
import { eachVolume, volumeExit } from "../volumes/each.ts";

export const command = defineCommand({
  description:
    "Removes volumes with everything in them. One that a container has, running or not, is not removed.",
  options: {
    all: { type: "boolean", short: "a", help: "remove every volume that no container has" },
    force: { type: "boolean", short: "f", help: "no error for what is not there" },
    time: {
      type: "number",
      short: "t",
      value: "SECONDS",
      hidden: true,
      help: "accepted for compatibility: containers are killed at once",
    },
    containers: { type: "boolean", help: "remove the containers that have them first, running ones too" },
  },
  positionals: [{ name: "VOLUME", optional: true, variadic: true, completion: "volume" }],
  examples: [{ command: "vitrine volume rm db", does: "remove a volume" }],
  exitCodes: volumeExit,
  async run({ options, positionals, context }) {
    const paths = context.paths();
    const remove = treeRemover(context);
    await sweep(context);
    await sweepUnused(context);
    if (options.all === positionals.length > 0) {
      throw new VitrineError("invalid", options.all ? "--all takes no volumes" : "no volume is named", {
        code: options.all ? "surplus-argument" : "missing-argument",
        hint: "vitrine volume rm VOLUME..., or vitrine volume rm --all",
      });
    }
    const names = options.all
      ? listVolumes(paths)
          .map(({ name }) => name)
          .filter((name) => volumeUsers(paths, name).length === 0)
      : positionals;
    return eachVolume(context, names, async (name) => {
      try {
        if (options.containers) {
          for (const container of volumeUsers(paths, name)) {
            await removeContainer(paths, container, { force: true }, remove);
          }
        }
        await removeVolume(paths, name, remove);
      } catch (error) {
        const missing = error instanceof VitrineError && error.code === "volume-not-found";
        if (!missing || !options.force) throw error;
      }
      context.out(`${name}\n`);
    });
  },
});
