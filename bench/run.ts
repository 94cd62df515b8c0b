/**
 * `make bench`: measures the budgets of docs/performance.md as ratios within one run and writes that file.
 *
 * Commands that are compared are run in turn by bench/turns.c, so a drifting machine is fair to all; the figure is the
 * median. Peers are used where they are installed, and named as missing where not. Needs root (runc, overlay).
 */
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { makeLayerImage } from "./layer-image.ts";
import { measure, median, type Row, report } from "./report.ts";

const repository = path.resolve(import.meta.dirname, "..");
const vitrine = path.join(repository, "dist/vitrine");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-bench-"));
const rounds = Number(process.env["ROUNDS"] ?? 40);
const rows: Row[] = [];

if (process.getuid?.() !== 0) {
  fs.writeSync(2, "bench: needs root (runc and native overlay mounts)\n");
  process.exit(1);
}
try {
  setUp();
  benchRun();
  benchVerbs();
  await benchMemory();
  benchUnpack();
  const text = report(rows);
  fs.writeFileSync(path.join(repository, "docs/performance.md"), text);
  fs.writeSync(1, text);
} finally {
  spawnSync("rm", ["-rf", work]);
}

function setUp(): void {
  must("scripts/fixtures.sh", []);
  must("cc", ["-O2", "-static", "-o", path.join(work, "floor"), "bench/floor.c"]);
  must("cc", ["-O2", "-o", path.join(work, "turns"), "bench/turns.c"]);
  process.env["VITRINE_ROOT"] = path.join(work, "root");
  process.env["VITRINE_RUNROOT"] = path.join(work, "run");
  must(vitrine, ["import", "build/fixtures/probe.tar", "bench"]);
  must(vitrine, ["run", "--name", "warm", "--network", "none", "bench", "true"]);
}

/** The whole `run`, beside runc on the same bundle, podman on the same root filesystem, and the floor. */
function benchRun(): void {
  const tree = path.join(work, "tree");
  fs.mkdirSync(tree);
  must("tar", ["-C", tree, "-xf", "build/fixtures/probe.tar"]);
  const ours = [vitrine, "run", "--rm", "--network", "none", "bench", "true"];
  const scratch = path.join(work, "scratch");
  fs.mkdirSync(scratch);
  const commands: string[][] = [ours, [path.join(work, "floor"), tree, scratch, "/bin/true"]];
  const names = ["floor"];
  if (installed("runc")) {
    commands.push(["runc", "run", "-b", bundleOf(tree), "vitrine-bench"]);
    names.push("runc");
  }
  if (installed("crun") && runs(["crun", "run", "-b", path.join(work, "bundle"), "vitrine-bench"])) {
    commands.push(["crun", "run", "-b", path.join(work, "bundle"), "vitrine-bench"]);
    names.push("crun");
  }
  const times = measure(path.join(work, "turns"), rounds, commands);
  const budgets: Readonly<Record<string, number>> = { floor: 5, runc: 0.8 };
  names.forEach((name, i) => {
    rows.push({
      what: "`run --rm --network none IMAGE true`",
      ours: median(times[0]!),
      unit: "ms",
      peer: name === "floor" ? "the floor" : `${name} run`,
      theirs: median(times[i + 1]!),
      budget: budgets[name],
    });
  });
  if (!installed("podman")) return;
  const podman = ["podman", "--root", path.join(work, "pod"), "--runroot", path.join(work, "podrun")];
  must("podman", [...podman.slice(1), "import", "-q", "build/fixtures/probe.tar", "bench"]);
  const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=20000:20000"];
  const theirs = [
    ...podman,
    "--runtime",
    "runc",
    "run",
    "--rm",
    ...limits,
    "--network",
    "none",
    "bench",
    "true",
  ];
  const [a, b] = measure(path.join(work, "turns"), Math.ceil(rounds / 4), [ours, theirs]);
  rows.push({
    what: "`run --rm --network none IMAGE true`",
    ours: median(a!),
    unit: "ms",
    peer: "podman run",
    theirs: median(b!),
    budget: 1 / 12,
  });
}

