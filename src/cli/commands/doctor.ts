import { diagnose, renderDiagnosis, renderDiagnosisJson } from "../../explain/mod.ts";
import { renderOptions } from "../explain-print.ts";
import { defineCommand } from "../framework/command.ts";
import { textOrJson } from "../framework/flags.ts";

export const command = defineCommand({
  description: `Looks at the kernel, user namespaces, subordinate ids, overlay, cgroups, seccomp, LSM, tools and the store, and
    names the command that mends each problem. Exit status 0 when containers can run, 1 when something stands in the way.`,
  options: {
    format: textOrJson,
  },
  positionals: [],
  async run({ options, context }) {
    const { gatherProbes } = await import("../doctor-probes.ts");
    const diagnosis = diagnose(await gatherProbes(context));
    if (options.format === "json") context.out(renderDiagnosisJson(diagnosis));
    else context.out(renderDiagnosis(diagnosis, renderOptions(context)));
    return diagnosis.worst === "error" ? 1 : 0;
  },
});
