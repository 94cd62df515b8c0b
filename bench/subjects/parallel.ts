import { type Bench, first, median, type Row, type Subject } from "../bench.ts";
import { bundleFor, firstOwn, ownBundles } from "../bundle.ts";

const count = 200;

/** 200 containers created and started side by side. */
export const parallel: Subject = {
  name: "parallel",
  parts: (bench) => [
    { what: `${count} side by side, and runc`, measure: () => beside(bench, "runc", 2) },
    { what: `${count} side by side, and crun`, measure: () => beside(bench, "crun") },
  ],
};

function beside(bench: Bench, peer: "runc" | "crun", budget?: number): Row[] {
  if (bench.peer(peer) === undefined) return [];
  const bundle = bundleFor(bench, { peer, args: ["sleep", "1000"] });
  const each = (runtime: string, name: string, verbs: string) => [
    "sh",
    "-c",
    `seq ${firstOwn} ${firstOwn + count - 1} | xargs -P 8 -I{} sh -c 'r="${runtime} --root ${bench.work}/state-${name}"; ${verbs}'`,
  ];
  const start = `$r create -b ${bundle} many-{} </dev/null >/dev/null 2>&1 && $r start many-{}`;
  const remove = "$r delete -f many-{}";
  const theirs = (verbs: string) => {
    const command = bench.peer(peer)!;
    return [...command.slice(0, -1), ...each(peer, peer, verbs)];
  };
  const own = ownBundles(bench, { peer, args: ["sleep", "1000"], count });
  const startOwn = `b=${own}/{}; read id <$b/id; $r create -b $b --pid-file $b/pid $id </dev/null >/dev/null 2>&1 && $r start $id`;
  const removeOwn = `read id <${own}/{}/id; $r delete -f $id`;
  const times = bench.measure({ rounds: 3, warmup: 0, cgroups: peer === "crun" ? "v2" : "host" }, [
    each(bench.runtime, "vitrine", start),
    each(bench.runtime, "vitrine", remove),
    first(each(bench.runtime, "vitrine", start)),
    each(bench.runtime, "vitrine", remove),
    each(bench.runtime, "vitrine", startOwn),
    each(bench.runtime, "vitrine", removeOwn),
    ["sh", "-c", `rm -rf ${bench.work}/run/launches; ${each(bench.runtime, "vitrine", startOwn)[2]}`],
    each(bench.runtime, "vitrine", removeOwn),
    theirs(start),
    theirs(remove),
  ]);
  const rate = (values: readonly number[]) => count / (median(values) / 1000);
  const kinds = [
    "repeated",
    "for the first time",
    "each with its own id, bundle and config.json",
    "the same, of a kind that was never started before",
  ];
  return kinds.map((kind, i) => ({
    what: `\`vitrine-runtime\` create + start of ${count} side by side, ${kind}${peer === "crun" ? ", cgroup v2" : ""}`,
    ours: rate(times[2 * i]!),
    unit: "/s",
    peer,
    theirs: rate(times[2 * kinds.length]!),
    ...(budget === undefined ? {} : { budget }),
  }));
}
