import * as fs from "node:fs";
import * as path from "node:path";
import {
  limits,
  ofContainer,
  parseJson,
  readBeneath,
  temporaryName,
  VitrineError,
} from "../../../base/mod.ts";
import { encodePlan, type HostFacts, probeHost } from "../../../kernel/mod.ts";
import {
  type Process,
  parseRuntimeConfig,
  type RuntimeConfig,
  validateRuntimeConfig,
} from "../../../oci/mod.ts";
import {
  bornAmong,
  type CgroupDecision,
  compileExec,
  completeEnvironment,
  encodeReasons,
  filterOf,
  foreignNamespaces,
  type LifecycleRecord,
  lifecycleFiles,
  readState,
  setgroupsDeniedFor,
} from "../../../runtime/mod.ts";
import { becomePreserving, runArguments } from "../../become.ts";
import type { OptionTable, OptionValues } from "../../framework/command.ts";
import { failureCommand } from "../self.ts";
import { defineVerb } from "../verb.ts";
import { requireSocket } from "./make.ts";

const table = {
  "console-socket": { type: "string", value: "PATH", help: "a unix socket that gets the terminal" },
  "pidfd-socket": { type: "string", value: "PATH", help: "a unix socket that gets the pidfd" },
  "pid-file": { type: "string", value: "FILE", help: "a file that gets the pid" },
  process: { type: "string", short: "p", value: "FILE", help: "a process.json: all of the process" },
  cwd: { type: "string", value: "DIR", help: "the working directory in the container" },
  env: { type: "strings", short: "e", value: "NAME=VALUE", help: "an environment variable" },
  tty: { type: "boolean", short: "t", help: "a terminal" },
  user: { type: "string", short: "u", value: "UID[:GID]", help: "as whom" },
  "additional-gids": { type: "strings", short: "g", value: "GID", help: "further groups" },
  cap: { type: "strings", short: "c", value: "CAP", help: "a capability more" },
  "no-new-privs": { type: "boolean", help: "execve grants no privileges" },
  apparmor: { type: "string", value: "PROFILE", help: "the AppArmor profile" },
  "process-label": { type: "string", value: "LABEL", help: "the SELinux label" },
  detach: { type: "boolean", short: "d", help: "return once it runs" },
  "preserve-fds": { type: "number", value: "N", default: 0, help: "so many descriptors from 3 on stay open" },
  cgroup: { type: "strings", value: "PATH", help: "a cgroup below the container's" },
  "ignore-paused": { type: "boolean", help: "also in a paused container" },
  "no-subreaper": { type: "boolean", hidden: true, help: "ignored" },
} as const satisfies OptionTable;

