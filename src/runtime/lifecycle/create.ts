/** From a bundle to a directory in ROOT from which the helper makes the container, and later commands end it. */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  errnoOf,
  fileKind,
  limits,
  ofContainer,
  processStartTime,
  sweepDead,
  temporaryName,
  VitrineError,
} from "../../base/mod.ts";
import { encodePlan, type HostFacts, type Plan, type PlannedOp } from "../../kernel/mod.ts";
import { encodeRuntimeConfig, parseRuntimeConfig, type RuntimeConfig } from "../../oci/mod.ts";
import { compile, compileStart } from "../compile.ts";
import {
  checkJoinedMappings,
  gatherCgroup,
  gatherResctrl,
  gatherSourceKinds,
  gatherSourceLinks,
  mountPointOf,
} from "../gather.ts";
import { isResctrl } from "../intel-rdt.ts";
import { encodeReasons } from "../reasons.ts";
import type { SystemdPlace } from "../systemd-scope.ts";
import type { CgroupDecision, CompileInput } from "../types.ts";
import { withIdMaps } from "./default-maps.ts";
import { completeEnvironment, passwdOf } from "./environment.ts";
import { requireFreeCgroup } from "./free-cgroup.ts";
import { files, type LifecycleRecord, requireId, stateOutput } from "./record.ts";
import { filterOf } from "./seccomp.ts";

export interface CreateOptions {
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  /** Absolute: in place of the bundle's config.json. */
  readonly configFile?: string;
  /** Absolute: where the containers of this runtime are. */
  readonly root: string;
  /** `create` and `run`: the program waits for `start`, or not. */
  readonly waits: boolean;
  /** False: the monitor stays in front until the program ends (`run` without --detach). */
  readonly detach: boolean;
  /** What `delete` removes stays also when the monitor sees the end of the program. */
  readonly keep?: boolean;
  readonly pidFile?: string;
  readonly consoleSocket?: string;
  /** Absolute: gets init's pidfd. */
  readonly pidfdSocket?: string;
  /** NOTIFY_SOCKET: who is to hear that the program is ready (sd_notify(3)). */
  readonly notifySocket?: string;
  readonly noPivot: boolean;
  readonly keepKeyring: boolean;
  readonly preserveDescriptors: number;
  /** `--systemd-cgroup` */
  readonly systemd?: SystemdPlace;
  /** More environment for the program: socket activation. */
  readonly environment: readonly string[];
  readonly terminal?: { readonly rows: number; readonly columns: number };
  /** What hooks without `env` get: the runtime's own environment, as from runc and crun; absent: nothing. */
  readonly hookEnvironment?: readonly string[];
  /** How the helper tells of a failed op. The container's directory is added. */
  readonly reportFailure: readonly string[];
  /** The same for the ops of `start`; absent: as `reportFailure`. */
  readonly reportStartFailure?: readonly string[];
}

export interface CreateHost {
  readonly facts: HostFacts;
  readonly now: () => number;
}

export interface CompiledBundle {
  /** As it was given. */
  readonly config: RuntimeConfig;
  readonly input: CompileInput;
  readonly plan: Plan;
  readonly start: Plan | undefined;
  readonly warnings: readonly string[];
}

/** The bundle's config.json. Errors: `bundle-config-missing` and those of `parseRuntimeConfig`. */
function readBundle(
  bundle: string,
  file = `${bundle}/config.json`,
): { config: RuntimeConfig; warnings: readonly string[] } {
  let bytes: Uint8Array;
  try {
    bytes = ofContainer(() => readBounded(file));
  } catch (cause) {
    if (cause instanceof VitrineError) throw cause;
    throw new VitrineError("not-found", `cannot read ${file}: ${errnoOf(cause) ?? String(cause)}`, {
      code: "bundle-config-missing",
      operand: file,
      hint: "a bundle is a directory with config.json; 'spec' writes one to begin with",
      cause,
    });
  }
  const { config, warnings } = parseRuntimeConfig(bytes);
  return { config, warnings: warnings.map((one) => `config.json${one.pointer} ${one.message}`) };
}

