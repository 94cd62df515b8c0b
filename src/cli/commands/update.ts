import { VitrineError } from "../../base/mod.ts";
import {
  parseHealth,
  parseRestartPolicy,
  updateContainer,
  updateHealth,
  updateRestart,
} from "../../engine/mod.ts";
import { probeHost } from "../../kernel/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { chosenNames, eachContainer } from "../containers/each.ts";
import { defineCommand } from "../framework/command.ts";
import { limitOptionTable, parseLimits } from "../limit-flags.ts";
import { runDeps } from "../run-deps.ts";
import { runOptionTable } from "../run-flags.ts";

const unchanged = { defaultText: "as it is" } as const;

/** As those of `run`; what is not given stays. */
const healthOptions = {
  "health-cmd": { ...runOptionTable["health-cmd"], ...unchanged },
  "health-interval": { ...runOptionTable["health-interval"], ...unchanged },
  "health-timeout": { ...runOptionTable["health-timeout"], ...unchanged },
  "health-retries": { ...runOptionTable["health-retries"], ...unchanged },
  "health-start-period": { ...runOptionTable["health-start-period"], ...unchanged },
  "health-start-interval": { ...runOptionTable["health-start-interval"], ...unchanged },
  "health-on-failure": { ...runOptionTable["health-on-failure"], ...unchanged },
  "no-healthcheck": { ...runOptionTable["no-healthcheck"], help: "take the check away" },
} as const;

export const command = defineCommand({
  description:
    "Changes what containers may use, and how they are checked: at once where they run, and each time they are started again.",
  options: {
    ...limitOptionTable,
    ...healthOptions,
    "memory-swap": { ...limitOptionTable["memory-swap"], defaultText: "as it is" },
    "pids-limit": { ...limitOptionTable["pids-limit"], defaultText: "as it is" },
    restart: {
      type: "string",
      value: "POLICY",
      help: "no, always, unless-stopped or on-failure[:N]: whether it is started again when its program ends",
    },
    latest: { type: "boolean", short: "l", help: "the newest container" },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [{ command: "vitrine update --memory 256m --cpus 1.5 web", does: "give it less" }],
  async run({ options, positionals, context }) {
    const resources = parseLimits(options);
    const limited = Object.keys(resources).length > 0;
    const restart = options.restart === undefined ? undefined : parseRestartPolicy(options.restart);
    const health = parseHealth(options);
    if (!limited && options.restart === undefined && health === undefined) {
      throw new VitrineError("invalid", "there is nothing to change", {
        code: "flag-missing",
        hint: "give limits as --memory 256m, --restart, or --health-*; see 'vitrine update --help'",
      });
    }
    await sweepNamed(context, positionals);
    const deps = {
      paths: context.paths(),
      host: probeHost(),
      helperPath: context.helperPath(),
      environment: context.environment,
      cgroupManager: context.cgroupManager,
    };
    return eachContainer(context, chosenNames(context, positionals, options), async (container, name) => {
      if (limited) await updateContainer(container, resources, deps);
      if (options.restart !== undefined) await updateRestart(container, restart, deps);
      if (health !== undefined) {
        const note = await updateHealth(container, health, runDeps(context));
        if (note !== undefined) context.log("warn", note);
      }
      context.out(`${name}\n`);
    });
  },
});
