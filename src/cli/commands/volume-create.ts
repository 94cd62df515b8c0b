import { createVolume, parsePairs } from "../../engine/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { volumeExit } from "../volumes/each.ts";

export const command = defineCommand({
  usage: ["[OPTIONS] [NAME]"],
  description: `Makes a volume and prints its name: 64 hexadecimal digits where none is given. A volume of this name that has the
    same options is kept as it is.

    Without options a volume is a directory of the store. With type, device and o it is mounted, as mount(8) would, in every
    container that uses it: a tmpfs (each container has its own), a directory of the host (type=none, o=bind) or NFS.`,
  options: {
    driver: {
      type: "string",
      short: "d",
      value: "DRIVER",
      default: "local",
      help: "'local' is the one there is",
    },
    opt: {
      type: "strings",
      short: "o",
      value: "KEY=VALUE",
      help: "an option of the driver: type=, device=, o=",
    },
    label: { type: "strings", short: "l", value: "KEY=VALUE", help: "add a label" },
    ignore: { type: "boolean", help: "no error when a volume of this name has other options" },
    name: { type: "string", value: "NAME", hidden: true, help: "the name, as an option" },
  },
  positionals: [{ name: "NAME", optional: true, completion: "none" }],
  examples: [
    { command: "vitrine volume create db", does: "a directory that outlives its containers" },
    {
      command: "vitrine volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch",
      does: "a volume in memory",
    },
    {
      command: "vitrine volume create -o type=none -o o=bind -o device=/srv/data data",
      does: "a name for a directory of the host",
    },
  ],
  exitCodes: volumeExit,
  run({ options, positionals, context }) {
    const request = {
      name: positionals[0] ?? options.name,
      driver: options.driver,
      labels: Object.fromEntries(parsePairs("--label", options.label)),
      options: Object.fromEntries(parsePairs("--opt", options.opt)),
    };
    const volume = createVolume(context.paths(), request, context.now(), { ignore: options.ignore });
    context.out(`${volume.name}\n`);
    return 0;
  },
});
