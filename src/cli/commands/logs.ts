import * as fs from "node:fs";
import { VitrineError, writeAll } from "../../base/mod.ts";
import {
  attachSocket,
  type Container,
  type EnginePaths,
  findContainer,
  type LogEntry,
  LogReader,
  logFile,
  logTime,
  monitorLives,
} from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { chosenNames } from "../containers/each.ts";
import { untilTime } from "../format/human.ts";
import { defineCommand } from "../framework/command.ts";
import { type Context, OutputClosed } from "../framework/context.ts";

export const command = defineCommand({
  description: `Shows what containers in the background printed: stdout on stdout, stderr on stderr. Of several each line begins
    with the container's id.`,
  options: {
    color: {
      type: "boolean",
      hidden: true,
      help: "accepted for compatibility: lines keep their own colours",
    },
    details: {
      type: "boolean",
      hidden: true,
      help: "accepted for compatibility: drivers here add no details",
    },
    follow: { type: "boolean", short: "f", help: "go on until the container ends" },
    latest: { type: "boolean", short: "l", help: "of the newest container" },
    names: { type: "boolean", help: "begin each line with the container's name" },
    since: {
      type: "string",
      value: "TIME",
      help: "from a time (2026-01-31T12:00:00Z) or a duration ago (10m)",
    },
    tail: { type: "string", short: "n", value: "LINES", default: "all", help: "only the last LINES" },
    timestamps: { type: "boolean", short: "t", help: "show the time of each line" },
    until: { type: "string", value: "TIME", help: "up to a time, or a duration ago" },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [
    { command: "vitrine logs -f --tail 10 web", does: "the last lines, and what follows" },
    { command: "vitrine logs -f --names web db", does: "of both, as it comes" },
  ],
  async run({ options, positionals, context }) {
    const tail = lineCount(options.tail);
    const since = timeOf("--since", options.since, context);
    const until = timeOf("--until", options.until, context);
    await sweepNamed(context, positionals);
    const paths = context.paths();
    const names = chosenNames(context, positionals, options);
    const wanted = (entry: LogEntry): boolean => {
      const time = logTime(entry);
      return time >= since && time <= until;
    };
    const chosen = names.map((name) => findContainer(paths, name));
    for (const container of chosen) requireLog(paths, container);
    const sources = chosen.map((container): Source => {
      const label = options.names
        ? `${container.name} `
        : names.length > 1
          ? `${container.id.slice(0, 12)} `
          : "";
      const file = logFile(paths, container.id);
      return { container, file, reader: new LogReader(file), print: printer(label, options.timestamps) };
    });
    try {
      for (const { file, reader, print } of sources) {
        printOlder(file, tail, wanted, print);
        for (const entry of lastLines([...reader.read()].filter(wanted), tail)) print(entry);
      }
      if (options.follow) await follow(sources, { wanted, until }, context);
    } finally {
      for (const { reader } of sources) reader.close();
    }
  },
});

/** `run --rm` where nobody watches: what it prints is its caller's alone. Error: `container-in-foreground`. */
function requireLog(paths: EnginePaths, container: Container): void {
  if (fs.existsSync(logFile(paths, container.id)) || !monitorLives(paths, container)) return;
  if (fs.existsSync(attachSocket(paths, container.id))) return;
  throw new VitrineError("unsupported", `container ${container.name} prints into its caller's pipe or file`, {
    code: "container-in-foreground",
    operand: container.name,
    hint: "'run --rm' in the foreground keeps a log on a terminal, with --log-driver k8s-file, or with --detach",
  });
}

/** A container whose log is shown. */
interface Source {
  readonly container: Container;
  readonly file: string;
  readonly reader: LogReader;
  readonly print: (entry: LogEntry) => void;
}

/** `all` or a number; a negative one is all, as with docker. Error: `invalid-flag-value`. */
function lineCount(text: string): number {
  if (text === "all") return Number.POSITIVE_INFINITY;
  if (/^-?\d{1,15}$/.test(text)) return Number(text) < 0 ? Number.POSITIVE_INFINITY : Number(text);
  throw new VitrineError("invalid", `invalid value ${JSON.stringify(text)} for --tail`, {
    code: "invalid-flag-value",
    operand: "--tail",
    hint: "a number of lines, or all",
  });
}

/** Nanoseconds; without the flag the ends of time. */
function timeOf(flag: "--since" | "--until", text: string | undefined, context: Context): bigint {
  if (text === undefined || text === "") return flag === "--since" ? 0n : 1n << 63n;
  const time = untilTime(text, context.now());
  if (time !== undefined) return BigInt(Math.round(time * 1000)) * 1000n;
  throw new VitrineError("invalid", `invalid value ${JSON.stringify(text)} for ${flag}`, {
    code: "invalid-flag-value",
    operand: flag,
    hint: "a time such as 2026-01-31T12:00:00Z, or a duration such as 10m",
  });
}

/** What rotation moved away, the oldest first: only where everything is asked for. */
function printOlder(
  file: string,
  tail: number,
  wanted: (entry: LogEntry) => boolean,
  print: (entry: LogEntry) => void,
): void {
  if (tail !== Number.POSITIVE_INFINITY) return;
  let oldest = 0;
  while (fs.existsSync(`${file}.${oldest + 1}`)) oldest += 1;
  for (let number = oldest; number > 0; number--) {
    const reader = new LogReader(`${file}.${number}`);
    for (const entry of reader.read()) if (wanted(entry)) print(entry);
    reader.close();
  }
}

/** The parts of a line that came in pieces count as one. */
function lastLines(entries: readonly LogEntry[], count: number): readonly LogEntry[] {
  if (count === Number.POSITIVE_INFINITY) return entries;
  let left = count;
  let start = entries.length;
  while (start > 0) {
    const before = entries[start - 1]!;
    if (before.whole || start === entries.length) {
      if (left === 0) break;
      left -= 1;
    }
    start -= 1;
  }
  return entries.slice(start);
}

/** Prints one entry after the other; label and time stand at the beginning of a line alone. */
function printer(label: string, withTime: boolean): (entry: LogEntry) => void {
  const within = { stdout: false, stderr: false };
  return ({ time, stream, text, whole }) => {
    const prefix = within[stream] ? "" : label + (withTime ? `${time} ` : "");
    within[stream] = !whole;
    const bytes = Buffer.concat([Buffer.from(prefix), text, Buffer.from(whole ? "\n" : "")]);
    if (!writeAll(stream === "stdout" ? 1 : 2, bytes)) throw new OutputClosed();
  };
}

const lookMilliseconds = 100;

/** Until all have ended. */
async function follow(
  sources: readonly Source[],
  { wanted, until }: { readonly wanted: (entry: LogEntry) => boolean; readonly until: bigint },
  context: Context,
): Promise<void> {
  const paths = context.paths();
  let wake: () => void = () => undefined;
  // One that was never started has no log.
  const watchers = sources.flatMap(({ file }) => {
    if (!fs.existsSync(file)) return [];
    return [fs.watch(file, { persistent: false }, () => wake()).on("error", () => undefined)];
  });
  try {
    for (let open = sources; ; ) {
      // Looked at before the logs are: what a monitor wrote last is then read below.
      const live = open.filter(({ container }) => monitorLives(paths, container));
      for (const { reader, print } of open) {
        for (const entry of reader.read()) if (wanted(entry)) print(entry);
      }
      if (live.length === 0 || BigInt(context.now()) * 1_000_000n > until) return;
      open = live;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, lookMilliseconds);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    for (const watcher of watchers) watcher.close();
  }
}
