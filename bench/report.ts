import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";

/** One comparison: medians of ours and theirs, and the ratio that the brief allows. */
export interface Row {
  readonly what: string;
  readonly ours: number;
  readonly unit: "ms" | "MiB";
  readonly peer: string;
  readonly theirs: number;
  readonly budget: number | undefined;
}

/** Runs the commands in turn; returns each one's wall times in milliseconds. */
export function measure(
  turns: string,
  rounds: number,
  commands: readonly (readonly string[])[],
  warmup = 3,
): number[][] {
  const args = commands.flatMap((command, i) => (i === 0 ? [...command] : ["---", ...command]));
  const done = spawnSync(turns, [String(rounds), String(warmup), ...args], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`turns: ${done.stderr}`);
  return done.stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" ").map((value) => Number(value) / 1000));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** docs/performance.md: the machine, then a line a comparison. */
export function report(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const ratio = row.ours / row.theirs;
    const verdict = row.budget === undefined ? "" : ratio <= row.budget ? "held" : "**missed**";
    const budget = row.budget === undefined ? "" : `≤ ${row.budget < 0.1 ? "1/12" : row.budget}`;
    return `| ${row.what} | ${number(row.ours)} ${row.unit} | ${row.peer} | ${number(row.theirs)} ${row.unit} | ${ratio.toFixed(3)} | ${budget} | ${verdict} |`;
  });
  return [
    "# Performance",
    "",
    "Written by `make bench`: medians of whole processes, the compared commands run in turn in one go on one machine. The",
    "ratio is ours / theirs; the budget is what the design allows.",
    "",
    `Machine: ${os.cpus()[0]?.model.trim()}, ${os.cpus().length} CPUs, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}, ${distribution()}.`,
    `Peers: ${versions()}.`,
    "",
    "| what | vitrine | peer | peer's | ratio | budget | |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...lines,
    "",
    fs.readFileSync(new URL("notes.md", import.meta.url), "utf8"),
  ].join("\n");
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function distribution(): string {
  return (
    /PRETTY_NAME="(.*)"/.exec(fs.readFileSync("/etc/os-release", "utf8"))?.[1] ?? "an unknown distribution"
  );
}

function versions(): string {
  return ["runc", "crun", "podman", "umoci"]
    .map((name) => {
      const done = spawnSync(name, ["--version"], { encoding: "utf8" });
      const version = /\d+\.\d+(\.\d+)?/.exec(done.stdout ?? "")?.[0];
      return version === undefined ? `${name} (not installed)` : `${name} ${version}`;
    })
    .join(", ");
}
