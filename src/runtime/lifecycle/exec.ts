/** A further process in a container that runs: process.json → plan (runtime.md gives no `exec`; runc's is the model). */

import { CLONE_NEWPID, type HostFacts, type Plan, type SeccompFilter } from "../../kernel/mod.ts";
import {
  type CpuAffinity,
  type NamespaceType,
  namespaceTypes,
  type Process,
  type RuntimeConfig,
} from "../../oci/mod.ts";
import { becomeProgram } from "../become-program.ts";
import { parseBitList } from "../bit-list.ts";
import { capabilityMasks } from "../capabilities.ts";
import { explainFailures, guardTerminal, supervise } from "../cleanup.ts";
import { Draft, type Reason } from "../draft.ts";
import { cloneBit } from "../namespaces.ts";
import { execute, labelProcess, openStreams, resetAffinity, setOomScore } from "../process.ts";
import type { CgroupDecision, ContainerPlacement } from "../types.ts";
import { processDirectoryOf } from "./join.ts";

export interface ExecInput {
  /** The container's, as it was created. */
  readonly config: RuntimeConfig;
  readonly process: Process;
  readonly host: HostFacts;
  readonly container: Omit<ContainerPlacement, "root" | "cgroup" | "init" | "dieWithMonitor">;
  readonly cgroup: CgroupDecision;
  /** Absolute host directories of the container's cgroup. */
  readonly cgroups: readonly string[];
  /** Of these the one of a v2 tree beside v1, which it is born in. */
  readonly born?: string;
  /** The container's first process, as we see it. */
  readonly pid: number;
  /** Its directory in /proc where it is not to be found by `pid`: a link that will lead there. */
  readonly processDirectory?: string;
  /** The program is killed when its monitor is. */
  readonly dieWithMonitor?: boolean;
  /** Its namespaces that are not ours. */
  readonly namespaces: readonly NamespaceType[];
  /** /proc/PID/setgroups says deny. */
  readonly setgroupsDenied: boolean;
  readonly seccompFilter?: SeccompFilter;
}

const section = "config-linux.md#namespaces";
const ours: Reason = { pointer: "", section: "", origin: { by: "default" } };

/** The mount namespace last: the other paths are the host's. The user namespace first: it gives the right to the rest. */
const joinOrder: readonly NamespaceType[] = [
  "user",
  ...namespaceTypes.filter((type) => type !== "user" && type !== "mount"),
  "mount",
];

/** Root may enter all of them, also one that does not belong to the container's user namespace. */
const rootJoinOrder: readonly NamespaceType[] = [
  ...namespaceTypes.filter((type) => type !== "user" && type !== "mount"),
  "user",
  "mount",
];

/** Pure, as `compile`. Errors: those of `compile` about `process`. */
export function compileExec(input: ExecInput): Plan {
  const directory = input.processDirectory ?? processDirectoryOf(input.pid);
  const draft = new Draft({
    config: {
      ...input.config,
      process: input.process,
      linux: {
        ...input.config.linux,
        namespaces: input.namespaces.map((type) => ({ type, path: `${directory}/ns/${type}` })),
      },
    },
    origins: new Map(),
    host: withSetgroups(input.host, input.setgroupsDenied),
    container: {
      ...input.container,
      root: { type: "directory", path: "/" },
      cgroup: input.cgroup,
      init: false,
      dieWithMonitor: false,
    },
    sourceKinds: new Map(),
    joined: { pid: input.pid },
    ...(input.seccompFilter === undefined ? {} : { seccompFilter: input.seccompFilter }),
  });
  const capabilities = capabilityMasks(draft);
  const affinity = input.process.execCPUAffinity;
  explainFailures(draft);
  guardTerminal(draft);
  enterFromMonitor(draft, input, directory);
  if (input.born !== undefined) {
    draft.monitor(
      { op: "cloneInto", path: { base: "host", path: input.born }, beside: `${directory}/cgroup` },
      { pointer: "/linux/cgroupsPath", section: "config-linux.md#control-groups" },
    );
  }
  draft.monitor({ op: "clone", flags: 0n, dieWithMonitor: input.dieWithMonitor ?? false }, ours);

  setAffinity(draft, affinity, "initial");
  for (const cgroup of input.cgroups) {
    draft.init(
      { op: "cgroupAttach", path: { base: "host", path: cgroup } },
      {
        pointer: "/linux/cgroupsPath",
        section: "config-linux.md#control-groups",
        // Who plans ahead cannot see which of them are made.
        ...(input.processDirectory === undefined ? {} : { tolerate: ["ENOENT"] as const }),
      },
    );
  }
  setAffinity(draft, affinity, "final");
  enterFromInit(draft, input, directory);
  setOomScore(draft);
  enterRoot(draft, input);
  openStreams(draft, false);
  draft.init(
    { op: "setUmask", mask: input.process.user.umask ?? 0o022 },
    { pointer: "/process/user/umask", section: "config.md#posix-platform-user" },
  );
  labelProcess(draft);
  becomeProgram(draft, capabilities);
  execute(draft);
  supervise(draft);
  for (const path of input.container.removeTrees) {
    draft.cleanup({ op: "removeTree", path: { base: "host", path } }, ours);
  }
  return draft.finish();
}

