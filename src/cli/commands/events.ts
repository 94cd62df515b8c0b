import * as fs from "node:fs";
import { VitrineError } from "../../base/mod.ts";
import { EventReader, eventFile, type RecordedEvent } from "../../engine/mod.ts";
import { eventFilter } from "../events/filters.ts";
import { eventFields, eventJson, eventLine } from "../events/render.ts";
import { untilTime } from "../format/human.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { compileTemplate } from "../template/mod.ts";

export const command = defineCommand({
  description: `Shows what happens to containers, images and volumes from now on; with --since also what happened since then.
    Nothing listens meanwhile: commands and monitors write events down, and the oldest are forgotten.`,
  options: {
    filter: {
      type: "strings",
      short: "f",
      value: "KEY=VALUE",
      help: "only those with container=, image=, event=, type=, label= or volume=",
    },
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json', or a Go template with .Type .Action .Actor.ID .Actor.Attributes .Time .TimeNano .Name .Image .Status",
    },
    "no-trunc": { type: "boolean", hidden: true, default: true, help: "ids are shown whole" },
    since: {
      type: "string",
      value: "TIME",
      help: "from a time (2026-01-31T12:00:00Z, seconds since 1970) or a duration ago (10m)",
    },
    stream: {
      type: "boolean",
      default: true,
      help: "go on with what happens next; --stream=false ends after what happened",
    },
    until: { type: "string", value: "TIME", help: "up to a time, or a duration ago" },
  },
  positionals: [],
  examples: [
    { command: "vitrine events --since 1h --until 0s", does: "what happened in the last hour" },
    {
      command: "vitrine events --filter event=die --format '{{.Name}} {{.Actor.Attributes.exitCode}}'",
      does: "containers as they end",
    },
  ],
  async run({ options, context }) {
    const matches = eventFilter(options.filter);
    const since = timeOf("--since", options.since, context);
    const until = timeOf("--until", options.until, context);
    const print = printer(options.format, context);
    const fromNow = since === undefined && options.stream && until === undefined;
    let from = since ?? (fromNow ? nanoseconds(context.now()) : 0n);
    const wanted = (event: RecordedEvent): boolean =>
      event.time >= from && (until === undefined || event.time <= until) && matches(event);
    const reader = new EventReader(context.paths());
    try {
      const show = (): void => {
        for (const event of reader.read()) if (wanted(event)) print(event);
        // What is appended from now on happened from now on, even where the clock was set back.
        if (fromNow) from = 0n;
      };
      show();
      if (options.stream) await follow(show, until, context);
    } finally {
      reader.close();
    }
  },
});

/** Calls `show` when the file grew, until the time is over. */
async function follow(show: () => void, until: bigint | undefined, context: Context): Promise<void> {
  const { root } = context.paths();
  fs.mkdirSync(root, { recursive: true, mode: 0o700 });
  const name = eventFile({ root }).slice(root.length + 1);
  let wake: () => void = () => undefined;
  let changed = false;
  // The directory: the file may not be there yet, and is replaced when it is full.
  const watcher = fs.watch(root, (_, which) => {
    if (which !== null && which !== name) return;
    changed = true;
    wake();
  });
  watcher.on("error", () => undefined);
  try {
    for (;;) {
      changed = false;
      show();
      const left = until === undefined ? undefined : Number(until - nanoseconds(context.now())) / 1e6;
      if (left !== undefined && left <= 0) return;
      await new Promise<void>((resolve) => {
        // A watcher can miss what happened while it was made.
        const timer = setTimeout(resolve, Math.min(left ?? lookMilliseconds, lookMilliseconds));
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
        if (changed) wake();
      });
    }
  } finally {
    watcher.close();
  }
}

const lookMilliseconds = 1000;

function printer(format: string | undefined, context: Context): (event: RecordedEvent) => void {
  if (format === undefined || format === "") return (event) => context.out(`${eventLine(event)}\n`);
  if (format === "json") return (event) => context.out(`${eventJson(event)}\n`);
  const apply = compileTemplate(format);
  return (event) => context.out(`${apply(eventFields(event), context.stdoutIsTerminal)}\n`);
}

function nanoseconds(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1000)) * 1000n;
}

function timeOf(flag: "--since" | "--until", text: string | undefined, context: Context): bigint | undefined {
  if (text === undefined || text === "") return undefined;
  const time = untilTime(text, context.now());
  if (time !== undefined) return nanoseconds(time);
  throw new VitrineError("invalid", `invalid value ${JSON.stringify(text)} for ${flag}`, {
    code: "invalid-flag-value",
    operand: flag,
    hint: "a time such as 2026-01-31T12:00:00Z, seconds since 1970, or a duration such as 10m",
  });
}
