import { type Bench, compare, first, median, type Part, type Row, type Subject } from "../bench.ts";
import { bundleFor } from "../bundle.ts";

/** Containers that live: `exec`, `start`, `stop` and `ps`. */
export const lifecycle: Subject = {
  name: "lifecycle",
  *parts(bench) {
    yield* exec(bench);
    yield { what: "`exec`, the first in its container", measure: () => firstExec(bench) };
    yield* start(bench);
    yield { what: "`stop`", measure: () => stop(bench) };
    for (const count of [60, 500]) {
      yield { what: `\`ps\` with ${count} containers`, measure: () => ps(bench, count) };
    }
  },
};

const sleeper = (bench: Bench, name: string) =>
  `${bench.vitrine} run -d --name ${name} --network none bench sleep 1000`;

function podman(bench: Bench) {
  const call = bench.peerShell("podman");
  if (call === undefined) return undefined;
  const options = ["--root", `${bench.work}/pod`, "--runroot", `${bench.work}/podrun`, "--runtime", "runc"];
  const text = `${call} ${options.join(" ")}`;
  return {
    text,
    importing: `${text} image exists bench || ${text} import -q ${bench.repository}/build/fixtures/probe.tar bench`,
    run: `${text} run -d --ulimit nofile=1024:1024 --ulimit nproc=20000:20000 --network none`,
    command: (args: readonly string[]) => bench.peer("podman", [...options, ...args]),
  };
}

function* exec(bench: Bench): Generator<Part> {
  const pod = podman(bench);
  const runc = bench.peerShell("runc");
  const bundle = bundleFor(bench, { peer: "runc", args: ["sleep", "1000"] });
  const rooted = `${runc} --root ${bench.work}/state-runc`;
  const before = [
    sleeper(bench, "e"),
    ...(pod === undefined ? [] : [pod.importing, `${pod.run} --name e bench sleep 1000`]),
    ...(runc === undefined ? [] : [`${rooted} run -d -b ${bundle} e </dev/null >/dev/null 2>&1`]),
  ];
  const after = [
    `${bench.vitrine} rm -f e`,
    ...(pod === undefined ? [] : [`${pod.text} rm -f -t 0 e`]),
    ...(runc === undefined ? [] : [`${rooted} delete -f e`]),
  ];
  const ours = [bench.vitrine, "exec", "e", "true"];
  const kinds = [
    { kind: "repeated", ours },
    { kind: "for the first time", ours: first(ours) },
  ];
  for (const { kind, ours } of kinds) {
    const what = `\`exec CONTAINER true\`, ${kind}`;
    const measure = () =>
      compare(
        bench,
        { rounds: bench.rounds, warmup: 5, before: before.join("\n"), after: after.join("\n") },
        {
          what,
          ours,
          peers: [
            {
              name: "runc exec",
              command: bench.peer("runc", ["--root", `${bench.work}/state-runc`, "exec", "e", "true"]),
              budget: 1.2,
            },
            { name: "podman exec", command: pod?.command(["exec", "e", "true"]) },
          ],
        },
      );
    yield { what, measure };
  }
}

/** Each in a container in which nothing was executed before. */
function firstExec(bench: Bench): Row[] {
  const warmup = 5;
  const runc = bench.peerShell("runc");
  if (runc === undefined) return [];
  const bundle = bundleFor(bench, { peer: "runc", args: ["sleep", "1000"] });
  const rooted = (program: string) => `${program} --root ${bench.work}/first-runc`;
  const containers = `seq 1000 ${1000 + bench.rounds + warmup}`;
  const next = (name: string) =>
    `read n <${bench.work}/next-${name}; echo $((n + 1)) >${bench.work}/next-${name}`;
  return compare(
    bench,
    {
      rounds: bench.rounds,
      warmup,
      before: [
        `for n in ours runc; do echo 1000 >${bench.work}/next-$n; done`,
        `for i in $(${containers}); do ${sleeper(bench, "f$i")}; ${rooted(runc)} run -d -b ${bundle} f$i </dev/null >/dev/null 2>&1; done`,
      ].join("\n"),
      after: `for i in $(${containers}); do ${bench.vitrine} rm -f f$i; ${rooted(runc)} delete -f f$i; done`,
    },
    {
      what: "`exec CONTAINER true`, the first in its container",
      ours: ["sh", "-c", `${next("ours")}; ${bench.vitrine} exec f$n true`],
      peers: [
        {
          name: "runc exec",
          command: [
            ...bench.peer("runc")!.slice(0, -1),
            ...["sh", "-c", `${next("runc")}; ${rooted("runc")} exec f$n true`],
          ],
          budget: 1.2,
        },
      ],
    },
  );
}