/** Told by its content alone: engines write a bundle anew each time (docs/launch-record.md). */
function readBounded(file: string): Uint8Array {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const descriptor = fs.openSync(file, "r");
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(64 * 1024);
      const count = fs.readSync(descriptor, chunk, 0, chunk.length, null);
      if (count === 0) return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      size += count;
      if (size > limits.runtimeConfigBytes) break;
      chunks.push(chunk.subarray(0, count));
    }
  } finally {
    fs.closeSync(descriptor);
  }
  throw new VitrineError("invalid", `${file} has more than ${limits.runtimeConfigBytes} bytes`, {
    code: "runtime-config-invalid",
    operand: file,
  });
}

/** Nothing is written. Errors: those of `readBundle` and `compile`, `rootfs-missing`, `console-socket-missing`, … */
export async function compileBundle(options: CreateOptions, host: CreateHost): Promise<CompiledBundle> {
  const id = requireId(options.id);
  const bundle = readBundle(options.bundle, options.configFile);
  const { config: given, warnings: ofMaps } = withIdMaps(bundle.config, host.facts.identity);
  const warnings = [...bundle.warnings, ...ofMaps];
  requireProcess(given);
  checkTerminal(given, options);
  checkJoinedMappings(given);
  const rootfs = resolveRoot(given, options.bundle);
  const directory = `${options.root}/${id}`;
  const place = files(directory);
  const notified = options.notifySocket === undefined ? given : withNotify(given, place.notify);
  const config = withEnvironment(notified, options.environment, rootfs);
  const shared = config.linux?.rootfsPropagation?.endsWith("shared") === true;
  const tools = host.facts.identity.euid === 0 ? undefined : host.facts.subordinateIds;
  const input: CompileInput = {
    config,
    origins: new Map(),
    host: host.facts,
    container: {
      id,
      bundle: options.bundle,
      stateDirectory: directory,
      root: { type: "directory", path: rootfs },
      ...(shared ? { rootParentMount: mountPointOf(path.dirname(rootfs)) } : {}),
      cgroup: gatherCgroup(config, host.facts, id, {
        everywhere: true,
        ...(options.systemd === undefined ? {} : { systemd: options.systemd }),
      }),
      ...(options.terminal === undefined ? {} : { terminal: options.terminal }),
      ...(options.consoleSocket === undefined ? {} : { consoleSocket: options.consoleSocket }),
      ...(options.pidfdSocket === undefined ? {} : { pidfdSocket: options.pidfdSocket }),
      ...(options.notifySocket === undefined
        ? {}
        : { notify: { directory: place.notify, host: options.notifySocket } }),
      stdin: "inherit",
      init: false,
      dieWithMonitor: false,
      forwardSignals: true,
      keep: options.keep === true,
      plainNewlines: true,
      resetAffinity: true,
      ...(options.detach ? { release: { processFile: place.process } } : { pidFile: place.process }),
      ...(options.pidFile === undefined ? {} : { plainPidFile: options.pidFile }),
      ...(options.waits ? { startFifo: place.start } : {}),
      reportFailure: [...options.reportFailure, directory],
      ...(tools !== undefined && tools.newuidmap !== "" && needsTools(config)
        ? { idMapTools: { newuidmap: tools.newuidmap, newgidmap: tools.newgidmap } }
        : {}),
      removeTrees: [directory],
      hookEnvironment: options.hookEnvironment ?? [],
      noPivot: options.noPivot,
      keepKeyring: options.keepKeyring,
      preserveDescriptors: options.preserveDescriptors,
    },
    sourceKinds: gatherSourceKinds(config, options.bundle, new Map([[place.notify, "directory"]])),
    sourceLinks: gatherSourceLinks(config, options.bundle),
    ...gatherResctrl(config),
    ...(await filterOf(config, host.facts)),
  };
  const plan = compile(input);
  const notes = (plan.notes ?? []).map(({ pointer, text }) => `config.json${pointer}: ${text}`);
  const start = compileStart({
    ...input,
    container: {
      ...input.container,
      reportFailure: [...(options.reportStartFailure ?? options.reportFailure), directory],
    },
  });
  return { config: given, input, plan, start, warnings: [...warnings, ...notes] };
}

