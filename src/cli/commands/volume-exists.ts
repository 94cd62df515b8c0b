import { isVolumeName, readVolume } from "../../engine/mod.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description:
    "Exit status 0 when there is such a volume, 1 when there is none, 125 when that cannot be told.",
  options: {},
  positionals: [{ name: "VOLUME", completion: "volume" }],
  run({ positionals, context }) {
    const name = positionals[0]!;
    return isVolumeName(name) && readVolume(context.paths(), name) !== undefined ? 0 : 1;
  },
});
