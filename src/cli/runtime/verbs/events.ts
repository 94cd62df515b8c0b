import { VitrineError } from "../../../base/mod.ts";
import { toJson } from "../../../oci/mod.ts";
import { killsForMemory, readState, readStats } from "../../../runtime/mod.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "Print what a container uses, and when it ran out of memory, as JSON lines",
  usage: "CONTAINER",
  options: {
    interval: { type: "string", value: "TIME", default: "5s", help: "how often: 500ms, 5s, 1m" },
    stats: { type: "boolean", help: "once" },
  },
  positionals: [1, 1],
  async run({ options, positionals, globals, context }) {
    const id = positionals[0] ?? "";
    const interval = milliseconds(options.interval);
    const { record, status } = readState(globals.root, id);
    if (status === "stopped") {
      throw new VitrineError("invalid", `container with id ${id} is not running`, {
        code: "container-not-running",
        operand: id,
      });
    }
    const print = (event: object): void => context.out(`${toJson({ ...event })}\n`);
    if (options.stats) {
      print({ type: "stats", id, data: readStats(record.cgroup) });
      return 0;
    }
    let kills = killsForMemory(record.cgroup);
    for (let next = performance.now() + interval; ; ) {
      await sleep(Math.min(lookMilliseconds, Math.max(next - performance.now(), 1)));
      // Looked at first: what was killed last is then counted below.
      const lives = runs(globals.root, id);
      const now = killsForMemory(record.cgroup);
      for (; kills < now; kills++) print({ type: "oom", id });
      if (!lives) return 0;
      if (performance.now() < next) continue;
      next += interval;
      print({ type: "stats", id, data: readStats(record.cgroup) });
    }
  },
});

/** How long a kill may go unseen. */
const lookMilliseconds = 100;

function sleep(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, time));
}

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
