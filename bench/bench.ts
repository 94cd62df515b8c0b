/** What every subject of the benchmark has: the programs, a directory to work in, the peers, and a clock for whole processes. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

/** One comparison: medians of ours and theirs, and the ratio that the design allows. */
export interface Row {
  readonly what: string;
  readonly ours: number;
  readonly unit: "ms" | "MiB" | "MB/s" | "/s";
  readonly peer: string;
  readonly theirs: number;
  /** The most that ours / theirs may be; for `/s` and `MB/s` the least. */
  readonly budget?: number;
}

/** What could not be measured, and why. */
export interface Failure {
  readonly what: string;
  readonly failed: string;
}

/** The smallest thing that is measured as one: its rows are printed when it is done, and when it fails the others go on. */
export interface Part {
  readonly what: string;
  readonly measure: () => readonly Row[] | Promise<readonly Row[]>;
}

/** A group of comparisons: `SUBJECTS=name,… make bench` runs some of them alone. Each part is measured before the next is asked for. */
export interface Subject {
  readonly name: string;
  readonly parts: (bench: Bench) => Iterable<Part> | AsyncIterable<Part>;
}

export type Command = readonly string[];

export interface Measurement {
  readonly rounds: number;
  readonly warmup?: number;
  /** `v2` hides the machine's cgroup v1 hierarchies, which crun does not take beside v2. */
  readonly cgroups?: "host" | "v2";
  /** Shell scripts around the rounds, in the same view of the machine. */
  readonly before?: string;
  readonly after?: string;
}

export interface Bench {
  readonly repository: string;
  readonly vitrine: string;
  readonly runtime: string;
  /** Removed at the end. VITRINE_ROOT and VITRINE_RUNROOT lie in it. */
  readonly work: string;
  /** How often a short command is timed. */
  readonly rounds: number;
  /** A peer's command line, or undefined where it is not installed (in PEERS, when that names a chroot). */
  readonly peer: (program: string, args?: readonly string[]) => Command | undefined;
  /** The same as text for a shell in `before`, `after` or `shell`. */
  readonly peerShell: (program: string) => string | undefined;
  /** Runs the commands in turn; each one's wall times in milliseconds. */
  readonly measure: (how: Measurement, commands: readonly Command[]) => readonly (readonly number[])[];
  /** Runs a shell script in the view of the machine that measurements have. Throws when it fails. */
  readonly shell: (script: string, cgroups?: "host" | "v2") => void;
  /** Whether a command works at all, in that view. */
  readonly works: (command: Command, cgroups?: "host" | "v2") => boolean;
}

export function openBench(repository: string): Bench {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-bench-"));
  const turns = path.join(work, "turns");
  const peers = process.env["PEERS"] ?? "";
  const root = `${work}/peers`;
  const view = (cgroups: "host" | "v2"): string[] => [
    path.join(repository, "bench/view.sh"),
    cgroups,
    peers,
    work,
    repository,
  ];
  const peer = (program: string, args: readonly string[] = []): Command | undefined => {
    if (!installed(program, peers)) return undefined;
    return peers === "" ? [program, ...args] : [`@${root}`, program, ...args];
  };
  const shell = (script: string, cgroups: "host" | "v2" = "host"): void => {
    must([...view(cgroups), "sh", "-ec", script], repository);
  };
  must(["cc", "-O2", "-o", turns, "bench/turns.c"], repository);
  return {
    repository,
    vitrine: path.join(repository, "dist/vitrine"),
    runtime: path.join(repository, "dist/vitrine-runtime"),
    work,
    rounds: Number(process.env["ROUNDS"] ?? 40),
    peer,
    peerShell: (program) =>
      peer(program)
        ?.map((word) => (word.startsWith("@") ? `chroot ${word.slice(1)}` : word))
        .join(" "),
    measure: ({ rounds, warmup = 3, cgroups = "host", before = ":", after = ":" }, commands) => {
      const words = commands.flatMap((command, i) => (i === 0 ? [...command] : ["---", ...command]));
      const script = `set -e; { ${before}\n} >/dev/null; status=0; "$@" || status=$?; { ${after}\n} >/dev/null; exit $status`;
      const call = [...view(cgroups), "sh", "-c", script, "sh", turns, `${rounds}`, `${warmup}`, ...words];
      const done = spawnSync(call[0]!, call.slice(1), { encoding: "utf8" });
      if (done.status !== 0) throw new Error(`bench: ${done.stderr}`);
      return done.stdout
        .trim()
        .split("\n")
        .map((line) => line.split(" ").map((value) => Number(value) / 1000));
    },
    shell,
    works: (command, cgroups = "host") => {
      const call = [...view(cgroups), turns, "1", "0", ...command];
      return spawnSync(call[0]!, call.slice(1)).status === 0;
    },
  };
}

