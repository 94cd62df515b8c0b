import * as fs from "node:fs";
import { type Bench, compare, mountFresh, type Row, type Subject } from "../bench.ts";
import { type LayerImage, makeLayerImage } from "../layer-image.ts";

/**
 * A gzip layer of about 200 MB: what it costs to verify and unpack it, on a disk, flushed, and in memory, where no disk is measured with it.
 */
export const unpack: Subject = {
  name: "unpack",
  *parts(bench) {
    const rootfs = `${bench.repository}/build/fixtures/debian.tar`;
    if (!fs.existsSync(rootfs)) {
      fs.writeSync(2, "bench: no Debian root filesystem, so no unpacking measured\n");
      return;
    }
    const image = makeLayerImage(bench.work, rootfs, 200_000_000);
    for (const where of ["on a new ext4", "in memory"] as const) {
      yield { what: `unpacking ${where}`, measure: () => beside(bench, image, where) };
    }
  },
};

function beside(bench: Bench, image: LayerImage, where: "on a new ext4" | "in memory"): Row[] {
  const { work, vitrine } = bench;
  const place = `${work}/unpack`;
  const environment = ["env", `VITRINE_ROOT=${place}/root`, `VITRINE_RUNROOT=${place}/run`];
  const before = [
    `mkdir -p ${place}`,
    mountFresh(where === "in memory" ? "tmpfs" : "ext4", place, work),
    `${environment.join(" ")} ${vitrine} load -q -i ${image.directory}`,
  ];
  // What a round unpacked only moves aside: ext4 avoids the inodes of files that were removed in the last minute, and making
  // a file then takes about a millisecond. In memory it has to go.
  const clear =
    where === "in memory"
      ? `rm -rf ${place}/root/layers ${place}/um`
      : `mkdir -p ${place}/old && cd ${place} && for it in root/layers um; do ! [ -e $it ] || mv $it old/$(mktemp -u XXXXXXXXXX); done`;
  return compare(
    bench,
    { rounds: 3, warmup: 0, before: before.join("\n"), after: `rm -rf ${place}/*` },
    {
      what: `unpacking a ${Math.round(image.bytes / 1e6)} MB gzip layer ${where}, verified, and \`run\` on it`,
      ours: [...environment, vitrine, "run", "--rm", "--network", "none", image.name, "/bin/true"],
      peers: [
        { name: clearing, command: ["sh", "-c", clear] },
        {
          name: "gzip -dc \\| sha256sum",
          command: ["sh", "-c", `gzip -dc ${image.blob} | sha256sum`],
          budget: 1.5,
        },
        {
          name: "umoci unpack",
          command: bench.peer("umoci", [
            "unpack",
            "--image",
            `${image.directory}:${image.tag}`,
            `${place}/um`,
          ]),
          budget: 0.5,
        },
      ],
    },
  ).filter(({ peer }) => peer !== clearing);
}

const clearing = "(clearing)";