export const verb = defineVerb({
  summary: "Run a further process in a container that runs",
  usage: "CONTAINER [COMMAND] [ARG...]",
  options: table,
  positionals: [1, Number.POSITIVE_INFINITY],
  stopAtFirstPositional: true,
  failure: 255,
  async run(invocation) {
    const { options, positionals, globals, context, log } = invocation;
    const [id = "", ...args] = positionals;
    const { record, status, pid } = readState(globals.root, id);
    requireRunning(id, status, options["ignore-paused"]);
    const directory = `${globals.root}/${id}`;
    const config = parseRuntimeConfig(
      ofContainer(() => fs.readFileSync(lifecycleFiles(directory).config)),
    ).config;
    const process = completeEnvironment(processFor(config, options, args), () =>
      readBeneath(`/proc/${pid}/root`, "/etc/passwd"),
    );
    const consoleSocket = options["console-socket"];
    checkTerminal(process, consoleSocket, options.detach);
    const facts = probeHost();
    // A directory of its own: the plan, its reasons, and what tells of a failure.
    const own = `${directory}/exec${temporaryName()}`;
    const place = lifecycleFiles(own);
    const plan = compileExec({
      config,
      process,
      host: facts,
      container: {
        id,
        bundle: record.bundle,
        stateDirectory: own,
        ...(consoleSocket === undefined ? {} : { consoleSocket: requireSocket(path.resolve(consoleSocket)) }),
        ...(options["pidfd-socket"] === undefined
          ? {}
          : { pidfdSocket: requireSocket(path.resolve(options["pidfd-socket"]), "pidfd") }),
        stdin: "inherit",
        forwardSignals: true,
        plainNewlines: true,
        resetAffinity: true,
        ...(options.detach ? { release: { processFile: "", cleanUp: true } } : {}),
        ...(options["pid-file"] === undefined ? {} : { plainPidFile: path.resolve(options["pid-file"]) }),
        reportFailure: [...failureCommand(invocation, "exec"), own],
        preserveDescriptors: options["preserve-fds"],
        removeTrees: [own],
      },
      cgroup: decisionOf(record),
      ...cgroupsFor(record, options.cgroup, facts),
      pid,
      namespaces: foreignNamespaces(pid),
      setgroupsDenied: setgroupsDeniedFor(pid),
      ...(await filterOf(config, facts)),
    });
    for (const { pointer, text } of plan.notes ?? []) log.debug(`${pointer}: ${text}`);
    const helper = context.helperPath();
    fs.mkdirSync(own, { mode: 0o700 });
    try {
      fs.writeFileSync(place.plan, encodePlan(plan), { mode: 0o600 });
      fs.writeFileSync(place.reasons, encodeReasons(plan), { mode: 0o600 });
      const kept = options["preserve-fds"];
      return await becomePreserving(helper, runArguments(place.plan, kept), kept);
    } catch (error) {
      fs.rmSync(own, { recursive: true, force: true });
      throw error;
    }
  },
});

function requireRunning(id: string, status: string, evenPaused: boolean): void {
  if (status === "running" || status === "created" || (status === "paused" && evenPaused)) return;
  const message =
    status === "paused"
      ? "cannot exec in a paused container (use --ignore-paused to override)"
      : `cannot exec in a ${status} container`;
  throw new VitrineError("invalid", message, { code: "container-not-running", operand: id });
}

function checkTerminal({ terminal }: Process, socket: string | undefined, detach: boolean): void {
  if (terminal === true && detach && socket === undefined) {
    throw new VitrineError(
      "invalid",
      "cannot allocate a terminal without --console-socket, since nobody stays",
      {
        code: "console-socket-missing",
        operand: "--console-socket",
      },
    );
  }
  if (terminal !== true && socket !== undefined) {
    throw new VitrineError("invalid", "--console-socket is for a terminal (--tty)", {
      code: "console-socket-unused",
      operand: "--console-socket",
    });
  }
}

/** process.json, or the container's own process with the flags' changes. */
function processFor(
  config: RuntimeConfig,
  options: OptionValues<typeof table>,
  args: readonly string[],
): Process {
  if (options.process !== undefined) {
    return validate(config, readJson(options.process));
  }
  const base = config.process!;
  if (args.length === 0) {
    throw new VitrineError("invalid", "process args cannot be empty", {
      code: "missing-argument",
      operand: "COMMAND",
    });
  }
  const { consoleSize: _, ...rest } = base;
  const caps = options.cap;
  const more = (set: readonly string[] | undefined) => [...new Set([...(set ?? []), ...caps])];
  const sets = base.capabilities;
  return validate(config, {
    ...rest,
    args,
    terminal: options.tty,
    env: [...(base.env ?? []), ...options.env],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    user: userFor(base, options),
    ...(caps.length === 0
      ? {}
      : {
          capabilities: {
            bounding: more(sets?.bounding),
            effective: more(sets?.effective),
            permitted: more(sets?.permitted),
            inheritable: sets?.inheritable ?? [],
            // Without inheritable ones none can be ambient (capabilities(7)); as runc.
            ambient: sets?.inheritable === undefined ? (sets?.ambient ?? []) : more(sets.ambient),
          },
        }),
    noNewPrivileges: options["no-new-privs"] || base.noNewPrivileges === true,
    ...(options.apparmor === undefined ? {} : { apparmorProfile: options.apparmor }),
    ...(options["process-label"] === undefined ? {} : { selinuxLabel: options["process-label"] }),
  });
}

