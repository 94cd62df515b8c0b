import * as fs from "node:fs";
import { type Bench, compare, type Row, type Subject } from "../bench.ts";
import { bundleFor, bundleOf } from "../bundle.ts";

/** The whole `run`, beside runc and crun on the same bundle, podman on the same root filesystem, and the floor. */
export const run: Subject = {
  name: "run",
  run: (bench) => [...besideRuntimes(bench), ...besidePodman(bench)],
};

const what = "`run --rm --network none IMAGE true`";
const ours = ({ vitrine }: Bench) => [vitrine, "run", "--rm", "--network", "none", "bench", "true"];

function besideRuntimes(bench: Bench): Row[] {
  const { work, rounds } = bench;
  const { bundle, tree } = bundleOf(bench);
  bench.shell(`cc -O2 -static -o ${work}/floor bench/floor.c`);
  fs.mkdirSync(`${work}/scratch`);
  const floor = [`${work}/floor`, tree, `${work}/scratch`, "/bin/true"];
  const runtime = (name: string, from: string) =>
    bench.peer(name, ["--root", `${work}/state-${name}`, "run", "-b", from, "vitrine-bench"]);
  return [
    ...compare(
      bench,
      { rounds },
      {
        what,
        ours: ours(bench),
        peers: [
          { name: "the floor", command: floor, budget: 5 },
          { name: "runc run", command: runtime("runc", bundle), budget: 0.8 },
        ],
      },
    ),
    ...compare(
      bench,
      { rounds, cgroups: "v2" },
      {
        what: `${what}, cgroup v2`,
        ours: ours(bench),
        peers: [
          { name: "crun run", command: runtime("crun", bundleFor(bench, { peer: "crun", args: ["true"] })) },
        ],
      },
    ),
  ];
}

function besidePodman(bench: Bench): Row[] {
  const { work, rounds } = bench;
  const call = bench.peerShell("podman");
  if (call === undefined) return [];
  const storage = ["--root", `${work}/pod`, "--runroot", `${work}/podrun`];
  const importing = `${call} ${storage.join(" ")} import -q ${bench.repository}/build/fixtures/probe.tar bench`;
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
    { rounds: Math.ceil(rounds / 4), before: importing },
    {
      what,
      ours: ours(bench),
      peers: [{ name: "podman run", command: command(["--network", "none"]), budget: 1 / 12 }],
    },
  );
}