function* start(bench: Bench): Generator<Part> {
  const pod = podman(bench);
  const made = "--name s bench true";
  const before = [
    `${bench.vitrine} create --network none ${made}`,
    ...(pod === undefined ? [] : [pod.importing, `${pod.run.replace(" run -d ", " create ")} ${made}`]),
  ];
  const after = [
    `${bench.vitrine} ps -aq | xargs ${bench.vitrine} rm`,
    ...(pod === undefined ? [] : [`${pod.text} rm s`]),
  ];
  const start = [bench.vitrine, "start", "-a", "s"];
  const run = [bench.vitrine, "run", "--network", "none", "bench", "true"];
  const kinds = [
    { kind: "repeated", ours: start, run },
    { kind: "for the first time", ours: first(start), run: first(run) },
  ];
  for (const { kind, ours, run } of kinds) {
    const what = `\`start -a\` of a stopped container, ${kind}`;
    const measure = () =>
      compare(
        bench,
        { rounds: bench.rounds, warmup: 5, before: before.join("\n"), after: after.join("\n") },
        {
          what,
          ours,
          peers: [
            { name: `\`vitrine run\`, ${kind}`, command: run, budget: 1.3 },
            { name: "podman start -a", command: pod?.command(["start", "-a", "s"]) },
          ],
        },
      );
    yield { what, measure };
  }
}

/** Of a program that ends at SIGTERM: `start` in between is not counted. */
function stop(bench: Bench): Row[] {
  const pod = podman(bench);
  const made = `--name t bench sh -c 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done'`;
  const before = [
    `${bench.vitrine} create --network none ${made}`,
    ...(pod === undefined ? [] : [pod.importing, `${pod.run.replace(" run -d ", " create ")} ${made}`]),
  ];
  const after = [`${bench.vitrine} rm t`, ...(pod === undefined ? [] : [`${pod.text} rm t`])];
  const commands = [
    [bench.vitrine, "start", "t"],
    [bench.vitrine, "stop", "t"],
    [bench.vitrine, "exec", "--help"],
    ...(pod === undefined ? [] : [pod.command(["start", "t"])!, pod.command(["stop", "t"])!]),
  ];
  const times = bench.measure(
    { rounds: Math.ceil(bench.rounds / 2), before: before.join("\n"), after: after.join("\n") },
    commands,
  );
  const what = "`stop` of a program that ends at SIGTERM";
  const ours = median(times[1]!);
  return [
    { what, ours, unit: "ms", peer: "`vitrine exec --help`, which only prints", theirs: median(times[2]!) },
    ...(pod === undefined
      ? []
      : [{ what, ours, unit: "ms" as const, peer: "podman stop", theirs: median(times[4]!) }]),
  ];
}

function ps(bench: Bench, count: number): Row[] {
  const times = bench.measure(
    {
      rounds: bench.rounds,
      before: `for i in $(seq ${count}); do ${sleeper(bench, "p$i")}; done`,
      after: `${bench.vitrine} ps -q | xargs ${bench.vitrine} rm -f`,
    },
    [[bench.vitrine, "ps"]],
  );
  return [
    {
      what: `\`ps\` with ${count} containers that run`,
      ours: median(times[0]!),
      unit: "ms",
      peer: "50 ms",
      theirs: 50,
      budget: 1,
    },
  ];
}
