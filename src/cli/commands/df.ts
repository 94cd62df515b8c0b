import { printable } from "../../base/mod.ts";
import {
  type Container,
  type ContainerState,
  type EnginePaths,
  listContainers,
  listVolumes,
  stateOf,
  usedVolumes,
  volumeSize,
  volumeUsers,
} from "../../engine/mod.ts";
import { type ArtifactUsage, type DiskUsage, openArtifacts } from "../../store/mod.ts";
import { humanAgo, humanSize } from "../format/human.ts";
import { layTable } from "../format/table.ts";
import { defineCommand } from "../framework/command.ts";
import { nameParts, shortId } from "../images/names.ts";
import { compileTemplate, renderRows } from "../template/mod.ts";

const headings = { TotalCount: "TOTAL" } as const;
const standard = "{{.Type}}\t{{.Total}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

export const command = defineCommand({
  description: `Shows the disk space of images, containers and volumes. Images count their archives (the blobs as they came) and the unpacked
    layers; RECLAIMABLE is what 'vitrine image prune --all', 'container prune' and
    'volume prune --all' would free. Artifacts, where there are any, have a row of their own; of them, only what no name leads to is
    reclaimable: a prune leaves the others.`,
  options: {
    verbose: { type: "boolean", short: "v", help: "show every image and container" },
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json', or a Go template with .Type .Total .Active .Size .Reclaimable; with -v .Images .Containers .Volumes .Artifacts",
    },
  },
  positionals: [],
  async run({ options, context }) {
    const store = await context.store();
    const usage = store.diskUsage();
    const containers = containerRows(context.paths(), usage);
    const volumes = volumeRows(context.paths());
    const artifacts = (await openArtifacts(store.root)).usage();
    if (options.verbose && (options.format === undefined || options.format === "table")) {
      context.out(details(usage, containers, volumes, artifacts, context.now()));
      return;
    }
    if (options.verbose) {
      const { usageDetails } = await import("../containers/usage-details.ts");
      const format = options.format === "json" ? "{{json .}}" : options.format!;
      const links = new Map(volumes.map(({ name, links }) => [name, links]));
      const shown = await usageDetails(usage, links, artifacts, context);
      context.out(`${compileTemplate(format)(shown, context.stdoutIsTerminal).replace(/\n$/, "")}\n`);
      return;
    }
    const rows = summary(usage, containers, volumes, artifacts);
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

interface ContainerRow {
  readonly id: string;
  /** undefined: its record is damaged. */
  readonly container: Container | undefined;
  readonly bytes: number;
  readonly status: ContainerState["status"] | "damaged";
}

/** Directories that the store measured, with what the engine knows of them. */
function containerRows(paths: EnginePaths, usage: DiskUsage): readonly ContainerRow[] {
  const known = new Map(listContainers(paths).map((container) => [container.id, container]));
  return usage.containers.map(({ id, size }) => {
    const container = known.get(id);
    const status = container === undefined ? "damaged" : stateOf(paths, container).status;
    return { id, container, bytes: size, status };
  });
}

function volumeRows(paths: EnginePaths) {
  const used = usedVolumes(paths);
  return listVolumes(paths).map((volume) => ({
    name: volume.name,
    links: volumeUsers(paths, volume.name).length,
    used: used.has(volume.name),
    bytes: volumeSize(paths, volume),
  }));
}

/** As docker; the others are what `container prune` takes. */
function isActive({ status }: ContainerRow): boolean {
  return status === "running" || status === "restarting";
}

function sumBytes(rows: readonly { readonly bytes: number }[]): number {
  return rows.reduce((sum, { bytes }) => sum + bytes, 0);
}

function summary(
  usage: DiskUsage,
  containers: readonly ContainerRow[],
  volumes: readonly { readonly used: boolean; readonly bytes: number }[],
  artifacts: ArtifactUsage,
) {
  const images = new Map(usage.images.map((entry) => [entry.row.id, entry]));
  const inUse = [...images.values()].filter(({ containers }) => containers.length > 0).length;
  const active = containers.filter(isActive);
  const ended = containers.filter((row) => !isActive(row));
  const held = volumes.filter(({ used }) => used);
  return [
    line("Images", images.size, inUse, usage.blobBytes + usage.layerBytes, usage.reclaimableBytes),
    line("Containers", containers.length, active.length, sumBytes(containers), sumBytes(ended)),
    line("Local Volumes", volumes.length, held.length, sumBytes(volumes), sumBytes(volumes) - sumBytes(held)),
    // Neither docker nor podman has this row: who has no artifacts does not see it either.
    ...(artifacts.bytes === 0
      ? []
      : [line("Artifacts", artifacts.artifacts.length, 0, artifacts.bytes, artifacts.reclaimableBytes)]),
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

const containerHeadings = [
  "CONTAINER ID",
  "IMAGE",
  "COMMAND",
  "LOCAL VOLUMES",
  "SIZE",
  "CREATED",
  "STATUS",
  "NAMES",
];

/** Docker's tables. */
function details(
  usage: DiskUsage,
  containers: readonly ContainerRow[],
  volumes: ReturnType<typeof volumeRows>,
  { artifacts, bytes: artifactBytes }: ArtifactUsage,
  now: number,
): string {
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
  const containerLines = containers.map(({ id, container, bytes, status }) => [
    shortId(id),
    printable(container?.image ?? ""),
    printable(shortened(container?.command.join(" ") ?? "")),
    String((container?.mounts ?? []).filter(({ kind }) => kind === "volume").length),
    humanSize(bytes, 4),
    container === undefined ? "N/A" : humanAgo(container.created, now),
    status,
    printable(container?.name ?? ""),
  ]);
  const volumeLines = volumes.map(({ name, links, bytes }) => [
    printable(name),
    String(links),
    humanSize(bytes, 4),
  ]);
  const artifactLines = artifacts.map(({ name, digest, size }) => [
    printable(name),
    shortId(digest),
    humanSize(size, 4),
  ]);
  return [
    `Images space usage:\n\n${layTable([imageHeadings, ...images])}`,
    `Containers space usage:\n\n${layTable([containerHeadings, ...containerLines])}`,
    `Local Volumes space usage:\n\n${layTable([["VOLUME NAME", "LINKS", "SIZE"], ...volumeLines])}`,
    ...(artifactBytes === 0
      ? []
      : [`Artifacts space usage:\n\n${layTable([["ARTIFACT", "DIGEST", "SIZE"], ...artifactLines])}`]),
    `Blobs: ${humanSize(usage.blobBytes, 4)}  Unpacked layers: ${humanSize(usage.layerBytes, 4)}\n`,
  ].join("\n");
}

function shortened(command: string): string {
  return command.length <= 20 ? command : `${command.slice(0, 19)}…`;
}