/** A row for each peer beside ours, which is the first command. Peers that are not there are left out. */
export function compare(
  bench: Bench,
  how: Measurement,
  { what, ours, peers }: { what: string; ours: Command; peers: readonly PeerCommand[] },
): Row[] {
  const present = peers.filter(({ command }) => command !== undefined);
  const times = bench.measure(how, [ours, ...present.map(({ command }) => command!)]);
  return present.map(({ name, budget }, i) => ({
    what,
    ours: median(times[0]!),
    unit: "ms",
    peer: name,
    theirs: median(times[i + 1]!),
    ...(budget === undefined ? {} : { budget }),
  }));
}

/** Without a launch record (docs/launch-record.md): as the first start of a command. */
export function first(command: Command): Command {
  return ["env", "VITRINE_LAUNCH_RECORD=0", ...command];
}

/**
 * A line of shell that mounts a filesystem at `place`, an empty directory: `tmpfs`, or `ext4` as Debian makes it, new, in a file of `work`: the
 * machine's own becomes slow at making files where many were removed.
 */
export function mountFresh(kind: "ext4" | "tmpfs", place: string, work: string): string {
  const file = `${work}/${place.replaceAll("/", "-")}.ext4`;
  const mount =
    kind === "tmpfs"
      ? `mount -t tmpfs vitrine-bench ${place}`
      : `rm -f ${file}; truncate -s 24G ${file}; mkfs.ext4 -qF ${file}; mount -o loop ${file} ${place}; rmdir ${place}/lost+found`;
  // Peers in a chroot see what was mounted when that was made.
  return `${mount}; [ ! -d ${work}/peers${place} ] || mount --bind ${place} ${work}/peers${place}`;
}

/** How often what takes seconds is measured. */
export function roundsOf(bench: Bench): number {
  return Math.max(1, Math.min(bench.rounds, 2));
}

export interface PeerCommand {
  readonly name: string;
  readonly command: Command | undefined;
  readonly budget?: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** `runc 1.3.6, …`: of the host, or of the chroot that PEERS names. */
export function peerVersions(programs: readonly string[]): string {
  const root = process.env["PEERS"] ?? "";
  return programs
    .map((name) => {
      if (!installed(name, root)) return `${name} (not installed)`;
      const call = root === "" ? [name, "--version"] : ["chroot", root, name, "--version"];
      const done = spawnSync(call[0]!, call.slice(1), { encoding: "utf8" });
      return `${name} ${/\d+\.\d+(\.\d+)?/.exec(done.stdout ?? "")?.[0] ?? "of an unknown version"}`;
    })
    .join(", ");
}

function installed(program: string, root: string): boolean {
  const call = root === "" ? ["sh", "-c"] : ["chroot", root, "sh", "-c"];
  return spawnSync(call[0]!, [...call.slice(1), `command -v ${program}`]).status === 0;
}

function must(call: readonly string[], directory: string): void {
  const done = spawnSync(call[0]!, call.slice(1), {
    cwd: directory,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (done.status !== 0) throw new Error(`${call.join(" ")} ended with ${done.status}`);
}
