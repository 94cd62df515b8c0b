import { printable, VitrineError } from "../../base/mod.ts";
import { loadCheck } from "../../engine/mod.ts";
import type { Finding } from "../../store/mod.ts";
import { treeRemover } from "../container-trees.ts";
import { parseGoDuration } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { openMachineStore } from "../framework/storage.ts";

export const command = defineCommand({
  description: `Looks whether the store and the containers are whole: blobs with other bytes than they should have, images of which something
    is missing, artifacts of which something is, half unpacked layers, a damaged index, containers without their records, names and state that nobody owns, what
    killed commands left. The exit status is 0 when all is well or was mended, 1 when damage is left.`,
  options: {
    force: {
      type: "boolean",
      short: "f",
      help: "with --repair: remove containers that cannot be used any more",
    },
    format: { type: "string", value: "FORMAT", choices: ["json"], help: "'json': everything that was found" },
    max: {
      type: "string",
      short: "m",
      value: "DURATION",
      default: "24h",
      help: "what no image leads to is damage when it is older than this",
    },
    quick: { type: "boolean", short: "q", help: "do not read the contents of blobs and layers" },
    repair: {
      type: "boolean",
      short: "r",
      help: "mend what can be mended; what was damaged can be pulled again",
    },
  },
  positionals: [],
  examples: [{ command: "vitrine system check --repair", does: "mends what it can" }],
  async run({ options, context }) {
    const maxAgeMilliseconds = parseGoDuration(options.max);
    if (maxAgeMilliseconds === undefined || maxAgeMilliseconds < 0) {
      throw new VitrineError("invalid", `invalid duration ${JSON.stringify(options.max)}`, {
        code: "duration-invalid",
        operand: "--max",
        hint: "for example 24h or 30m",
      });
    }
    const { repair, quick, force } = options;
    const store = await context.store();
    const { checkContainers } = await loadCheck();
    // The store first: what it takes away of layers, the containers then miss.
    const ofStore = await store.check({ quick, repair, maxAgeMilliseconds });
    const ofContainers = await checkContainers(
      { repair, force },
      {
        paths: context.paths(),
        removeTree: treeRemover(context),
        now: context.now,
        layersThere: async ({ ids, layers }) =>
          (await openMachineStore(context, ids)).layerTrees(layers) !== undefined,
        unpack: async ({ ids, imageId }) => {
          const own = await openMachineStore(context, ids);
          await own.unpack(own.resolve(imageId));
        },
      },
    );
    const found = [...ofStore, ...ofContainers];
    if (options.format === "json") context.out(`${jsonText(found, 4)}\n`);
    else context.out(found.map((finding) => line(finding, repair)).join("") + summary(found));
    return found.some(({ repaired }) => !repaired) ? 1 : 0;
  },
});

function line({ kind, object, problem, remedy, repaired, repairable }: Finding, repair: boolean): string {
  const done = repaired ? `mended: ${remedy}` : repairable && !repair ? `--repair: ${remedy}` : remedy;
  return `${kind} ${printable(object)}: ${printable(problem)}\n  ${printable(done)}\n`;
}

function summary(found: readonly Finding[]): string {
  const left = found.filter(({ repaired }) => !repaired).length;
  if (found.length === 0) return "no damage\n";
  return `${found.length} found, ${found.length - left} mended, ${left} left\n`;
}
