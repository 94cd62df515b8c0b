import type { Subject } from "../bench.ts";
import { makeDebianImage } from "../debian-image.ts";
import { loads } from "../registry/load.ts";
import { memory } from "../registry/memory.ts";
import { pulls } from "../registry/pull.ts";
import { pushes } from "../registry/push.ts";
import { startOurs } from "../registry/servers.ts";

/** Pull, push and the registry, beside podman, skopeo and docker-registry; and what a 4 GiB blob costs in memory. */
export const registry: Subject = {
  name: "registry",
  async *parts(bench) {
    const { repository, vitrine } = bench;
    const image = makeDebianImage(
      `${repository}/build/fixtures/debian-large.tar`,
      `${repository}/build/bench/debian`,
    );
    if (image === undefined) throw new Error("no Debian system by mmdebstrap");
    yield* loads(bench, image);
    await using ours = await startOurs(bench);
    bench.shell(`${vitrine} copy -q oci:${image.directory}:${image.tag} docker://${ours.name}/debian:1`);
    yield* pulls(bench, image, ours);
    yield* pushes(bench, image, ours);
    yield* memory(bench);
  },
};
