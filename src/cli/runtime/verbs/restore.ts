import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { processStartTime, VitrineError } from "../../../base/mod.ts";
import { encodePlan, probeHost } from "../../../kernel/mod.ts";
import {
  type CompiledBundle,
  type CreateOptions,
  compileBundle,
  compileRestore,
  externalMounts,
  externalNamespaces,
  inherited,
  lifecycleFiles,
  readStreams,
  restoreArguments,
  writeContainer,
} from "../../../runtime/mod.ts";
import { runArguments } from "../../become.ts";
import type { OptionTable, OptionValues } from "../../framework/command.ts";
import { failureCommand } from "../self.ts";
import { defineVerb, type VerbInvocation } from "../verb.ts";
import { commonOptions, criuEnvironment, criuFailure, criuOptions, requireCriu } from "./criu.ts";
import { makeOptions, requireSystemd } from "./make.ts";

const options = {
  ...criuOptions,
  bundle: makeOptions.bundle,
  "console-socket": makeOptions["console-socket"],
  "pid-file": makeOptions["pid-file"],
  "no-pivot": { type: "boolean", hidden: true, help: "ignored: criu decides" },
  "no-subreaper": makeOptions["no-subreaper"],
  detach: { type: "boolean", short: "d", help: "return once it runs" },
  "lsm-profile": { type: "string", value: "TYPE:NAME", help: "another AppArmor or SELinux profile" },
  "lsm-mount-context": { type: "string", value: "CONTEXT", help: "another SELinux context of the mounts" },
} as const satisfies OptionTable;

type Invocation = VerbInvocation<typeof options>;

export const verb = defineVerb({
  summary: "Bring a container back from the files that 'checkpoint' wrote",
  usage: "CONTAINER",
  options,
  positionals: [1, 1],
  async run(invocation) {
    const criu = requireCriu(invocation.context);
    const wanted = commonOptions(invocation.options);
    const streams = inherited(readStreams(wanted.imagePath));
    fs.mkdirSync(wanted.workPath, { recursive: true, mode: 0o700 });
    const create = createOptions(invocation);
    const host = { facts: probeHost(), now: invocation.context.now };
    const bundle = await compileBundle(create, host);
    refuseTerminal(bundle);
    for (const warning of bundle.warnings) invocation.log.debug(warning);
    writeContainer(bundle, create, host);
    const directory = `${create.root}/${create.id}`;
    const remove = (): void => {
      spawnSync(invocation.context.helperPath(), runArguments(lifecycleFiles(directory).remove, 0));
    };
    try {
      const status = restore(invocation, criu, bundle, streams, directory);
      if (invocation.options.detach) return 0;
      remove();
      return status;
    } catch (error) {
      remove();
      throw error;
    }
  },
});

function createOptions(invocation: Invocation): CreateOptions {
  const { options: given, globals, positionals, context } = invocation;
  return {
    id: positionals[0] ?? "",
    bundle: path.resolve(given.bundle),
    root: globals.root,
    waits: false,
    detach: true,
    noPivot: false,
    keepKeyring: false,
    preserveDescriptors: 0,
    ...(globals.systemdCgroup
      ? { systemd: requireSystemd(probeHost(), process.env, context.helperPath()) }
      : {}),
    environment: [],
    reportFailure: failureCommand(invocation, "restore"),
  };
}

/** Error: `checkpoint-terminal`. */
function refuseTerminal({ config }: CompiledBundle): void {
  if (config.process?.terminal !== true) return;
  throw new VitrineError("unsupported", "a container with a terminal cannot be restored", {
    code: "checkpoint-terminal",
    operand: "/process/terminal",
  });
}

/** In the foreground the status of its program, else 0. Error: `criu-failed`. */
function restore(
  { options: given, context }: Invocation,
  criu: string,
  { config, input, start: _ }: CompiledBundle,
  streams: readonly (string | undefined)[],
  directory: string,
): number {
  const place = lifecycleFiles(directory);
  const helper = context.helperPath();
  const rootfs = input.container.root.type === "directory" ? input.container.root.path : "";
  const mountPoint = `${directory}/criu-root`;
  const pidFile = given["pid-file"] === undefined ? `${directory}/pid` : path.resolve(given["pid-file"]);
  const namespaces = externalNamespaces(config);
  const wanted = restoreOptions(given);
  fs.mkdirSync(mountPoint, { mode: 0o700 });
  const argv = restoreArguments(wanted, {
    root: mountPoint,
    pidFile,
    cgroupRoots: input.container.cgroup.mode === "v2" ? [cgroupRoot(input)] : [],
    mounts: externalMounts(config, input.container.bundle, rootfs),
    firstDescriptor: 3,
    namespaces,
    streams,
    ...(given.detach ? {} : { follow: [helper, "adopt", pidFile, place.process] }),
  });
  const plan = compileRestore({
    input,
    rootfs,
    mountPoint,
    argv: [criu, ...argv],
    env: criuEnvironment,
    preserveDescriptors: namespaces.length,
  });
  fs.writeFileSync(place.plan, encodePlan(plan), { mode: 0o600 });
  const open = namespaces.map(({ path: file }) => fs.openSync(file, "r"));
  const done = spawnSync(helper, runArguments(place.plan, open.length), {
    stdio: ["inherit", "inherit", "inherit", ...open],
  });
  for (const fd of open) fs.closeSync(fd);
  if (given.detach && done.status === 0)
    fs.writeFileSync(place.process, processRecord(pidFile), { mode: 0o600 });
  if (!fs.existsSync(place.process)) throw criuFailure("restore", wanted.workPath, "restore.log");
  return done.status ?? 1;
}

function restoreOptions(given: OptionValues<typeof options>) {
  return {
    ...commonOptions(given),
    ...(given["lsm-profile"] === undefined ? {} : { lsmProfile: given["lsm-profile"] }),
    ...(given["lsm-mount-context"] === undefined ? {} : { lsmMountContext: given["lsm-mount-context"] }),
  };
}

/** The container's directory as criu names it: below the tree's mount point. */
function cgroupRoot({ container, host }: CompiledBundle["input"]): string {
  const { cgroup } = container;
  if (cgroup.mode !== "v2") return "";
  return cgroup.root.slice((host.cgroup.unified?.mountPoint ?? "").length) + cgroup.path;
}

/** `PID STARTTIME`, as the helper writes it. */
function processRecord(pidFile: string): string {
  const pid = Number(fs.readFileSync(pidFile, "latin1"));
  return `${pid} ${processStartTime(pid) ?? "0"}\n`;
}
