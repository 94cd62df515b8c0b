import { printable } from "../../base/mod.ts";
import { collectGarbage, Policy, Repositories } from "../../registry/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { textOrJson } from "../framework/flags.ts";
import { describeCollection, openStorage, readConfig, storageOptions } from "../remote/registry-storage.ts";

const hourMilliseconds = 3600 * 1000;

export const command = defineCommand({
  description: `Removes what no manifest names and what the retention rules of the config let go. For a registry that is not running:
one that runs does the same by itself every day, and at SIGUSR2.`,
  options: {
    root: storageOptions.root,
    config: { ...storageOptions.config, help: "the registry's file: retention rules, the object store" },
    "grace-hours": { type: "number", default: 24, help: "leave what is younger" },
    "dry-run": { type: "boolean", help: "only tell what would go" },
    format: textOrJson,
  },
  positionals: [],
  examples: [{ command: "vitrine registry gc --dry-run", does: "tell what would be removed" }],
  async run({ options, context }) {
    const config = await readConfig(options.config);
    await using storage = await openStorage(context, options.root, config);
    const repositories = new Repositories(storage);
    if ("serveIndex" in storage) {
      storage.serveIndex({
        repositories: () => repositories.names(),
        descriptors: (name) => repositories.tagDescriptors(name),
      });
    }
    const report = await collectGarbage({
      repositories,
      policy: new Policy(config),
      events: { emit: () => undefined },
      now: context.now,
      graceMilliseconds: options["grace-hours"] * hourMilliseconds,
      dryRun: options["dry-run"],
    });
    for (const { repository, message } of report.damaged) {
      context.log("error", `${printable(repository)} is left alone: ${printable(message)}`);
    }
    const status = report.damaged.length === 0 ? 0 : 1;
    if (options.format === "json") {
      context.out(`${jsonText(report, 2)}\n`);
      return status;
    }
    for (const { repository, tag } of report.tags) context.out(`tag ${printable(`${repository}:${tag}`)}\n`);
    for (const { repository, digest } of report.manifests) context.out(`manifest ${repository}@${digest}\n`);
    context.out(`${describeCollection(report)}\n`);
    return status;
  },
});