const notifyDirectory = "/run/notify";

/** The container cannot reach the service manager's socket: it has one in a directory of ours (as runc's). */
function withNotify(config: RuntimeConfig, source: string): RuntimeConfig {
  const { process, mounts = [] } = config;
  if (process === undefined) return config;
  const options = ["bind", "nosuid", "noexec", "nodev", "ro"];
  return {
    ...config,
    mounts: [...mounts, { destination: notifyDirectory, type: "bind", source, options }],
    process: {
      ...process,
      env: [...(process.env ?? []), `NOTIFY_SOCKET=${notifyDirectory}/notify.sock`],
    },
  };
}

/** One id, our own, needs no tool (user_namespaces(7)). */
function needsTools({ linux }: RuntimeConfig): boolean {
  const maps = [...(linux?.uidMappings ?? []), ...(linux?.gidMappings ?? [])];
  return maps.some(({ size }) => size > 1) || maps.length > 2;
}

function withEnvironment(config: RuntimeConfig, more: readonly string[], rootfs: string): RuntimeConfig {
  const { process } = config;
  if (process === undefined) return config;
  const whole = more.length === 0 ? process : { ...process, env: [...(process.env ?? []), ...more] };
  return { ...config, process: completeEnvironment(whole, () => passwdOf(config, rootfs)) };
}

function requireProcess(config: RuntimeConfig): void {
  if (config.process !== undefined) return;
  throw new VitrineError("invalid", "config.json/process: there is no program to run", {
    code: "process-missing",
    operand: "/process",
  });
}

function checkTerminal(config: RuntimeConfig, { consoleSocket, detach }: CreateOptions): void {
  const terminal = config.process?.terminal === true;
  if (terminal && detach && consoleSocket === undefined) {
    throw new VitrineError(
      "invalid",
      "config.json/process/terminal: the terminal needs a console socket, since the runtime does not stay",
      {
        code: "console-socket-missing",
        operand: "--console-socket",
        hint: "name a unix socket with --console-socket, or set process.terminal to false",
      },
    );
  }
  if (!terminal && consoleSocket !== undefined) {
    throw new VitrineError(
      "invalid",
      "--console-socket is for a terminal: config.json/process/terminal is not true",
      {
        code: "console-socket-unused",
        operand: "--console-socket",
        hint: "set process.terminal to true, or leave --console-socket out",
      },
    );
  }
}

/** Errors: `rootfs-missing`. */
function resolveRoot(config: RuntimeConfig, bundle: string): string {
  const wanted = path.resolve(bundle, config.root.path);
  try {
    const real = fs.realpathSync(wanted);
    if (real === "/") {
      throw new VitrineError("invalid", "config.json/root/path is the host's own root", {
        code: "rootfs-unusable",
        operand: "/root/path",
      });
    }
    if (fileKind(real) === "directory") return real;
    throw new VitrineError("invalid", `config.json/root/path: ${wanted} is not a directory`, {
      code: "rootfs-unusable",
      operand: "/root/path",
    });
  } catch (cause) {
    if (cause instanceof VitrineError) throw cause;
    throw new VitrineError(
      "not-found",
      `config.json/root/path: ${wanted}: ${errnoOf(cause) ?? String(cause)}`,
      {
        code: "rootfs-missing",
        operand: "/root/path",
        hint: "the root filesystem must be there before the container is created",
        cause,
      },
    );
  }
}

/**
 * Writes ROOT/ID whole and at once: of two creations with one id only one succeeds. Returns the plan's path.
 * Errors: `container-exists`, those of `requireFreeCgroup`.
 */
