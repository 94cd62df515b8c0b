import { type Bench, type Command, compare, first, type Row, type Subject } from "../bench.ts";
import { bundleFor } from "../bundle.ts";

/** The verbs that engines call: vitrine-runtime beside runc, and beside crun where it sees cgroup v2 alone. */
export const verbs: Subject = {
  name: "verbs",
  run: (bench) => [
    ...lifecycle(bench, "runc", 0.5),
    ...lifecycle(bench, "crun", 1.5),
    ...exec(bench, "runc", 0.5),
    ...exec(bench, "crun"),
  ],
};

type Peer = "runc" | "crun";
const cgroupsOf = (peer: Peer) => (peer === "crun" ? "v2" : "host");

function lifecycle(bench: Bench, peer: Peer, budget: number): Row[] {
  const bundle = bundleFor(bench, { peer, args: ["true"] });
  const state = bench.work;
  // One shell's word list: the shell is in what both are timed for.
  const script = (runtime: string, name: string): string => {
    const call = `${runtime} --root ${state}/state-${name}`;
    const id = `vitrine-bench-${name}`;
    return `${call} create -b ${bundle} ${id} && ${call} start ${id} && ${call} delete -f ${id}`;
  };
  const ours = ["sh", "-c", script(bench.runtime, "vitrine")];
  return [
    { kind: "repeated", ours },
    { kind: "for the first time", ours: first(ours) },
  ].flatMap(({ kind, ours }) =>
    compare(
      bench,
      { rounds: bench.rounds, warmup: 5, cgroups: cgroupsOf(peer) },
      {
        what: `\`vitrine-runtime\` create + start + delete, ${kind}${noteOf(peer)}`,
        ours,
        peers: [{ name: peer, command: inShell(bench.peer(peer), script(peer, peer)), budget }],
      },
    ),
  );
}

function exec(bench: Bench, peer: Peer, budget?: number): Row[] {
  const call = bench.peerShell(peer);
  if (call === undefined) return [];
  const bundle = bundleFor(bench, { peer, args: ["sleep", "1000"] });
  const rooted = (runtime: string, name: string) => `${runtime} --root ${bench.work}/state-${name}`;
  const begin = (runtime: string, name: string) =>
    `${rooted(runtime, name)} create -b ${bundle} sleeper-${name} </dev/null >/dev/null 2>&1; ${rooted(runtime, name)} start sleeper-${name}`;
  const end = (runtime: string, name: string) => `${rooted(runtime, name)} delete -f sleeper-${name}`;
  const words = (name: string) => [
    "--root",
    `${bench.work}/state-${name}`,
    "exec",
    `sleeper-${name}`,
    "true",
  ];
  const ours = [bench.runtime, ...words("vitrine")];
  return [
    { kind: "repeated", ours },
    { kind: "for the first time", ours: first(ours) },
  ].flatMap(({ kind, ours }) =>
    compare(
      bench,
      {
        rounds: bench.rounds,
        warmup: 5,
        cgroups: cgroupsOf(peer),
        before: `${begin(bench.runtime, "vitrine")}\n${begin(call, peer)}`,
        after: `${end(bench.runtime, "vitrine")}\n${end(call, peer)}`,
      },
      {
        what: `\`vitrine-runtime exec CONTAINER true\`, ${kind}${noteOf(peer)}`,
        ours,
        peers: [
          {
            name: `${peer} exec`,
            command: bench.peer(peer, words(peer)),
            ...(budget === undefined ? {} : { budget }),
          },
        ],
      },
    ),
  );
}

function noteOf(peer: Peer): string {
  return peer === "crun" ? ", cgroup v2" : "";
}

function inShell(peer: Command | undefined, script: string): Command | undefined {
  return peer === undefined ? undefined : [...peer.slice(0, -1), "sh", "-c", script];
}
