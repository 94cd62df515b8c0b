import { type Bench, type Command, compare, first, type Part, type Row, type Subject } from "../bench.ts";
import { bundleFor, firstOwn, ownBundles, takeNext } from "../bundle.ts";

/** The verbs that engines call: vitrine-runtime beside runc, and beside crun where it sees cgroup v2 alone. */
export const verbs: Subject = {
  name: "verbs",
  *parts(bench) {
    yield* lifecycle(bench, "runc", 0.5);
    yield* lifecycle(bench, "crun", 1.5);
    const own = "create + start + delete, each with its own id, bundle and config.json";
    yield { what: `${own}, and runc`, measure: () => ownLifecycle(bench, "runc", 0.5) };
    yield { what: `${own}, and crun`, measure: () => ownLifecycle(bench, "crun", 1.5) };
    yield* exec(bench, "runc", 0.5);
    yield* exec(bench, "crun");
    for (const containers of [1, bench.rounds + warmupOfOwn + 1]) {
      const what = `exec in ${containers === 1 ? "one container" : "a new container each time"}`;
      yield { what, measure: () => ownExec(bench, "runc", 0.5, containers) };
    }
  },
};

const warmupOfOwn = 8;

type Peer = "runc" | "crun";
const cgroupsOf = (peer: Peer) => (peer === "crun" ? "v2" : "host");

function* lifecycle(bench: Bench, peer: Peer, budget: number): Generator<Part> {
  const bundle = bundleFor(bench, { peer, args: ["true"] });
  const state = bench.work;
  // One shell's word list: the shell is in what both are timed for.
  const script = (runtime: string, name: string): string => {
    const call = `${runtime} --root ${state}/state-${name}`;
    const id = `vitrine-bench-${name}`;
    return `${call} create -b ${bundle} ${id} && ${call} start ${id} && ${call} delete -f ${id}`;
  };
  const ours = ["sh", "-c", script(bench.runtime, "vitrine")];
  const kinds = [
    { kind: "repeated", ours },
    { kind: "for the first time", ours: first(ours) },
  ];
  for (const { kind, ours } of kinds) {
    const what = `\`vitrine-runtime\` create + start + delete, ${kind}${noteOf(peer)}`;
    const measure = () =>
      compare(
        bench,
        { rounds: bench.rounds, warmup: 5, cgroups: cgroupsOf(peer) },
        {
          what,
          ours,
          peers: [{ name: peer, command: inShell(bench.peer(peer), script(peer, peer)), budget }],
        },
      );
    yield { what, measure };
  }
}

function* exec(bench: Bench, peer: Peer, budget?: number): Generator<Part> {
  const call = bench.peerShell(peer);
  if (call === undefined) return;
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
  const kinds = [
    { kind: "repeated", ours },
    { kind: "for the first time", ours: first(ours) },
  ];
  for (const { kind, ours } of kinds) {
    const what = `\`vitrine-runtime exec CONTAINER true\`, ${kind}${noteOf(peer)}`;
    const measure = () =>
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
          what,
          ours,
          peers: [
            {
              name: `${peer} exec`,
              command: bench.peer(peer, words(peer)),
              ...(budget === undefined ? {} : { budget }),
            },
          ],
        },
      );
    yield { what, measure };
  }
}

/** As engines do: no two containers have the same id, bundle, config.json, pid file and log. */
function ownLifecycle(bench: Bench, peer: Peer, budget: number): Row[] {
  const warmup = 8;
  const script = (runtime: string, name: string): string => {
    const directory = ownBundles(bench, { peer, args: ["true"], count: bench.rounds + warmup + 1 });
    const call = `${runtime} --root ${bench.work}/own-${name} --log $b/log`;
    return `${takeNext(directory)}; ${call} create -b $b --pid-file $b/pid $id && ${call} start $id && ${call} delete -f $id`;
  };
  return compare(
    bench,
    { rounds: bench.rounds, warmup, cgroups: cgroupsOf(peer) },
    {
      what: `\`vitrine-runtime\` create + start + delete, each with its own id, bundle and config.json${noteOf(peer)}`,
      ours: ["sh", "-c", script(bench.runtime, "vitrine")],
      peers: [{ name: peer, command: inShell(bench.peer(peer), script(peer, peer)), budget }],
    },
  );
}

/** Of so many containers the next one each time: in one, or each in one in which nothing was executed before. */
function ownExec(bench: Bench, peer: Peer, budget: number, containers: number): Row[] {
  const warmup = warmupOfOwn;
  const shell = bench.peerShell(peer);
  if (shell === undefined) return [];
  const make = (runtime: string, name: string) => {
    const directory = ownBundles(bench, { peer, args: ["sleep", "1000"], count: bench.rounds + warmup + 2 });
    const rooted = (program: string) => `${program} --root ${bench.work}/own-${name}`;
    const each = (commands: string) =>
      `for n in $(seq ${firstOwn} ${firstOwn + containers - 1}); do b=${directory}/$n; read id <$b/id; ${commands}; done`;
    return {
      begin: each(
        `${rooted(runtime)} create -b $b $id </dev/null >/dev/null 2>&1; ${rooted(runtime)} start $id`,
      ),
      end: each(`${rooted(runtime)} delete -f $id`),
      exec: (program: string) =>
        `${takeNext(directory)}; ${containers === 1 ? `read id <${directory}/${firstOwn}/id; ` : ""}${rooted(program)} exec --process $b/process.json --pid-file $b/pid $id`,
    };
  };
  const ours = make(bench.runtime, "vitrine");
  const theirs = make(shell, peer);
  return compare(
    bench,
    {
      rounds: bench.rounds,
      warmup,
      cgroups: cgroupsOf(peer),
      before: `${ours.begin}\n${theirs.begin}`,
      after: `${ours.end}\n${theirs.end}`,
    },
    {
      what: `\`vitrine-runtime exec\`, each with its own process.json and pid file${containers === 1 ? "" : ", the first in its container"}${noteOf(peer)}`,
      ours: ["sh", "-c", ours.exec(bench.runtime)],
      peers: [{ name: `${peer} exec`, command: inShell(bench.peer(peer), theirs.exec(peer)), budget }],
    },
  );
}

function noteOf(peer: Peer): string {
  return peer === "crun" ? ", cgroup v2" : "";
}

function inShell(peer: Command | undefined, script: string): Command | undefined {
  return peer === undefined ? undefined : [...peer.slice(0, -1), "sh", "-c", script];
}
