import * as fs from "node:fs";
import { type Bench, compare, first, median, mountFresh, type Part, type Row, roundsOf } from "../bench.ts";
import type { DebianImage } from "../debian-image.ts";
import type { Server } from "./servers.ts";

const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;

export function* pulls(bench: Bench, image: DebianImage, from: Server): Generator<Part> {
  for (const kind of ["ext4", "tmpfs"] as const) {
    yield { what: `\`pull\` on a new ${kind}`, measure: () => pull(bench, image, from, kind) };
  }
  yield { what: "`pull` of what is present", measure: () => present(bench, from) };
}

/** Every round has a store of its own: some filesystems are slow where much was removed a moment ago. */
function pull(bench: Bench, image: DebianImage, from: Server, kind: "ext4" | "tmpfs"): Row[] {
  const { vitrine, work } = bench;
  const place = `${work}/${kind}`;
  fs.mkdirSync(place);
  const call = bench.peerShell("podman");
  const round = `n=$(cat ${place}/pulls 2>/dev/null || echo 0); n=$((n+1)); echo $n >${place}/pulls;`;
  const script = (text: string) => ["sh", "-c", `${round} ${text}`];
  const podman =
    call === undefined
      ? undefined
      : script(
          `exec ${call} --root ${place}/pods/$n --runroot ${place}/podruns/$n pull -q --tls-verify=false ${from.name}/debian:1`,
        );
  const inflate = `for f in ${image.blobs.join(" ")}; do gzip -dc $f; done >/dev/null`;
  const sha256 = `cat ${image.blobs.join(" ")} | sha256sum`;
  const network = image.blobs
    .map((blob) => `http://${from.name}/v2/debian/blobs/sha256:${blob.slice(-64)}`)
    .join(" ");
  const limiting = [
    { name: "gzip -dc", command: ["sh", "-c", inflate] },
    { name: "sha256sum", command: ["sh", "-c", sha256] },
    { name: "curl", command: ["sh", "-c", `curl -sf ${network} >/dev/null`] },
  ];
  const remove = `for d in ${place}/pods/*; do umount $d/overlay 2>/dev/null || :; done; rm -rf ${place}/pulled ${place}/pods`;
  const between = kind === "tmpfs" ? ["sh", "-c", remove] : ["sync"];
  const rows = compare(
    bench,
    {
      rounds: roundsOf(bench),
      warmup: 0,
      before: mountFresh(kind, place, work),
      after: remove,
    },
    {
      what: `\`pull\` of a Debian image of ${megabytes(image.bytes)} in four layers, verified and unpacked, on a new ${kind}`,
      ours: script(
        `VITRINE_ROOT=${place}/pulled/$n VITRINE_RUNROOT=${place}/pulled/$n.run exec ${vitrine} pull -q ${from.name}/debian:1`,
      ),
      peers: [
        { name: "(between)", command: between },
        { name: "podman pull", command: podman, budget: 1 / 3 },
        { name: "(between)", command: between },
        // What it is has nothing to do with where ours is unpacked: measured once.
        ...(kind === "ext4" ? limiting : []),
      ],
    },
  ).filter(({ peer }) => peer !== "(between)");
  const besidePodman = rows.filter(({ peer }) => peer === "podman pull");
  const limits = rows.filter((row) => !besidePodman.includes(row));
  if (limits.length === 0) return besidePodman;
  const limit = limits.reduce((most, row) => (row.theirs > most.theirs ? row : most));
  return [...besidePodman, { ...limit, peer: `the limit: ${limit.peer} of its layers`, budget: 1.3 }];
}

function present(bench: Bench, from: Server): Row[] {
  const name = `${from.name}/debian:1`;
  const store = `VITRINE_ROOT=${bench.work}/held VITRINE_RUNROOT=${bench.work}/held.run`;
  const command = ["env", ...store.split(" "), bench.vitrine, "pull", "-q", name];
  const times = bench.measure(
    {
      rounds: Math.max(bench.rounds, 20),
      // Noted, confirmed and used by then: what was stored a moment ago is not noted.
      warmup: 16,
      before: `${store} ${bench.vitrine} pull -q ${name}; sleep 2`,
      after: `rm -rf ${bench.work}/held ${bench.work}/held.run`,
    },
    [command, first(command)],
  );
  return ["repeated", "for the first time"].map((which, at) => ({
    what: `\`pull\` of what is present, ${which}`,
    ours: median(times[at]!),
    unit: "ms" as const,
    peer: "15 ms",
    theirs: 15,
    budget: 1,
  }));
}
