import * as fs from "node:fs";
import { compare, type Subject } from "../bench.ts";
import { makeLayerImage } from "../layer-image.ts";

/** A gzip layer of about 200 MB: what it costs to verify and unpack it. */
export const unpack: Subject = {
  name: "unpack",
  run: (bench) => {
    const { work, vitrine } = bench;
    const rootfs = `${bench.repository}/build/fixtures/debian.tar`;
    if (!fs.existsSync(rootfs)) {
      fs.writeSync(2, "bench: no Debian root filesystem, so no unpacking measured\n");
      return [];
    }
    const image = makeLayerImage(work, rootfs, 200_000_000);
    bench.shell(`${vitrine} load -q -i ${image.directory}`);
    // What a round unpacked is removed between the rounds, outside of what is timed.
    return compare(
      bench,
      { rounds: 3, warmup: 1 },
      {
        what: `unpacking a ${Math.round(image.bytes / 1e6)} MB gzip layer, verified, and \`run\` on it`,
        ours: [vitrine, "run", "--rm", "--network", "none", image.name, "/bin/true"],
        peers: [
          { name: removing, command: ["rm", "-rf", `${work}/root/layers`, `${work}/um`] },
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
              `${work}/um`,
            ]),
            budget: 0.5,
          },
        ],
      },
    ).filter(({ peer }) => peer !== removing);
  },
};

const removing = "(removing)";
