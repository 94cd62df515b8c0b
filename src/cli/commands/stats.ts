import { setTimeout as sleep } from "node:timers/promises";
import {
  type Container,
  cpuPercent,
  findContainer,
  listContainers,
  runningProcess,
  type Usage,
  usageOf,
} from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { binarySize, humanSize } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { renderRows } from "../template/mod.ts";

const headings = {
  ID: "CONTAINER ID",
  CPUPerc: "CPU %",
  MemUsage: "MEM USAGE / LIMIT",
  MemPerc: "MEM %",
  NetIO: "NET I/O",
  BlockIO: "BLOCK I/O",
} as const;

const standard =
  "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/** Between the two looks that the first numbers need. */
const firstMilliseconds = 500;

export const command = defineCommand({
  description: `Shows what containers use: of CPUs (100% is one), memory, network, block devices and processes. Without
    names those that run; again and again, until it is interrupted.`,
  options: {
    all: { type: "boolean", short: "a", help: "also those that do not run" },
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json' (a line each), or a Go template with .Container .ID .Name .CPUPerc .MemUsage .MemPerc .NetIO .BlockIO .PIDs",
    },
    interval: {
      type: "number",
      short: "i",
      value: "SECONDS",
      default: 1,
      help: "time between two looks",
    },
    latest: { type: "boolean", short: "l", help: "the newest container" },
    "no-stream": { type: "boolean", help: "look once" },
    "no-reset": { type: "boolean", help: "do not clear the terminal between two looks" },
    "no-trunc": { type: "boolean", help: "show whole ids" },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [
    { command: "vitrine stats --no-stream --format '{{.Name}} {{.MemUsage}}'", does: "memory, once" },
  ],
  async run({ options, positionals, context }) {
    await sweepNamed(context, positionals);
    const wanted = chooser(context, positionals, options);
    const rows = async (before: Looks, milliseconds: number): Promise<Looks> => {
      await sleep(milliseconds);
      const now = look(context, wanted());
      const views = now.map((each) => view(each, before, options["no-trunc"]));
      const screen = context.stdoutIsTerminal && !options["no-stream"] && !options["no-reset"];
      const text = render(views, options.format, context);
      context.out(screen ? onScreen(text) : text);
      return now;
    };
    let looks = await rows(look(context, wanted()), firstMilliseconds);
    while (!options["no-stream"]) {
      looks = await rows(looks, Math.max(options.interval, 0.1) * 1000);
      // Those that were named have all ended.
      if (positionals.length > 0 && !options.all && looks.every(({ usage }) => usage === undefined)) return;
    }
  },
});

interface Look {
  readonly container: Container;
  readonly usage: Usage | undefined;
}
type Looks = readonly Look[];

/** Named ones are looked up once: one that is removed meanwhile is shown as one that does not run. */
function chooser(
  context: Context,
  names: readonly string[],
  { all, latest }: { readonly all: boolean; readonly latest: boolean },
): () => readonly Container[] {
  const paths = context.paths();
  if (names.length > 0) {
    const named = names.map((name) => findContainer(paths, name));
    return () => named;
  }
  return () => {
    const newest = [...listContainers(paths)].sort((left, right) => right.created - left.created);
    if (latest) return newest.slice(0, 1);
    return newest.filter((container) => all || runningProcess(paths, container) !== undefined);
  };
}

function look(context: Context, containers: readonly Container[]): Looks {
  return containers.map((container) => ({ container, usage: usageOf(context.paths(), container) }));
}

/** What a template sees; docker's fields. */
function view({ container, usage }: Look, before: Looks, whole: boolean) {
  const earlier = before.find((each) => each.container.id === container.id)?.usage;
  const id = container.id.slice(0, whole ? 64 : 12);
  const { memory = 0, memoryLimit = 0 } = usage ?? {};
  return {
    BlockIO: `${humanSize(usage?.read ?? 0)} / ${humanSize(usage?.written ?? 0)}`,
    CPUPerc: percent(usage === undefined ? 0 : cpuPercent(earlier, usage)),
    Container: id,
    ID: id,
    MemPerc: percent(memoryLimit === 0 ? 0 : (memory / memoryLimit) * 100),
    MemUsage: `${binarySize(memory)} / ${binarySize(memoryLimit)}`,
    Name: container.name,
    NetIO: `${humanSize(usage?.received ?? 0)} / ${humanSize(usage?.sent ?? 0)}`,
    PIDs: String(usage?.processes ?? 0),
  };
}

function percent(value: number): string {
  return `${value.toFixed(2)}%`;
}

function render(
  views: readonly ReturnType<typeof view>[],
  format: string | undefined,
  context: Context,
): string {
  if (format === "json") return views.map((each) => `${jsonText(each)}\n`).join("");
  return renderRows(
    views,
    { headings, standard },
    { format, heading: true, forTerminal: context.stdoutIsTerminal },
  );
}

/** From the top of the terminal: each line ends what was there before, and the last one what was below. */
function onScreen(text: string): string {
  return `\x1b[H${text.replaceAll("\n", "\x1b[K\n")}\x1b[J`;
}