function userFor(base: Process, options: OptionValues<typeof table>) {
  const more = options["additional-gids"].map((gid) => requireNumber(gid, "--additional-gids"));
  const groups = [...(base.user.additionalGids ?? []), ...more];
  const withGroups = groups.length === 0 ? {} : { additionalGids: groups };
  if (options.user === undefined) return { ...base.user, ...withGroups };
  const [uid = "", gid] = options.user.split(":", 2);
  return {
    ...base.user,
    ...withGroups,
    uid: requireNumber(uid, "--user"),
    gid: gid === undefined ? base.user.gid : requireNumber(gid, "--user"),
  };
}

function requireNumber(text: string, flag: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new VitrineError("invalid", `invalid value ${JSON.stringify(text)} for ${flag}: expected a number`, {
    code: "invalid-flag-value",
    operand: flag,
  });
}

function readJson(file: string): unknown {
  let bytes: Uint8Array;
  try {
    bytes = ofContainer(() => fs.readFileSync(file));
  } catch (cause) {
    throw new VitrineError("not-found", `cannot read ${file}`, {
      code: "process-file-missing",
      operand: "--process",
      cause,
    });
  }
  return parseJson(bytes, { maxBytes: limits.runtimeConfigBytes, name: file, exactIntegers: true });
}

/** As a part of the container's config: ids are checked against its maps. */
function validate(config: RuntimeConfig, process: unknown): Process {
  return validateRuntimeConfig({ ...config, process }).config.process!;
}

function decisionOf({ cgroup }: LifecycleRecord): CgroupDecision {
  const [directory] = cgroup.directories;
  if (cgroup.mode === "none" || directory === undefined)
    return { mode: "none", reason: "the container has none" };
  return cgroup.mode === "v1"
    ? { mode: "v1", path: directory }
    : { mode: "v2", root: path.dirname(directory), path: `/${path.basename(directory)}` };
}

/** `--cgroup PATH`, or on v1 `--cgroup CONTROLLER[,CONTROLLER]:PATH`. Of a v2 tree beside v1 the process is born in its directory. */
function cgroupsFor(
  { cgroup }: LifecycleRecord,
  wanted: readonly string[],
  host: HostFacts,
): { readonly cgroups: readonly string[]; readonly born?: string } {
  const isOf = (directory: string, controller: string) =>
    host.cgroup.hierarchies.some(
      ({ controllers, mountPoint }) =>
        controllers.includes(controller) && directory.startsWith(`${mountPoint}/`),
    );
  let directories = cgroup.directories;
  for (const each of wanted) {
    const at = each.lastIndexOf(":");
    const controllers = at < 0 ? undefined : each.slice(0, at).split(",");
    const below = path.posix.normalize(at < 0 ? each : each.slice(at + 1));
    if (below === ".." || below.startsWith("../")) throw badCgroup(each, `bad sub cgroup path: ${each}`);
    for (const name of controllers ?? []) {
      if (cgroup.mode === "v1" && !cgroup.directories.some((directory) => isOf(directory, name))) {
        throw badCgroup(each, `unknown controller ${name}`);
      }
    }
    directories = directories.map((directory) =>
      controllers === undefined || controllers.some((name) => isOf(directory, name))
        ? path.posix.join(directory, below).replace(/\/$/, "")
        : directory,
    );
  }
  return bornAmong(directories, host);
}

function badCgroup(operand: string, message: string): VitrineError {
  return new VitrineError("invalid", message, { code: "invalid-flag-value", operand });
}
