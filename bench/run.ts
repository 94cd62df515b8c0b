/**
 * `make bench`: measures the budgets of docs/performance.md as ratios within one run and writes that file.
 *
 * Commands that are compared are run in turn by bench/turns.c, so a drifting machine is fair to all; the figure is the
 * median. Peers are used where they are installed, and named as missing where not; PEERS=DIR takes them from a chroot
 * instead, SUBJECTS=name,… runs a part and prints it alone. Each row is printed when it is measured; one that could not be says why, and
 * the exit status is 1 in the end. Needs root (runc, overlay).
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { type Failure, openBench, type Row, type Subject } from "./bench.ts";
import { report, tableHead, tableLine } from "./report.ts";
import { copy } from "./subjects/copy.ts";
import { lifecycle } from "./subjects/lifecycle.ts";
import { memory } from "./subjects/memory.ts";
import { parallel } from "./subjects/parallel.ts";
import { registry } from "./subjects/registry.ts";
import { run } from "./subjects/run.ts";
import { unpack } from "./subjects/unpack.ts";
import { verbs } from "./subjects/verbs.ts";

/** A new subject is a file in subjects/ and a line here. */
const subjects: readonly Subject[] = [run, verbs, lifecycle, memory, parallel, unpack, copy, registry];

const repository = path.resolve(import.meta.dirname, "..");
const wanted = process.env["SUBJECTS"]?.split(",");
if (process.getuid?.() !== 0) {
  fs.writeSync(2, "bench: needs root (runc and native overlay mounts)\n");
  process.exit(1);
}
const bench = openBench(repository);
const rows: (Row | Failure)[] = [];
try {
  process.env["VITRINE_ROOT"] = path.join(bench.work, "root");
  process.env["VITRINE_RUNROOT"] = path.join(bench.work, "run");
  bench.shell("scripts/fixtures.sh");
  bench.shell(`${bench.vitrine} import build/fixtures/probe.tar bench`);
  show(tableHead);
  for (const subject of subjects) {
    if (wanted === undefined || wanted.includes(subject.name)) await measureAll(subject);
  }
  if (wanted === undefined) fs.writeFileSync(path.join(repository, "docs/performance.md"), report(rows));
} finally {
  spawnSync("rm", ["-rf", bench.work]);
}
if (rows.some((row) => "failed" in row)) process.exitCode = 1;

async function measureAll(subject: Subject): Promise<void> {
  const begun = performance.now();
  try {
    for await (const part of subject.parts(bench)) {
      try {
        keep(await part.measure());
      } catch (error) {
        keep([failure(part.what, error)]);
      }
    }
  } catch (error) {
    // What its parts have in common: the rest of the subject is not measured.
    keep([failure(subject.name, error)]);
  }
  fs.writeSync(2, `bench: ${subject.name}: ${Math.round((performance.now() - begun) / 1000)} s\n`);
}

function keep(more: readonly (Row | Failure)[]): void {
  rows.push(...more);
  show(more.map(tableLine));
}

function failure(what: string, error: unknown): Failure {
  const text = error instanceof Error ? error.message : String(error);
  return {
    what,
    failed: text
      .trim()
      .replaceAll("|", "\\|")
      .replaceAll(/\s*\n\s*/g, "; "),
  };
}

function show(lines: readonly string[]): void {
  for (const line of lines) fs.writeSync(1, `${line}\n`);
}
