import { VitrineError } from "../../base/mod.ts";
import { findVolume, listVolumes } from "../../engine/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { compileTemplate } from "../template/mod.ts";
import { eachVolume, volumeExit } from "../volumes/each.ts";
import { inspectVolume } from "../volumes/view.ts";

export const command = defineCommand({
  description: "Prints what is known of volumes as a JSON array, or with --format one line each.",
  options: {
    all: { type: "boolean", short: "a", help: "every volume" },
    format: {
      type: "string",
      short: "f",
      value: "FORMAT",
      help: "'json', or a Go template such as '{{.Mountpoint}}'",
    },
  },
  positionals: [{ name: "VOLUME", optional: true, variadic: true, completion: "volume" }],
  examples: [{ command: "vitrine volume inspect -f '{{.Mountpoint}}' db", does: "where its files are" }],
  exitCodes: volumeExit,
  async run({ options, positionals, context }) {
    const paths = context.paths();
    const apply =
      options.format === undefined || options.format === "json" ? undefined : compileTemplate(options.format);
    const names = options.all ? listVolumes(paths).map(({ name }) => name) : positionals;
    if (names.length === 0 && !options.all) throw missingVolume();
    const found: unknown[] = [];
    const complaints: string[] = [];
    const status = await eachVolume({ ...context, err: (text) => complaints.push(text) }, names, (name) => {
      found.push(inspectVolume(paths, findVolume(paths, name)));
    });
    if (apply === undefined) context.out(`${jsonText(found, 4)}\n`);
    else for (const each of found) context.out(`${apply(each, context.stdoutIsTerminal)}\n`);
    for (const complaint of complaints) context.err(complaint);
    return status;
  },
});

function missingVolume(): VitrineError {
  return new VitrineError("invalid", "there is no volume named", {
    code: "missing-argument",
    hint: "vitrine volume inspect VOLUME...; --all shows every one",
  });
}
