import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { VitrineError } from "../../../base/mod.ts";
import {
  type DumpOptions,
  dumpArguments,
  externalMounts,
  externalNamespaces,
  type LifecycleState,
  lifecycleFiles,
  readState,
  streamsOf,
  writeStreams,
} from "../../../runtime/mod.ts";
import { runArguments } from "../../become.ts";
import type { OptionValues } from "../../framework/command.ts";
import { defineVerb } from "../verb.ts";
import { commonOptions, criuEnvironment, criuFailure, criuOptions, requireCriu } from "./criu.ts";
import { endAll } from "./delete.ts";

const options = {
  ...criuOptions,
  "parent-path": {
    type: "string",
    value: "DIR",
    help: "an earlier pre-dump, relative to --image-path: only what changed is written",
  },
  "leave-running": { type: "boolean", help: "the container goes on" },
  "tcp-skip-in-flight": { type: "boolean", help: "leave TCP connections out that are not accepted yet" },
  "link-remap": { type: "boolean", help: "files that were unlinked get a name meanwhile" },
  "status-fd": { type: "number", value: "FD", help: "gets a byte when the lazy pages can be fetched" },
  "page-server": { type: "string", value: "ADDRESS:PORT", help: "memory goes to this page server" },
  "pre-dump": { type: "boolean", help: "memory only; the container goes on" },
} as const;

export const verb = defineVerb({
  summary: "Write the processes of a container to files, with criu, and end it",
  usage: "CONTAINER",
  options,
  positionals: [1, 1],
  run({ options: given, positionals, globals, context }) {
    const state = requireRunning(readState(globals.root, positionals[0] ?? ""));
    const criu = requireCriu(context);
    const wanted = dumpOptions(given);
    checkParent(wanted);
    const directory = `${globals.root}/${state.record.id}`;
    fs.mkdirSync(wanted.imagePath, { recursive: true, mode: 0o700 });
    fs.mkdirSync(wanted.workPath, { recursive: true, mode: 0o700 });
    dump(criu, wanted, state, directory, given["status-fd"]);
    if (wanted.leaveRunning || wanted.preDump) return 0;
    return remove(globals.root, state, directory, context.helperPath());
  },
});

/** Where `run` stays in front of it, that one removes it as well. */
function remove(root: string, { record }: LifecycleState, directory: string, helper: string): number {
  try {
    endAll(root, record.id, record, 0);
    const plan = lifecycleFiles(directory).remove;
    const done = spawnSync(helper, runArguments(plan, 0), { stdio: ["ignore", "inherit", "pipe"] });
    if (done.status === 0 || !fs.existsSync(directory)) return 0;
    throw new VitrineError("internal", `the container could not be removed: ${done.stderr}`, {
      code: "container-not-removed",
      operand: record.id,
      hint: `vitrine-runtime delete --force ${record.id}`,
    });
  } catch (error) {
    if (fs.existsSync(directory)) throw error;
    return 0;
  }
}

/** Error: `container-not-running`. */
function requireRunning(state: LifecycleState): LifecycleState {
  if (state.status === "running" || state.status === "paused") return state;
  throw new VitrineError("invalid", `cannot checkpoint a container that is ${state.status}`, {
    code: "container-not-running",
    operand: state.record.id,
    hint: "'state' shows where it stands",
  });
}

/** As criu, which follows it from the images' directory. Error: `invalid-flag-value`. */
function checkParent({ parentPath, imagePath }: DumpOptions): void {
  if (parentPath === undefined) return;
  const problem = path.isAbsolute(parentPath)
    ? "must be relative to --image-path"
    : fs.statSync(path.join(imagePath, parentPath), { throwIfNoEntry: false })?.isDirectory() === true
      ? undefined
      : `is no directory below ${imagePath}`;
  if (problem === undefined) return;
  throw new VitrineError("invalid", `--parent-path ${parentPath} ${problem}`, {
    code: "invalid-flag-value",
    operand: "--parent-path",
    hint: "name an earlier pre-dump: --parent-path ../parent",
  });
}

function dumpOptions(given: OptionValues<typeof options>): DumpOptions {
  const server = given["page-server"];
  const split = server === undefined ? undefined : /^(.*):(\d{1,5})$/.exec(server);
  if (split === null) {
    throw new VitrineError("invalid", `--page-server ${server}: not ADDRESS:PORT`, {
      code: "invalid-flag-value",
      operand: "--page-server",
    });
  }
  return {
    ...commonOptions(given),
    leaveRunning: given["leave-running"],
    preDump: given["pre-dump"],
    ...(given["parent-path"] === undefined ? {} : { parentPath: given["parent-path"] }),
    ...(split === undefined ? {} : { pageServer: { address: split[1] ?? "", port: split[2] ?? "" } }),
    linkRemap: given["link-remap"],
    tcpSkipInFlight: given["tcp-skip-in-flight"],
    // Whatever it is of ours, of criu it is this one.
    ...(given["status-fd"] === undefined ? {} : { statusFd: 3 }),
  };
}

/** Errors: `checkpoint-terminal`, `criu-failed`. */
function dump(
  criu: string,
  wanted: DumpOptions,
  { record, pid }: LifecycleState,
  directory: string,
  statusFd: number | undefined,
): void {
  const config = JSON.parse(fs.readFileSync(lifecycleFiles(directory).config, "utf8"));
  if (config.process?.terminal === true) {
    throw new VitrineError("unsupported", "a container with a terminal cannot be checkpointed", {
      code: "checkpoint-terminal",
      operand: record.id,
      hint: "the terminal's other end is held outside: run it without one",
    });
  }
  const streams = streamsOf(pid);
  if (!wanted.preDump) writeStreams(wanted.imagePath, streams);
  const argv = dumpArguments(wanted, {
    pid,
    rootfs: record.rootfs,
    mounts: externalMounts(config, record.bundle, record.rootfs),
    namespaces: externalNamespaces(config).map((one) => ({
      ...one,
      inode: fs.statSync(one.path, { bigint: true }).ino,
    })),
    files: [...new Set(streams.filter((key) => key.startsWith("file[")))],
    ...freezerOf(record.cgroup.directories),
  });
  const done = spawnSync(criu, argv, {
    stdio: ["ignore", "inherit", "inherit", statusFd ?? "ignore"],
    env: Object.fromEntries(criuEnvironment.map((line) => line.split("=", 2))),
  });
  if (done.status !== 0) throw criuFailure("checkpoint", wanted.workPath, "dump.log");
}

/** On v1 a container need not have one: criu then stops its processes one by one. */
function freezerOf(directories: readonly string[]): { freezer?: string } {
  const freezer = directories.find(
    (one) => fs.existsSync(`${one}/freezer.state`) || fs.existsSync(`${one}/cgroup.freeze`),
  );
  return freezer === undefined ? {} : { freezer };
}
