import { printable } from "../../base/mod.ts";
import type { HistoryRow, StoredImage } from "../../store/mod.ts";
import { goTime, humanAgo, humanSize } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { shortId } from "../images/names.ts";
import { resolveImage } from "../images/resolve.ts";
import { renderRows } from "../template/mod.ts";

const headings = { CreatedSince: "CREATED", CreatedBy: "CREATED BY", CreatedAt: "CREATED AT" } as const;
const standard = "{{.ID}}\t{{.Created}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
/** As docker shortens them. */
const longestInstruction = 45;

export const command = defineCommand({
  description: "Shows the steps an image was made by, the last one first, with the size each added.",
  options: {
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json', or a Go template with .ID .CreatedSince .CreatedAt .CreatedBy .Size .Comment",
    },
    human: { type: "boolean", short: "H", default: true, help: "show sizes and times for people" },
    noheading: { type: "boolean", short: "n", help: "leave the headings out" },
    "no-trunc": { type: "boolean", help: "show whole IDs and instructions" },
    quiet: { type: "boolean", short: "q", help: "show only IDs" },
  },
  positionals: [{ name: "IMAGE", completion: "image" }],
  async run({ options, positionals, context }) {
    const store = await context.store();
    const image = await resolveImage(store, positionals[0]!);
    const rows = store.history(image);
    if (options.format === "json") {
      context.out(`${jsonText(records(image, rows), 4)}\n`);
      return;
    }
    const now = context.now();
    const views = rows.map((row, index) => {
      // Only the image itself has an ID: what it was built from was never an image here.
      const id = index === 0 ? (options["no-trunc"] ? image.id : shortId(image.id)) : "<missing>";
      const at = row.created === 0 ? "N/A" : new Date(row.created).toISOString().replace(".000Z", "Z");
      const since = row.created === 0 ? "N/A" : humanAgo(row.created, now);
      const by = printable(row.createdBy.replaceAll("\t", " "));
      return {
        ID: id,
        Created: options.human ? since : at,
        CreatedSince: since,
        CreatedAt: row.created === 0 ? "N/A" : options.human ? goTime(row.created) : at,
        CreatedBy: options["no-trunc"] ? by : shorten(by),
        Size: options.human ? humanSize(row.size) : String(row.size),
        Comment: row.comment,
        Tags: index === 0 ? image.names : [],
      };
    });
    if (options.quiet) {
      context.out(views.map(({ ID }) => `${ID}\n`).join(""));
      return;
    }
    context.out(
      renderRows(
        views,
        { headings, standard },
        {
          format: options.format,
          heading: !options.noheading,
          forTerminal: context.stdoutIsTerminal,
        },
      ),
    );
  },
});

function shorten(text: string): string {
  const characters = [...text];
  return characters.length <= longestInstruction
    ? text
    : `${characters.slice(0, longestInstruction - 1).join("")}…`;
}

function records(image: StoredImage, rows: readonly HistoryRow[]): unknown[] {
  return rows.map((row, index) => ({
    id: index === 0 ? image.id.slice(image.id.indexOf(":") + 1) : "<missing>",
    created: row.created === 0 ? null : new Date(row.created).toISOString(),
    createdBy: row.createdBy,
    size: row.size,
    comment: row.comment,
    author: row.author,
    layer: row.layer?.descriptor.digest ?? null,
    diffID: row.layer?.diffID ?? null,
    tags: index === 0 ? image.names : [],
  }));
}
