import * as fs from "node:fs";
import { pruneVolumes, volumeSize } from "../../engine/mod.ts";
import { openArtifacts } from "../../store/mod.ts";
import { sweep, sweepUnused, treeRemover } from "../container-trees.ts";
import { containerFilter } from "../containers/filters.ts";
import { pruneContainers } from "../containers/prune.ts";
import { humanSize } from "../format/human.ts";
import { defineCommand } from "../framework/command.ts";
import { agreesToRemove } from "../framework/stdin.ts";
import { pruneRequest } from "../images/prune-request.ts";
import { recordRemovals, removalLines } from "../images/removals.ts";
import { volumeFilter } from "../volumes/filters.ts";

export const command = defineCommand({
  description: `Removes containers that do not run, images without a name and what no image or artifact leads to; with --all every image that no
    container uses, with --volumes the volumes without a name that no container has. It asks first.`,
  options: {
    all: { type: "boolean", short: "a", help: "also images that have a name and no container" },
    filter: {
      type: "strings",
      value: "KEY=VALUE",
      help: "only those for which it holds: until=TIME or DURATION, label=KEY[=VALUE], label!=KEY[=VALUE]",
    },
    force: { type: "boolean", short: "f", help: "do not ask" },
    volumes: { type: "boolean", help: "also volumes without a name" },
  },
  positionals: [],
  async run({ options, context }) {
    const paths = context.paths();
    const now = context.now();
    // All filters are read before anything goes; the keys are the images'.
    const images = pruneRequest(options.all, options.filter, now);
    const containers = containerFilter(options.filter, paths, now);
    const labels = options.filter.filter((filter) => filter.startsWith("label"));
    const volumes = volumeFilter(labels, paths, now);
    const what = `:\n${lines(options.all, options.volumes)}`;
    if (!options.force && !agreesToRemove(context, what)) return;
    await sweep(context);
    await sweepUnused(context);
    fs.rmSync(`${paths.runroot}/launches`, { recursive: true, force: true });
    const gone = await pruneContainers(context, containers);
    if (gone.ids.length > 0) context.out(`Deleted Containers:\n${gone.ids.join("\n")}\n\n`);
    let { bytes } = gone;
    if (options.volumes) {
      const removed = await pruneVolumes(
        paths,
        (volume) => volume.anonymous === true && volumes(volume),
        treeRemover(context),
        (volume) => {
          bytes += volumeSize(paths, volume);
        },
      );
      if (removed.length > 0)
        context.out(`Deleted Volumes:\n${removed.map(({ name }) => name).join("\n")}\n\n`);
    }
    const store = await context.store();
    // Of artifacts, as podman does, nothing that has a name.
    bytes += await (await openArtifacts(store.root)).prune();
    const { removals, reclaimedBytes } = await store.prune(images);
    recordRemovals(paths, removals);
    if (removals.length > 0) context.out(`Deleted Images:\n${removalLines(removals)}\n`);
    context.out(`Total reclaimed space: ${humanSize(bytes + reclaimedBytes, 4)}\n`);
  },
});

function lines(all: boolean, volumes: boolean): string {
  return [
    "  - all containers that do not run",
    all ? "  - all images without a container" : "  - all images without a name",
    ...(volumes ? ["  - all volumes without a name that no container has"] : []),
  ].join("\n");
}
