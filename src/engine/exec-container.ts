/** `exec`: a further program in a container that runs, as a plan for the helper. */
import * as fs from "node:fs";
import { ofContainer, readBeneath, temporaryName, VitrineError } from "../base/mod.ts";
import { capabilityNames, encodePlan, type Plan } from "../kernel/mod.ts";
import { type Process, parseRuntimeConfig, type RuntimeConfig } from "../oci/mod.ts";
import {
  bornAmong,
  compileExec,
  encodeReasons,
  foreignNamespaces,
  isScopePath,
  setgroupsDeniedFor,
} from "../runtime/mod.ts";
import { notRunning } from "./containers/end.ts";
import { paused } from "./containers/pause.ts";
import { type Container, containerDirectory, type EnginePaths, runDirectory } from "./containers/record.ts";
import { isPaused, runningProcess } from "./containers/state.ts";
import { defaults } from "./defaults.ts";
import { detachPlan, withMonitorOps } from "./detach-plan.ts";
import { recordContainerEvent } from "./events/record.ts";
import { cgroupOf } from "./health-plan.ts";
import type { EnvironmentChange } from "./options.ts";
import type { EngineDeps } from "./plan-run.ts";
import { recordOp } from "./supervision.ts";
import { type ResolvedUser, resolveUser } from "./users.ts";

export interface ExecOptions {
  readonly command: readonly string[];
  readonly interactive: boolean;
  readonly tty: boolean;
  /** Returns when the program runs; what it prints is lost, as with docker. */
  readonly detach: boolean;
  /** With a terminal and input: what is typed to leave the program running. Empty: it cannot be left. */
  readonly detachKeys: Uint8Array;
  readonly environment: readonly EnvironmentChange[];
  readonly user?: string | undefined;
  readonly workdir?: string | undefined;
  readonly privileged: boolean;
  /** So many descriptors from 3 on are for the program. */
  readonly preserveDescriptors?: number | undefined;
}

export interface PreparedExec {
  readonly planFile: string;
  readonly discard: () => void;
}

/** Errors: `container-not-running`, `user-not-found`, `group-not-found`, `container-record-invalid`, those of `compileExec`. */
export async function prepareExec(
  container: Container,
  options: ExecOptions,
  deps: EngineDeps,
): Promise<PreparedExec> {
  const { paths, host } = deps;
  const { id } = container;
  const running = ofContainer(() => runningProcess(paths, container));
  if (running === undefined) throw notRunning(container);
  if (isPaused(container)) throw paused(container);
  const { pid } = running;
  const config = options.privileged ? unfiltered(readConfig(paths, id)) : readConfig(paths, id);
  const process = processOf(config, options, pid);
  const seccomp = config.linux?.seccomp;
  const own = `${runDirectory(paths, id)}/${temporaryName("exec")}`;
  const execID = randomId();
  const compiled = compileExec({
    config,
    process,
    host,
    container: {
      id,
      bundle: containerDirectory(paths, id),
      stateDirectory: own,
      stdin: options.interactive ? "inherit" : "null",
      forwardSignals: true,
      ...(options.preserveDescriptors === undefined
        ? {}
        : { preserveDescriptors: options.preserveDescriptors }),
      reportFailure: [...deps.failureCommand(id), "--exec", own],
      removeTrees: [own],
    },
    cgroup: cgroupOf(container.cgroups, host),
    // On v1 some are made only when they are needed.
    ...bornAmong(
      container.cgroups.filter((directory) => fs.existsSync(directory)),
      host,
    ),
    pid,
    namespaces: foreignNamespaces(pid),
    setgroupsDenied: setgroupsDeniedFor(pid),
    ...(seccomp === undefined ? {} : { seccompFilter: await deps.seccomp.compile(seccomp) }),
  });
  const watched = withMonitorOps(compiled, [recordOp(paths, container, "exec_", { execID })], {
    by: "default",
  });
  const plan = inManner(watched, options);
  if (isScopePath(config.linux?.cgroupsPath)) {
    const { joinMonitorScope } = await import("./containers/scope.ts");
    await joinMonitorScope(id, config, deps);
  }
  fs.mkdirSync(own, { mode: 0o700 });
  fs.writeFileSync(`${own}/plan`, encodePlan(plan), { mode: 0o600 });
  fs.writeFileSync(`${own}/reasons.json`, encodeReasons(plan), { mode: 0o600 });
  const command = options.command.join(" ").slice(0, 256);
  recordContainerEvent(paths, container, `exec_create: ${command}`, { execID });
  recordContainerEvent(paths, container, `exec_start: ${command}`, { execID });
  return { planFile: `${own}/plan`, discard: () => fs.rmSync(own, { recursive: true, force: true }) };
}

