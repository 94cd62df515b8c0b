import { printable } from "../../base/mod.ts";
import { listVolumes, type Volume, volumeSize } from "../../engine/mod.ts";
import { sweepUnused } from "../container-trees.ts";
import { goTime, humanSize } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { labelMap, labelOf, renderRows } from "../template/mod.ts";
import { volumeFilter } from "../volumes/filters.ts";
import { inspectVolume } from "../volumes/view.ts";

const headings = { Name: "VOLUME NAME", CreatedAt: "CREATED AT" } as const;
const standard = "{{.Driver}}\t{{.Name}}";

export const command = defineCommand({
  description: "Lists volumes, by name.",
  options: {
    filter: {
      type: "strings",
      short: "f",
      value: "KEY=VALUE",
      help: "only those with name=, driver=, label=, opt=, dangling=, anonymous=, since= or until=",
    },
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json', or a Go template with .Name .Driver .Mountpoint .Scope .CreatedAt .Labels .Options .Size",
    },
    noheading: { type: "boolean", short: "n", help: "leave the headings out" },
    quiet: { type: "boolean", short: "q", help: "show only names" },
  },
  positionals: [],
  examples: [{ command: "vitrine volume ls -q -f dangling=true", does: "what no container has" }],
  async run({ options, context }) {
    await sweepUnused(context);
    const keep = volumeFilter(options.filter, context.paths(), context.now());
    const volumes = listVolumes(context.paths()).filter(keep);
    if (options.quiet) {
      context.out(volumes.map(({ name }) => `${name}\n`).join(""));
      return;
    }
    if (options.format === "json") {
      const all = volumes.map((volume) => inspectVolume(context.paths(), volume));
      context.out(`${jsonText(all, 4)}\n`);
      return;
    }
    context.out(
      renderRows(
        volumes.map((volume) => volumeView(volume, context)),
        { headings, standard },
        { format: options.format, heading: !options.noheading, forTerminal: context.stdoutIsTerminal },
      ),
    );
  },
});

/** What a template sees; the fields of docker and podman. */
export function volumeView(volume: Volume, context: Context) {
  const fields = inspectVolume(context.paths(), volume);
  const pairs = (record: Readonly<Record<string, string>>): string =>
    printable(
      Object.entries(record)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
    );
  return {
    ...fields,
    CreatedAt: goTime(volume.created),
    Labels: labelMap(volume.labels),
    Label: (...keys: readonly unknown[]) => labelOf(volume.labels, keys),
    Options: pairs(volume.options),
    get Size() {
      return humanSize(volumeSize(context.paths(), volume), 4);
    },
  };
}
