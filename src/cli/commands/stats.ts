import { setTimeout as sleep } from "node:timers/promises";
import {
  type Container,
  type CpuTime,
  cpuPercent,
  findContainer,
  listContainers,
  type Usage,
  UsageLook,
} from "../../engine/mod.ts";
import { sweep, sweepNamed } from "../container-trees.ts";
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
    // One whose monitor is dead does not run: without names nobody has to look at all of them for that.
    await (positionals.length > 0 ? sweepNamed(context, positionals) : sweep(context, 8));
    const wanted = chooser(context, positionals, options);
    const shown = positionals.length > 0 || options.all || options.latest;
    const rows = async (before: Times, milliseconds: number, next?: readonly Container[]): Promise<Looks> => {
      await sleep(milliseconds);
      const now = look(context, next ?? wanted()).filter(({ usage }) => shown || usage !== undefined);
      const views = now.map((each) => view(each, before, options["no-trunc"]));
      const screen = context.stdoutIsTerminal && !options["no-stream"] && !options["no-reset"];
      const text = render(views, options.format, context);
      context.out(screen ? onScreen(text) : text);
      return now;
    };
    const first = wanted();
    let looks = await rows(timesOf(context, first), firstMilliseconds, first);
    while (!options["no-stream"]) {
      const before = new Map(looks.map(({ container, usage }) => [container.id, usage] as const));
      looks = await rows(before, Math.max(options.interval, 0.1) * 1000);
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
/** By id. */
type Times = ReadonlyMap<string, CpuTime | undefined>;

/** Named ones are looked up once: one that is removed meanwhile is shown as one that does not run. */
function chooser(
  context: Context,
  names: readonly string[],
  { latest }: { readonly latest: boolean },
): () => readonly Container[] {
  const paths = context.paths();
  if (names.length > 0) {
    const named = names.map((name) => findContainer(paths, name));
    return () => named;
  }
  return () => {
    const newest = [...listContainers(paths)].sort((left, right) => right.created - left.created);
    return latest ? newest.slice(0, 1) : newest;
  };
}

function timesOf(context: Context, containers: readonly Container[]): Times {
  const look = new UsageLook(context.paths());
  return new Map(containers.map((container) => [container.id, look.cpuTime(container)] as const));
}

function look(context: Context, containers: readonly Container[]): Looks {
  const look = new UsageLook(context.paths());
  return containers.map((container) => ({ container, usage: look.usage(container) }));
}

/** What a template sees; docker's fields. */
function view({ container, usage }: Look, before: Times, whole: boolean) {
  const earlier = before.get(container.id);
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
