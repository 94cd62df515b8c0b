import type { DiskUsage } from "../../store/mod.ts";
import { humanAgo, humanSize } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { layTable } from "../format/table.ts";
import { defineCommand } from "../framework/command.ts";
import { nameParts, shortId } from "../images/names.ts";
import { renderRows } from "../template/mod.ts";

const headings = { TotalCount: "TOTAL" } as const;
const standard = "{{.Type}}\t{{.Total}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

export const command = defineCommand({
  description: `Shows the disk space of images and containers. Images count their archives (the blobs as they came) and the unpacked
    layers; RECLAIMABLE is what 'vitrine image prune --all' would free.`,
  options: {
    verbose: { type: "boolean", short: "v", help: "show every image and container" },
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json', or a Go template with .Type .Total .Active .Size .Reclaimable",
    },
  },
  positionals: [],
  async run({ options, context }) {
    const store = await context.store();
    const usage = store.diskUsage();
    if (options.verbose && options.format === undefined) {
      context.out(details(usage, context.now()));
      return;
    }
    const rows = summary(usage);
    if (options.format === "json") {
      context.out(`${jsonText(options.verbose ? usage : rows, 4)}\n`);
      return;
    }
    context.out(
      renderRows(
        rows,
        { headings, standard },
        {
          format: options.format,
          heading: true,
          forTerminal: context.stdoutIsTerminal,
        },
      ),
    );
  },
});

function summary(usage: DiskUsage) {
  const images = new Map(usage.images.map((entry) => [entry.row.id, entry]));
  const inUse = [...images.values()].filter(({ containers }) => containers.length > 0).length;
  const containerBytes = usage.containers.reduce((sum, { size }) => sum + size, 0);
  return [
    line("Images", images.size, inUse, usage.blobBytes + usage.layerBytes, usage.reclaimableBytes),
    line("Containers", usage.containers.length, usage.containers.length, containerBytes, 0),
  ];
}

function line(type: string, total: number, active: number, bytes: number, reclaimable: number) {
  const percent = bytes === 0 ? 0 : Math.round((reclaimable / bytes) * 100);
  return {
    Type: type,
    Total: total,
    TotalCount: total,
    Active: active,
    Size: humanSize(bytes, 4),
    RawSize: bytes,
    Reclaimable: `${humanSize(reclaimable, 4)} (${percent}%)`,
    RawReclaimable: reclaimable,
  };
}

function details(usage: DiskUsage, now: number): string {
  const images = usage.images.map(({ row, sharedBytes, uniqueBytes, containers }) => {
    const { repository, tag } = nameParts(row.name);
    return [
      repository,
      tag,
      shortId(row.id),
      row.created === 0 ? "N/A" : humanAgo(row.created, now),
      humanSize(row.size, 4),
      humanSize(sharedBytes, 4),
      humanSize(uniqueBytes, 4),
      String(containers.length),
    ];
  });
  const imageHeadings = [
    "REPOSITORY",
    "TAG",
    "IMAGE ID",
    "CREATED",
    "SIZE",
    "SHARED SIZE",
    "UNIQUE SIZE",
    "CONTAINERS",
  ];
  const containers = usage.containers.map(({ id, size }) => [shortId(id), humanSize(size, 4)]);
  return [
    `Images space usage:\n\n${layTable([imageHeadings, ...images])}`,
    `Containers space usage:\n\n${layTable([["CONTAINER ID", "SIZE"], ...containers])}`,
    `Blobs: ${humanSize(usage.blobBytes, 4)}  Unpacked layers: ${humanSize(usage.layerBytes, 4)}\n`,
  ].join("\n");
}