/** The facts are read on first use: a copy would read all of them. */
function withSetgroups(host: HostFacts, denied: boolean): HostFacts {
  if (host.userNamespace.setgroupsDenied === denied) {
    return host;
  }
  return Object.create(host, {
    userNamespace: { value: { ...host.userNamespace, setgroupsDenied: denied }, enumerable: true },
  }) as HostFacts;
}

/** A pid namespace is entered by children alone, and an unprivileged user must first be in its user namespace. */
function enterFromMonitor(draft: Draft, input: ExecInput, directory: string): void {
  if (input.namespaces.includes("pid")) {
    if (userFirst(input)) {
      join(draft, "monitor", "user", directory);
    }
    join(draft, "monitor", "pid", directory);
  }
}

function userFirst({ namespaces, host }: ExecInput): boolean {
  return namespaces.includes("user") && host.identity.euid !== 0;
}

function enterFromInit(draft: Draft, input: ExecInput, directory: string): void {
  const { namespaces } = input;
  const first = userFirst(input);
  const inUser = namespaces.includes("pid") && first;
  for (const type of first ? joinOrder : rootJoinOrder) {
    if (namespaces.includes(type) && type !== "pid" && !(type === "user" && inUser)) {
      join(draft, "init", type, directory);
    }
  }
  // Only who made the container may look into its directory: until the last file is open, we are still who that is.
  if (namespaces.includes("user")) {
    draft.init(
      { op: "setUser", uid: 0, gid: 0, groups: [], skipGroups: input.setgroupsDenied },
      { pointer: "/linux/namespaces", section },
    );
  }
}

/** With the container's mount namespace its root comes along; one that has none has a root of its own all the same. */
function enterRoot(draft: Draft, { namespaces, pid }: ExecInput): void {
  const joined = namespaces.includes("mount");
  draft.init(
    { op: "setRoot", path: { base: "host", path: joined ? "/" : `${processDirectoryOf(pid)}/root` } },
    ours,
  );
  if (!joined) {
    draft.init({ op: "changeRoot" }, ours);
  }
}

function join(draft: Draft, stage: "monitor" | "init", type: NamespaceType, directory: string): void {
  const names: Partial<Record<NamespaceType, string>> = { network: "net", mount: "mnt" };
  draft[stage](
    {
      op: "joinNamespace",
      path: { base: "host", path: `${directory}/ns/${names[type] ?? type}` },
      type: type === "pid" ? CLONE_NEWPID : cloneBit(type),
    },
    { pointer: "/linux/namespaces", section },
  );
}

function setAffinity(draft: Draft, affinity: CpuAffinity | undefined, when: "initial" | "final"): void {
  const cpus = affinity?.[when];
  if (affinity === undefined && when === "final") resetAffinity(draft);
  if (cpus !== undefined && cpus !== "") {
    const pointer = `/process/execCPUAffinity/${when}`;
    draft.init(
      { op: "cpuAffinity", mask: parseBitList(cpus, pointer) },
      { pointer, section: "config.md#linux-process" },
    );
  }
}
