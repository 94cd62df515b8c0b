import { findContainer, loadProbe, makeSeccompService, stateOf } from "../../engine/mod.ts";
import { type Findings, findCauses, renderWhy, restrictionsOf } from "../../explain/mod.ts";
import { allCapabilities, namesOfCapabilities, nativeSystemCalls } from "../../kernel/mod.ts";
import type { RuntimeConfig } from "../../oci/mod.ts";
import { sweep, treeRemover } from "../container-trees.ts";
import { printExplanation } from "../explain-print.ts";
import { defineCommand } from "../framework/command.ts";
import { parseLine } from "../framework/parse.ts";
import { runDeps } from "../run-deps.ts";
import { parseRunOptions, type RunFlags, runOptionTable } from "../run-options.ts";

export const command = defineCommand({
  usage: ["[OPTIONS] CONTAINER", "[OPTIONS] CONTAINER -- COMMAND [ARG...]"],
  description: `Tells what stood in the way of a command that failed in a container: a capability, a system call that the seccomp
    filter denies, a read-only or masked path, a limit, a mount option, a device, the network, a security module, the user. The
    command (the container's own, or COMMAND) is run again in throw-away containers of the same image and flags, first as it is,
    then with restrictions lifted, until the one is found without which it works; with the flag that lifts it and what that costs.

    The container itself is not touched. Its volumes and binds are read-only in these runs unless --allow-writes is given. Exit
    status 0 when a cause was found, 1 when none was, or nothing failed.`,
  options: {
    timeout: {
      type: "number",
      short: "t",
      value: "SECONDS",
      default: 10,
      help: "how long each run may take",
    },
    "allow-writes": { type: "boolean", help: "volumes and binds are as writable as in the container" },
    format: { type: "string", value: "FORMAT", default: "text", help: "text, json, or a Go template" },
  },
  positionals: [
    { name: "CONTAINER", completion: "container" },
    { name: "COMMAND", optional: true, variadic: true, completion: "none" },
  ],
  stopAtFirstPositional: true,
  examples: [
    { command: "vitrine why web", does: "why it ended" },
    { command: "vitrine why web -- ip link add dummy0 type dummy", does: "why this fails in it" },
  ],
  async run({ options, positionals, context }) {
    const [name = "", ...words] = positionals;
    const given = words[0] === "--" ? words.slice(1) : words;
    await sweep(context);
    const paths = context.paths();
    const container = findContainer(paths, name);
    const base = runDeps(context);
    const { probeContainer, probeDevices, probeSubject } = await loadProbe();
    const deps = {
      ...base,
      removeTree: treeRemover(context),
      plainOptions: (image: string) => plainOptions(image, context.environment),
    };
    const subject = probeSubject(container, deps);
    const config = given.length === 0 ? subject.config : withCommand(subject.config, given);
    const allowWrites = options["allow-writes"];
    const probe = (changed: RuntimeConfig) =>
      probeContainer(
        subject,
        { config: changed, allowWrites, timeoutMilliseconds: options.timeout * 1000 },
        deps,
      );
    const again = await probe(config);
    const failed = !again.timedOut && again.exitCode !== 0;
    const seccomp = makeSeccompService(base.host);
    const groups = restrictionsOf(config, {
      capabilities: namesOfCapabilities(grantable(base.host, config)),
      profileFor: subject.defaultSeccomp ? (capabilities) => seccomp.standard(capabilities) : undefined,
      systemCalls: nativeSystemCalls(base.host.arch === "aarch64" ? "aarch64" : "x86_64"),
      devices: probeDevices(),
      isUsers: subject.isUsers,
      allowWrites,
    });
    const findings: Findings = failed
      ? await findCauses(config, groups, async (changed) => {
          const { exitCode, timedOut } = await probe(changed);
          return timedOut || exitCode === 0;
        })
      : { causes: [], probes: 0 };
    const state = stateOf(paths, container);
    const oomKilled = state.status === "exited" && state.oomKilled === true;
    const readOnlyVolumes = config.mounts?.some(subject.isUsers) === true && !allowWrites;
    const why = {
      id: container.id,
      name: container.name,
      command: config.process?.args ?? [],
      recorded: state.status === "exited" ? { exitCode: state.code, oomKilled } : null,
      again: {
        exitCode: again.exitCode,
        timedOut: again.timedOut,
        output: again.stderr.trim() === "" ? again.stdout.trim() : again.stderr.trim(),
      },
      failed,
      ...findings,
      probes: findings.probes + 1,
      notes: notes(
        readOnlyVolumes && failed && findings.causes.length === 0,
        oomKilled && findings.causes.length === 0,
      ),
    };
    printExplanation(context, options.format, why, (how) => renderWhy(why, how));
    return findings.causes.length > 0 ? 0 : 1;
  },
});

function notes(readOnlyVolumes: boolean, outOfMemory: boolean): readonly string[] {
  const memory = "the kernel killed a process of the container for want of memory: give it more with -m";
  return [...(outOfMemory ? [memory] : []), ...(readOnlyVolumes ? [volumesNote] : [])];
}

const volumesNote =
  "volumes and binds were read-only in these runs: with --allow-writes they are as in the container";

function withCommand(config: RuntimeConfig, args: readonly string[]): RuntimeConfig {
  return { ...config, process: { ...config.process!, args } };
}

function grantable(host: ReturnType<typeof runDeps>["host"], config: RuntimeConfig): bigint {
  const mapped = config.linux?.namespaces?.some(({ type }) => type === "user") === true;
  const all = allCapabilities(host.lastCapability);
  return mapped ? all : host.capabilities.permitted & host.capabilities.bounding & all;
}

/** Only the root filesystem is taken from these: the config is the container's. */
function plainOptions(image: string, environment: Readonly<Record<string, string | undefined>>) {
  // Its volumes are the container's own: none is made for the probe.
  const words = ["--rm", "--image-volume", "ignore", image, "true"];
  const line = parseLine(words, {
    options: runOptionTable,
    stopAtFirstPositional: true,
    helpCommand: "vitrine why --help",
  });
  return parseRunOptions(line.options as unknown as RunFlags, {
    positionals: line.positionals,
    given: line.given,
    environment,
    directory: "/",
  });
}
