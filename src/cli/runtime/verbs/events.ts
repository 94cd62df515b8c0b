import { stringifyJson, VitrineError } from "../../../base/mod.ts";
import { readState, readStats } from "../../../runtime/mod.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "Print what a container uses, as JSON lines",
  usage: "CONTAINER",
  options: {
    interval: { type: "string", value: "TIME", default: "5s", help: "how often: 500ms, 5s, 1m" },
    stats: { type: "boolean", help: "once" },
  },
  positionals: [1, 1],
  async run({ options, positionals, globals, context }) {
    const id = positionals[0] ?? "";
    const interval = milliseconds(options.interval);
    const first = readState(globals.root, id);
    if (first.status === "stopped") {
      throw new VitrineError("invalid", `container with id ${id} is not running`, {
        code: "container-not-running",
        operand: id,
      });
    }
    for (;;) {
      context.out(`${stringifyJson({ type: "stats", id, data: readStats(first.record.cgroup) })}\n`);
      if (options.stats) return 0;
      await new Promise((resolve) => setTimeout(resolve, interval));
      if (!runs(globals.root, id)) return 0;
    }
  },
});

function runs(root: string, id: string): boolean {
  try {
    return readState(root, id).status !== "stopped";
  } catch {
    return false;
  }
}

function milliseconds(text: string): number {
  const match = /^(\d{1,6})(ms|s|m|h)$/.exec(text);
  const scale = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match?.[2] ?? ""] ?? 0;
  const value = Number(match?.[1] ?? 0) * scale;
  if (value > 0) return value;
  throw new VitrineError("invalid", `invalid value ${JSON.stringify(text)} for --interval`, {
    code: "invalid-flag-value",
    operand: "--interval",
    hint: "a duration as 500ms, 5s or 1m, greater than 0",
  });
}
