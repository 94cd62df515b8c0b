import { printable } from "../../base/mod.ts";
import { checkStorage } from "../../registry/mod.ts";
import { humanSize } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { textOrJson } from "../framework/flags.ts";
import { openStorage, readConfig, storageOptions } from "../remote/registry-storage.ts";

export const command = defineCommand({
  description: `Checks that a registry's storage is whole: every blob is what its digest says, and every tag, manifest and blob of a
repository leads to bytes that are there. Changes nothing. The registry must not be running. The exit status is 1 when
something is damaged.`,
  options: {
    ...storageOptions,
    quick: { type: "boolean", help: "compare sizes only, do not read the blobs" },
    format: textOrJson,
  },
  positionals: [],
  examples: [
    { command: "vitrine registry check --root /srv/registry", does: "read and verify everything" },
    { command: "vitrine registry check --config registry.yaml", does: "the same of an object store" },
  ],
  async run({ options, context }) {
    await using storage = await openStorage(context, options.root, await readConfig(options.config));
    const report = await checkStorage(storage, { deep: !options.quick });
    if (options.format === "json") {
      context.out(`${jsonText(report, 2)}\n`);
    } else {
      for (const { code, where, message } of report.problems) {
        context.out(`damaged (${code}): ${printable(where)}: ${printable(message)}\n`);
      }
      for (const { where, message } of report.incomplete) {
        context.out(`incomplete: ${printable(where)}: ${printable(message)}\n`);
      }
      context.out(
        `${report.repositories} repositories, ${report.tags} tags, ${report.manifests} manifests, ${report.blobs} blobs, ${humanSize(report.bytes, 4)}: ${
          report.problems.length === 0 ? "clean" : `${report.problems.length} damaged`
        }\n`,
      );
    }
    return report.problems.length === 0 ? 0 : 1;
  },
});
