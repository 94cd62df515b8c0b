import { type Bench, first, median, type Row, type Subject } from "../bench.ts";
import { bundleFor } from "../bundle.ts";

const count = 200;

/** 200 containers created and started side by side. */
export const parallel: Subject = {
  name: "parallel",
  run: (bench) => [...beside(bench, "runc", 2), ...beside(bench, "crun")],
};

function beside(bench: Bench, peer: "runc" | "crun", budget?: number): Row[] {
  if (bench.peer(peer) === undefined) return [];
  const bundle = bundleFor(bench, { peer, args: ["sleep", "1000"] });
  const each = (runtime: string, name: string, verbs: string) => [
    "sh",
    "-c",
    `seq ${count} | xargs -P 8 -I{} sh -c 'r="${runtime} --root ${bench.work}/state-${name}"; ${verbs}'`,
  ];
  const start = `$r create -b ${bundle} many-{} </dev/null >/dev/null 2>&1 && $r start many-{}`;
  const remove = "$r delete -f many-{}";
  const theirs = (verbs: string) => {
    const command = bench.peer(peer)!;
    return [...command.slice(0, -1), ...each(peer, peer, verbs)];
  };
  const times = bench.measure({ rounds: 3, warmup: 0, cgroups: peer === "crun" ? "v2" : "host" }, [
    each(bench.runtime, "vitrine", start),
    each(bench.runtime, "vitrine", remove),
    first(each(bench.runtime, "vitrine", start)),
    each(bench.runtime, "vitrine", remove),
    theirs(start),
    theirs(remove),
  ]);
  const rate = (values: readonly number[]) => count / (median(values) / 1000);
  return ["repeated", "for the first time"].map((kind, i) => ({
    what: `\`vitrine-runtime\` create + start of ${count} side by side, ${kind}${peer === "crun" ? ", cgroup v2" : ""}`,
    ours: rate(times[2 * i]!),
    unit: "/s",
    peer,
    theirs: rate(times[4]!),
    ...(budget === undefined ? {} : { budget }),
  }));
}
