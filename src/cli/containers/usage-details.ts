/** What a template of `system df -v --format` sees: docker's object of lists, with docker's names in each. */
import { listVolumes } from "../../engine/mod.ts";
import type { ArtifactUsage, DiskUsage } from "../../store/mod.ts";
import { imageView } from "../commands/images.ts";
import { containerView, rowsOf } from "../commands/ps.ts";
import { volumeView } from "../commands/volume-ls.ts";
import { humanSize } from "../format/human.ts";
import type { Context } from "../framework/context.ts";
import { containerSizes } from "./sizes.ts";

/** `links`: how many containers have a volume, by its name. */
export async function usageDetails(
  usage: DiskUsage,
  links: ReadonlyMap<string, number>,
  { artifacts }: ArtifactUsage,
  context: Context,
) {
  const now = context.now();
  const paths = context.paths();
  const sizeOf = await containerSizes(context);
  return {
    Images: usage.images.map(({ row, sharedBytes, uniqueBytes, containers }) => {
      const { Created: _, Platform: __, Labels: ___, Dangling: ____, ...image } = imageView(row, now, true);
      return {
        Containers: String(containers.length),
        ...image,
        SharedSize: humanSize(sharedBytes, 4),
        UniqueSize: humanSize(uniqueBytes, 4),
      };
    }),
    Containers: (await rowsOf(context, true)).map((row) => {
      const view = containerView({ ...row, size: sizeOf(row.container) }, now, true, paths);
      const { ID, Image, Command, CreatedAt, RunningFor, Status, Ports, Size, LocalVolumes } = view;
      const { Mounts, Networks, State, Names, Labels } = view;
      const rest = { Mounts, Names, Networks, Ports, RunningFor, Size, State, Status };
      return { Command, CreatedAt, ID, Image, Labels, LocalVolumes, ...rest };
    }),
    Volumes: listVolumes(paths).map((volume) => {
      const { Driver, Labels, Mountpoint, Name, Scope, Size } = volumeView(volume, context);
      const known = { Driver, Labels, Links: String(links.get(Name) ?? 0), Mountpoint, Name, Scope, Size };
      // What only a swarm's volumes have.
      return { Availability: "N/A", Group: "N/A", ...known, Status: "N/A" };
    }),
    BuildCache: [],
    ...(artifacts.length > 0 && {
      Artifacts: artifacts.map(({ name, digest, size }) => ({
        Digest: digest,
        Name: name,
        Size: humanSize(size, 4),
      })),
    }),
  };
}
