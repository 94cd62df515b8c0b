import { spawnSync } from "node:child_process";
import { VitrineError } from "../../../base/mod.ts";
import { processesIn, readState } from "../../../runtime/mod.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "List the processes of a container",
  usage: "CONTAINER [PS OPTION...]",
  options: {
    format: {
      type: "string",
      short: "f",
      default: "table",
      choices: ["table", "json"],
      help: "table or json",
    },
  },
  positionals: [1, Number.POSITIVE_INFINITY],
  stopAtFirstPositional: true,
  run({ options, positionals, globals, context }) {
    const [id = "", ...words] = positionals;
    const { record, pid } = readState(globals.root, id);
    const found = processesIn(record.cgroup);
    const pids = found.length === 0 && pid !== 0 ? [pid] : found;
    if (options.format === "json") {
      context.out(`${JSON.stringify(pids)}\n`);
      return 0;
    }
    const listed = spawnSync("ps", words.length === 0 ? ["-ef"] : words, { encoding: "utf8" });
    if (listed.status !== 0) {
      throw new VitrineError("unavailable", `ps: ${listed.error?.message ?? listed.stderr.trim()}`, {
        code: "ps-failed",
        hint: "install the package procps, or use --format json",
      });
    }
    const [title = "", ...lines] = listed.stdout.trimEnd().split("\n");
    const column = title.trim().split(/\s+/).indexOf("PID");
    if (column < 0) {
      throw new VitrineError("invalid", "the output of ps has no column PID", { code: "ps-without-pid" });
    }
    const wanted = new Set(pids.map(String));
    const rows = lines.filter((line) => wanted.has(line.trim().split(/\s+/)[column] ?? ""));
    context.out(`${[title, ...rows].join("\n")}\n`);
    return 0;
  },
});