/** What can be left, or begins in the background, has a monitor of its own: the caller is its client, or nobody is. */
function inManner(plan: Plan, { detach, tty, interactive, detachKeys }: ExecOptions): Plan {
  const leavable = tty && interactive && detachKeys.length > 0;
  if (!detach && !leavable) return plan;
  return detachPlan(plan, {
    monitorFile: "",
    announce: "",
    terminal: tty,
    input: interactive,
    once: !detach,
    ...(detach ? {} : { foreground: true, attach: { input: true, detachKeys } }),
  });
}

export function readConfig(paths: EnginePaths, id: string): RuntimeConfig {
  try {
    const file = `${containerDirectory(paths, id)}/config.json`;
    return parseRuntimeConfig(ofContainer(() => fs.readFileSync(file))).config;
  } catch (cause) {
    throw new VitrineError("corrupt", `config.json of container ${id.slice(0, 12)} cannot be read`, {
      code: "container-record-invalid",
      operand: id,
      hint: `remove it: vitrine rm --force ${id.slice(0, 12)}`,
      cause,
    });
  }
}

function unfiltered(config: RuntimeConfig): RuntimeConfig {
  const { seccomp: _, ...linux } = config.linux ?? {};
  return { ...config, linux };
}

function processOf(config: RuntimeConfig, options: ExecOptions, pid: number): Process {
  const base = config.process!;
  const user = options.user === undefined ? undefined : userIn(options.user, pid);
  const uid = user?.uid ?? base.user.uid;
  const { consoleSize: _size, ...rest } = base;
  return {
    ...rest,
    args: options.command,
    terminal: options.tty,
    env: environmentOf(base.env ?? [], options, user),
    cwd: options.workdir ?? base.cwd,
    user:
      user === undefined
        ? base.user
        : {
            ...base.user,
            uid: user.uid,
            gid: user.gid,
            ...(setgroupsDeniedFor(pid) ? {} : { additionalGids: user.groups }),
          },
    capabilities: capabilitiesOf(base, uid, options.privileged),
    ...(options.privileged ? { noNewPrivileges: false } : {}),
  };
}

/** Names are looked up in the container's own files: whoever runs there may have changed them, for himself. */
function userIn(text: string, pid: number): ResolvedUser {
  const read = (file: string): string => {
    const bytes = readBeneath(`/proc/${pid}/root`, file);
    return bytes === undefined ? "" : new TextDecoder().decode(bytes);
  };
  return resolveUser(text, [], { passwd: read("/etc/passwd"), group: read("/etc/group") });
}

function environmentOf(
  base: readonly string[],
  options: ExecOptions,
  user: ResolvedUser | undefined,
): readonly string[] {
  const variables = new Map(
    base.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
  if (options.tty && !variables.has("TERM")) variables.set("TERM", defaults.term.value);
  if (user !== undefined) variables.set("HOME", user.home);
  for (const change of options.environment) {
    if ("unset" in change) variables.delete(change.name);
    else variables.set(change.name, change.value);
  }
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

/** Root has all of the bounding set, others nothing but what the container's own process of that user has. */
function capabilitiesOf(
  base: Process,
  uid: number,
  privileged: boolean,
): NonNullable<Process["capabilities"]> {
  const bounding = privileged ? capabilityNames : (base.capabilities?.bounding ?? []);
  if (privileged || uid === 0) return { bounding, effective: bounding, permitted: bounding };
  return uid === base.user.uid && base.capabilities !== undefined ? base.capabilities : { bounding };
}

/** Docker gives each exec an id of its own; here it only ties events together. */
function randomId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
}
