import { type Bench, median, type Part, type Row, roundsOf } from "../bench.ts";
import type { DebianImage } from "../debian-image.ts";
import { type Server, startOurs } from "./servers.ts";

/**
 * Each time into an empty registry of another address: skopeo remembers where on a registry it has seen a blob, and would only mount it.
 * From an engine's own store, which for podman's means putting the layers together and compressing them again; and from a layout
 * where the blobs are ready. The floor is the registry's own work, which is the same for every client: three uploads by curl.
 */
export async function* pushes(bench: Bench, image: DebianImage, from: Server): AsyncGenerator<Part> {
  const skopeo = bench.peer("skopeo");
  const podman = bench.peerShell("podman");
  if (skopeo === undefined || podman === undefined) return;
  const { work, vitrine } = bench;
  const layout = `oci:${image.directory}:${image.tag}`;
  const ownStore = ["env", `VITRINE_ROOT=${work}/pushes`, `VITRINE_RUNROOT=${work}/pushes.run`, vitrine];
  const name = `${from.name}/debian:1`;
  bench.shell(`${ownStore.join(" ")} pull -q ${name}`);
  bench.shell(
    `${podman} --root ${work}/pushpods --runroot ${work}/pushpods.run pull -q --tls-verify=false ${name}; umount ${work}/pushpods/overlay 2>/dev/null || :`,
  );
  const theirStore = `containers-storage:[overlay@${work}/pushpods+${work}/pushpods.run]${name}`;
  const copy = [...skopeo, "copy", "-q", "--dest-tls-verify=false"];
  const upload = (to: Server, blob: string): string =>
    `u=http://${to.name}/v2/new/blobs/uploads/; l=$(curl -sfi -X POST $u | tr -d '\\r' | sed -n 's/^location: *//Ip'); case $l in /*) l=http://${to.name}$l;; esac; curl -sf -X PATCH -H 'Content-Type: application/octet-stream' -H Expect: -T ${blob} $l; curl -sf -X PUT $l?digest=sha256:${blob.slice(-64)}`;
  const commands: Readonly<Record<string, PushCommand>> = {
    ours: (to) => [...ownStore, "push", "-q", name, `${to.name}/new:1`],
    theirs: (to) => [...copy, theirStore, `docker://${to.name}/new:1`],
    oursReady: (to) => [vitrine, "copy", "-q", layout, `docker://${to.name}/new:1`],
    theirsReady: (to) => [...copy, layout, `docker://${to.name}/new:1`],
    floor: (to) => ["sh", "-c", `${image.blobs.map((blob) => `(${upload(to, blob)}) &`).join("\n")}\nwait`],
  };
  const stored = "`push` of the same image from the engine's own store to an empty registry";
  yield {
    what: stored,
    measure: async () => {
      // Theirs takes ten times as long as the others: once is enough.
      const times = await inTurn(bench, commands, ["ours", "theirs"], 1);
      return [row(times, stored, "ours", "skopeo copy containers-storage:", "theirs", 1 / 3)];
    },
  };
  const ready = "`copy` of it from a layout to an empty registry";
  yield {
    what: ready,
    measure: async () => {
      const times = await inTurn(bench, commands, ["oursReady", "theirsReady", "floor"], roundsOf(bench) + 1);
      return [
        row(times, ready, "oursReady", "skopeo copy oci:", "theirsReady", 1 / 3),
        row(times, ready, "oursReady", "the floor: curl, all blobs at once", "floor"),
      ];
    },
  };
}

type PushCommand = (to: Server) => readonly string[];
type Times = Readonly<Record<string, readonly number[]>>;

async function inTurn(
  bench: Bench,
  commands: Readonly<Record<string, PushCommand>>,
  keys: readonly string[],
  rounds: number,
): Promise<Times> {
  const times: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const key of keys) {
      await using to = await startOurs(bench);
      bench.shell("sync");
      const [time] = bench.measure({ rounds: 1, warmup: 0 }, [commands[key]!(to)]);
      times[key] = [...(times[key] ?? []), time![0]!];
    }
  }
  return times;
}

function row(times: Times, what: string, mine: string, peer: string, other: string, budget?: number): Row {
  const limit = budget === undefined ? {} : { budget };
  return { what, ours: median(times[mine]!), unit: "ms", peer, theirs: median(times[other]!), ...limit };
}
