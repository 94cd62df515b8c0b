import { formatPlatform } from "../../image/mod.ts";
import type { ImageRow } from "../../store/mod.ts";
import { goTime, humanAgo, humanSize } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { imageFilter } from "../images/filters.ts";
import { matchesReference, nameParts, none, shortId } from "../images/names.ts";
import { renderRows } from "../template/mod.ts";

const headings = {
  ID: "IMAGE ID",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  VirtualSize: "SIZE",
} as const;

const standard = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const withDigests = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

export const command = defineCommand({
  description:
    "Lists the images of the store: one line for each name, and one for each image without a name.",
  options: {
    all: {
      type: "boolean",
      short: "a",
      help: "list all images (none is hidden: accepted for compatibility)",
    },
    digests: { type: "boolean", help: "show digests" },
    filter: {
      type: "strings",
      short: "f",
      value: "KEY=VALUE",
      help: "list only images for which it holds: dangling, reference, label, before, since, until, id, digest",
    },
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json', or a Go template with .Repository .Tag .ID .Digest .CreatedSince .CreatedAt .Size .Platform",
    },
    noheading: { type: "boolean", short: "n", help: "leave the headings out" },
    "no-trunc": { type: "boolean", help: "show whole IDs" },
    quiet: { type: "boolean", short: "q", help: "show only IDs" },
    sort: {
      type: "string",
      value: "KEY",
      choices: ["created", "id", "repository", "size", "tag"],
      default: "created",
      help: "order by created, id, repository, size or tag",
    },
  },
  positionals: [{ name: "NAME", optional: true, completion: "image" }],
  examples: [
    { command: "vitrine images --filter dangling=true -q", does: "IDs of images without a name" },
    { command: "vitrine images --format '{{.Repository}}:{{.Tag}} {{.Size}}'", does: "names and sizes" },
  ],
  async run({ options, positionals, context }) {
    const store = await context.store();
    const now = context.now();
    const pattern = positionals[0];
    const keep = imageFilter(options.filter, store, now);
    const rows = store
      .list()
      .filter((row) => keep(row) && (pattern === undefined || matchesPattern(pattern, row)))
      .sort(orders[options.sort as keyof typeof orders]);
    if (options.quiet) {
      const ids = rows.map((row) => (options["no-trunc"] ? row.id : shortId(row.id)));
      context.out([...new Set(ids)].map((id) => `${id}\n`).join(""));
      return;
    }
    if (options.format === "json") {
      context.out(`${jsonText(records(rows), 4)}\n`);
      return;
    }
    const views = rows.map((row) => imageView(row, now, options["no-trunc"]));
    context.out(
      renderRows(
        views,
        { headings, standard: options.digests ? withDigests : standard },
        { format: options.format, heading: !options.noheading, forTerminal: context.stdoutIsTerminal },
      ),
    );
  },
});

/** As docker's: a name in any spelling, or the beginning of an ID. */
function matchesPattern(pattern: string, row: ImageRow): boolean {
  return row.name !== undefined && matchesReference(pattern, row.name);
}

const byText = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);

const orders = {
  created: (left: ImageRow, right: ImageRow) =>
    right.created - left.created || byText(left.name ?? "~", right.name ?? "~"),
  id: (left: ImageRow, right: ImageRow) => byText(left.id, right.id),
  repository: (left: ImageRow, right: ImageRow) => byText(left.name ?? "~", right.name ?? "~"),
  size: (left: ImageRow, right: ImageRow) => left.size - right.size,
  tag: (left: ImageRow, right: ImageRow) => byText(nameParts(left.name).tag, nameParts(right.name).tag),
};

/** What a template sees; the fields of docker and podman. */
export function imageView(row: ImageRow, now: number, whole: boolean) {
  const { repository, tag } = nameParts(row.name);
  const size = humanSize(row.size);
  const since = row.created === 0 ? "N/A" : humanAgo(row.created, now);
  return {
    Repository: repository,
    Tag: tag,
    ID: whole ? row.id : shortId(row.id),
    Digest: row.digest,
    Created: since,
    CreatedSince: since,
    CreatedAt: row.created === 0 ? "N/A" : goTime(row.created),
    Size: size,
    VirtualSize: size,
    Platform: row.platform === undefined ? none : formatPlatform(row.platform),
    Labels: Object.assign(Object.create(null), row.labels) as Record<string, string>,
    Dangling: row.dangling,
  };
}

/** podman's JSON: one record an image, with all of its names. */
function records(rows: readonly ImageRow[]): unknown[] {
  const byImage = new Map<string, ImageRow[]>();
  for (const row of rows) {
    const key = `${row.id} ${row.digest}`;
    byImage.set(key, [...(byImage.get(key) ?? []), row]);
  }
  return [...byImage.values()].map((same) => {
    const row = same[0]!;
    const names = same.flatMap(({ name }) => (name === undefined ? [] : [name]));
    const repositories = [...new Set(names.map((name) => nameParts(name).repository))];
    return {
      Id: row.id.slice(row.id.indexOf(":") + 1),
      RepoTags: names,
      RepoDigests: repositories.map((repository) => `${repository}@${row.digest}`),
      Names: names,
      Digest: row.digest,
      Created: Math.floor(row.created / 1000),
      CreatedAt: new Date(row.created).toISOString(),
      Size: row.size,
      VirtualSize: row.size,
      Labels: row.labels,
      Dangling: row.dangling,
      Arch: row.platform?.architecture ?? "",
      Os: row.platform?.os ?? "",
      Platforms: row.platforms.map(formatPlatform),
    };
  });
}
