import { allCapabilities, capabilityNames, probeHost } from "../../../kernel/mod.ts";
import { featuresOf } from "../features.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "Print what this runtime can do, as JSON (runtime-spec features.md)",
  usage: "",
  options: {},
  positionals: [0, 0],
  run({ context }) {
    const host = probeHost();
    const known = allCapabilities(host.lastCapability);
    const capabilities = capabilityNames.filter((_, bit) => ((known >> BigInt(bit)) & 1n) === 1n);
    context.out(`${JSON.stringify(featuresOf(host, capabilities), undefined, 2)}\n`);
    return 0;
  },
});