/** The verbs that engines call, on the bundle of `benchRun`. */
function benchVerbs(): void {
  const bundle = path.join(work, "bundle");
  if (!fs.existsSync(bundle)) return;
  const verbs = (runtime: string, name: string): string[] => {
    const call = `${runtime} --root ${path.join(work, `state-${name}`)}`;
    const id = `vitrine-bench-${name}`;
    return [
      "sh",
      "-c",
      `${call} create -b ${bundle} ${id} && ${call} start ${id} && ${call} delete -f ${id}`,
    ];
  };
  const peers = ["runc", "crun"].filter((name) => installed(name) && runs(verbs(name, name)));
  const runtime = path.join(repository, "dist/vitrine-runtime");
  const commands = [verbs(runtime, "vitrine"), ...peers.map((name) => verbs(name, name))];
  const times = measure(path.join(work, "turns"), rounds, commands);
  const budgets: Readonly<Record<string, number>> = { runc: 0.5, crun: 1.5 };
  peers.forEach((name, i) => {
    rows.push({
      what: "`vitrine-runtime` create + start + delete",
      ours: median(times[0]!),
      unit: "ms",
      peer: name,
      theirs: median(times[i + 1]!),
      budget: budgets[name],
    });
  });
}

/** The config.json that vitrine itself made, with the root filesystem unpacked beside it. */
function bundleOf(tree: string): string {
  const containers = path.join(work, "root/containers");
  const id = fs.readdirSync(containers)[0]!;
  const config = JSON.parse(fs.readFileSync(path.join(containers, id, "config.json"), "utf8")) as {
    root: { path: string };
    mounts: { source?: string }[];
    linux: { cgroupsPath?: string; namespaces: { type: string }[] };
  };
  const bundle = path.join(work, "bundle");
  fs.mkdirSync(bundle);
  config.root.path = tree;
  // The files that vitrine generates for a container live only as long as it runs.
  config.mounts = config.mounts.filter((mount) => !mount.source?.startsWith(path.join(work, "run")));
  config.linux.cgroupsPath = "/vitrine-bench";
  // runc before 1.2 does not know time namespaces.
  config.linux.namespaces = config.linux.namespaces.filter((namespace) => namespace.type !== "time");
  fs.writeFileSync(path.join(bundle, "config.json"), JSON.stringify(config));
  return bundle;
}

/** Resident memory of what stays beside an idle container's own program. */
async function benchMemory(): Promise<void> {
  const child = spawn(vitrine, ["run", "--rm", "--network", "none", "bench", "sleep", "30"], {
    stdio: "ignore",
  });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const status = fs.readFileSync(`/proc/${child.pid}/status`, "utf8");
  const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
  child.kill("SIGTERM");
  rows.push({
    what: "resident memory of the monitor of an idle container",
    ours: kilobytes / 1024,
    unit: "MiB",
    peer: "1 MiB",
    theirs: 1,
    budget: 1,
  });
}

/** A gzip layer of about 200 MB: what it costs to verify and unpack it. */
function benchUnpack(): void {
  if (!fs.existsSync("build/fixtures/debian.tar")) {
    fs.writeSync(2, "bench: no Debian root filesystem, so no unpacking measured\n");
    return;
  }
  const image = makeLayerImage(work, "build/fixtures/debian.tar", 200_000_000);
  const script = (text: string): string[] => ["sh", "-c", `cd ${work}; ${text}`];
  must(vitrine, ["load", "-q", "-i", image.directory]);
  const layers = path.join(work, "root/layers");
  const ours = script(`exec ${vitrine} run --rm --network none ${image.name} /bin/true`);
  // What a round unpacked is removed between the rounds, outside of what is timed.
  const commands = [ours, script(`rm -rf ${layers} um`), script(`gzip -dc ${image.blob} | sha256sum`)];
  const names = ["(removing)", "gzip -dc \\| sha256sum"];
  if (installed("umoci")) {
    commands.push(script(`umoci unpack --image ${image.directory}:${image.tag} um`));
    names.push("umoci unpack");
  }
  const times = measure(path.join(work, "turns"), 3, commands, 1);
  names.forEach((name, i) => {
    if (name.startsWith("(")) return;
    rows.push({
      what: `unpacking a ${Math.round(image.bytes / 1e6)} MB gzip layer, verified, and \`run\` on it`,
      ours: median(times[0]!),
      unit: "ms",
      peer: name,
      theirs: median(times[i + 1]!),
      budget: name.startsWith("gzip") ? 1.5 : 0.5,
    });
  });
}

function installed(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}

function runs(command: readonly string[]): boolean {
  return spawnSync(command[0]!, command.slice(1)).status === 0;
}

function must(program: string, args: readonly string[]): void {
  const done = spawnSync(program, args, { cwd: repository, stdio: ["ignore", "ignore", "inherit"] });
  if (done.status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${done.status}`);
}
