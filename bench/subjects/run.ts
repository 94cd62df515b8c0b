import * as fs from "node:fs";
import { type Bench, type Command, compare, first, type Row, type Subject } from "../bench.ts";
import { bundleFor, bundleOf } from "../bundle.ts";

/** The whole `run`, beside runc and crun on the same bundle, podman on the same root filesystem, and the floor. */
export const run: Subject = {
  name: "run",
  *parts(bench) {
    const command = [bench.vitrine, "run", "--rm", "--network", "none", "bench", "true"];
    bench.shell(`cc -O2 -static -o ${bench.work}/floor bench/floor.c`);
    fs.mkdirSync(`${bench.work}/scratch`);
    for (const { what, ours } of kinds(command)) {
      yield { what: `${what}, and runc`, measure: () => besideRunc(bench, what, ours) };
      yield { what: `${what}, and crun`, measure: () => besideCrun(bench, what, ours) };
      yield { what: `${what}, and podman`, measure: () => besidePodman(bench, what, ours) };
    }
  },
};

/** What the launcher repeats from its record, and what the engine decides. */
function kinds(command: Command): readonly { readonly what: string; readonly ours: Command }[] {
  const what = "`run --rm --network none IMAGE true`";
  return [
    { what: `${what}, repeated`, ours: command },
    { what: `${what}, for the first time`, ours: first(command) },
  ];
}

const runtime = (bench: Bench, name: string, bundle: string) =>
  bench.peer(name, ["--root", `${bench.work}/state-${name}`, "run", "-b", bundle, "vitrine-bench"]);

function besideRunc(bench: Bench, what: string, ours: Command): Row[] {
  const { work, rounds } = bench;
  const { bundle, tree } = bundleOf(bench);
  const peers = [
    { name: "the floor", command: [`${work}/floor`, tree, `${work}/scratch`, "/bin/true"], budget: 5 },
    { name: "runc run", command: runtime(bench, "runc", bundle), budget: 0.8 },
  ];
  return compare(bench, { rounds, warmup: 5 }, { what, ours, peers });
}

function besideCrun(bench: Bench, what: string, ours: Command): Row[] {
  const bundle = bundleFor(bench, { peer: "crun", args: ["true"] });
  const peers = [{ name: "crun run", command: runtime(bench, "crun", bundle) }];
  const how = { rounds: bench.rounds, warmup: 5, cgroups: "v2" } as const;
  return compare(bench, how, { what: `${what}, cgroup v2`, ours, peers });
}

function besidePodman(bench: Bench, what: string, ours: Command): Row[] {
  const { work, rounds } = bench;
  const call = bench.peerShell("podman");
  if (call === undefined) return [];
  const storage = ["--root", `${work}/pod`, "--runroot", `${work}/podrun`];
  const importing = `${call} ${storage.join(" ")} image exists bench || ${call} ${storage.join(" ")} import -q ${bench.repository}/build/fixtures/probe.tar bench`;
  const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=20000:20000"];
  const command = (more: readonly string[]) =>
    bench.peer("podman", [
      ...storage,
      "--runtime",
      "runc",
      "run",
      "--rm",
      ...limits,
      ...more,
      "bench",
      "true",
    ]);
  return compare(
    bench,
    { rounds: Math.ceil(rounds / 4), warmup: 5, before: importing },
    {
      what,
      ours,
      peers: [{ name: "podman run", command: command(["--network", "none"]), budget: 1 / 12 }],
    },
  );
}
