import * as fs from "node:fs";
import * as os from "node:os";
import { type Failure, peerVersions, type Row } from "./bench.ts";

/** docs/performance.md: the machine, then a line a comparison, then notes.md. */
export function report(rows: readonly (Row | Failure)[]): string {
  return [
    "# Performance",
    "",
    "Written by `make bench`: medians of whole processes, the compared commands run in turn in one go on one machine. The",
    "ratio is ours / theirs; the budget is what the design allows.",
    "",
    `Machine: ${os.cpus()[0]?.model.trim()}, ${os.cpus().length} CPUs, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}, ${distribution()}.`,
    `Peers: ${peerVersions(["runc", "crun", "podman", "umoci"])}.`,
    "",
    ...tableHead,
    ...rows.map(tableLine),
    "",
    fs.readFileSync(new URL("notes.md", import.meta.url), "utf8"),
  ].join("\n");
}

export const tableHead: readonly string[] = [
  "| what | vitrine | peer | peer's | ratio | budget | |",
  "| --- | --- | --- | --- | --- | --- | --- |",
];

export function tableLine(row: Row | Failure): string {
  if ("failed" in row) return `| ${row.what} | **failed**: ${row.failed} | | | | | |`;
  const { what, ours, unit, peer, theirs, budget } = row;
  const ratio = ours / theirs;
  const more = unit.endsWith("/s");
  const holds = budget !== undefined && (more ? ratio >= budget : ratio <= budget);
  const verdict = budget === undefined ? "" : holds ? "held" : "**missed**";
  const limit = budget === undefined ? "" : `${more ? "≥" : "≤"} ${fraction(budget)}`;
  return `| ${what} | ${number(ours)} ${unit} | ${peer} | ${number(theirs)} ${unit} | ${ratio.toFixed(3)} | ${limit} | ${verdict} |`;
}

/** `1/3`, where the decimals would not end. */
function fraction(value: number): string {
  const text = String(value);
  return text.length > 6 ? `1/${Math.round(1 / value)}` : text;
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function distribution(): string {
  return (
    /PRETTY_NAME="(.*)"/.exec(fs.readFileSync("/etc/os-release", "utf8"))?.[1] ?? "an unknown distribution"
  );
}