export function writeContainer(bundle: CompiledBundle, options: CreateOptions, host: CreateHost): string {
  const { root, id } = options;
  const directory = `${root}/${id}`;
  fs.mkdirSync(root, { recursive: true, mode: 0o711 });
  sweepDead(root);
  requireFree(directory, id);
  if ((bundle.config.linux?.cgroupsPath ?? "") !== "") {
    requireFreeCgroup(bundle.input.container.cgroup, host.facts);
  }
  const beside = `${root}/${temporaryName(id.slice(0, 100))}`;
  fs.mkdirSync(beside, { mode: 0o711 });
  try {
    const place = files(beside);
    const write = (file: string, data: string | Uint8Array) => fs.writeFileSync(file, data, { mode: 0o600 });
    write(place.plan, encodePlan(bundle.plan));
    write(place.reasons, encodeReasons(bundle.plan));
    write(place.remove, encodePlan({ ops: bundle.plan.ops.filter(isCleanup) }));
    if (bundle.start !== undefined) {
      write(place.poststart, encodePlan(bundle.start));
      write(place.poststartReasons, encodeReasons(bundle.start));
    }
    if (options.notifySocket !== undefined) fs.mkdirSync(place.notify, { mode: 0o755 });
    write(place.config, encodeRuntimeConfig(bundle.config));
    const record = recordOf(bundle, options, host);
    write(place.record, JSON.stringify(record));
    write(place.state, stateText(bundle, record));
    fs.renameSync(beside, directory);
  } catch (error) {
    fs.rmSync(beside, { recursive: true, force: true });
    const errno = errnoOf(error);
    if (errno === "ENOTEMPTY" || errno === "EEXIST") throw exists(id);
    throw error;
  }
  return files(directory).plan;
}

/** What the helper prints for `state`: see native/lifecycle.c. */
function stateText({ config, plan, input }: CompiledBundle, record: LifecycleRecord): string {
  const { cgroup } = input.container;
  const hierarchy = input.host.cgroup.hierarchies.find(({ controllers }) => controllers.includes("freezer"));
  const freezerDirectory =
    cgroup.mode === "v1" && hierarchy !== undefined ? hierarchy.mountPoint + cgroup.path : "";
  const own = config.linux?.namespaces?.some(
    ({ type, path: joined }) => type === "pid" && joined === undefined,
  );
  const control = plan.ops.flatMap(({ op, why }) =>
    op.op === "removeDirectory" &&
    !isResctrl(why) &&
    (record.cgroup.mode === "v2" || op.path.path === freezerDirectory)
      ? [`${op.path.path}/${record.cgroup.mode === "v2" ? "cgroup.freeze" : "freezer.state"}`]
      : [],
  );
  const output = JSON.stringify(stateOutput({ record, status: "stopped", pid: 0 }), undefined, 2);
  return `${own === true ? "own" : "-"} ${control[0] ?? ""}\n${output}\n`;
}

const isCleanup = ({ stage }: PlannedOp) => stage === "cleanup";

function requireFree(directory: string, id: string): void {
  if (fs.existsSync(directory)) throw exists(id);
}

function exists(id: string): VitrineError {
  return new VitrineError("exists", `container with given ID already exists: ${id}`, {
    code: "container-exists",
    operand: id,
    hint: "choose another id, or delete that container",
  });
}

function scopeOf(cgroup: CgroupDecision): Pick<LifecycleRecord, "scope"> {
  if (cgroup.mode === "none" || cgroup.scope === undefined) return {};
  const { unit, socket, bus } = cgroup.scope;
  return { scope: { unit, socket, bus } };
}

function recordOf(bundle: CompiledBundle, options: CreateOptions, host: CreateHost): LifecycleRecord {
  const { config, input, plan } = bundle;
  const { container } = input;
  const directories = plan.ops.flatMap(({ stage, op, why }) =>
    stage === "cleanup" && op.op === "removeDirectory" && !isResctrl(why) ? [op.path.path] : [],
  );
  const { euid, userName } = host.facts.identity;
  return {
    ociVersion: config.ociVersion,
    id: options.id,
    bundle: options.bundle,
    rootfs: container.root.type === "directory" ? container.root.path : container.root.target,
    created: new Date(host.now()).toISOString(),
    owner: userName === "" ? String(euid) : userName,
    ...(config.annotations === undefined ? {} : { annotations: config.annotations }),
    cgroup: { mode: container.cgroup.mode, directories },
    ...scopeOf(container.cgroup),
    creator: { pid: process.pid, startTime: processStartTime(process.pid) ?? "" },
  };
}
