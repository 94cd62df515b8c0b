/** From the new root to execve: what the process is and may do (config.md#process). */

import {
  IOPRIO_CLASS_SHIFT,
  ioPriorityClassNumbers,
  memoryPolicyFlagBits,
  memoryPolicyModeNumbers,
  type Origin,
  PER_LINUX,
  PER_LINUX32,
  rlimitNames,
  schedulerFlagBits,
  schedulerPolicyNumbers,
} from "../kernel/mod.ts";
import type { Process } from "../oci/mod.ts";
import { askedByAnnotation } from "./annotations.ts";
import { parseBitList } from "./bit-list.ts";
import { bytesOf } from "./bytes.ts";
import { type Draft, invalid, unsupported } from "./draft.ts";
import { setgroupsDenied } from "./namespaces.ts";
import { absolute } from "./paths.ts";

const linuxSection = "config.md#linux-process";
const byDefault: Origin = { by: "default" };

/** What the process gets when the config does not say. */
const defaultUmask = 0o022;

/** The process of config.json, which the spec requires before anything can be started. */
export function processOf(draft: Draft): Process {
  const { process } = draft.input.config;
  if (process === undefined || process.args.length === 0) {
    throw invalid("process-missing", "/process", "there is no program to run");
  }
  return process;
}

/** Init, first of all: keys of the host's session are not the container's. */
export function isolateKeyring(draft: Draft): void {
  const { container } = draft.input;
  if (container.keepKeyring !== true) {
    draft.init(
      { op: "sessionKeyring", name: `_ses.${container.id}` },
      // A kernel without keyrings, or one that forbids keyctl here: there is nothing to reach then.
      { pointer: "", section: "", origin: byDefault, tolerate: ["ENOSYS", "EPERM", "EACCES"] },
    );
  }
}

/** Init, while /proc is still the host's: the OOM killer's preference. */
export function setOomScore(draft: Draft): void {
  const score = processOf(draft).oomScoreAdj;
  if (score !== undefined) {
    draft.init(
      {
        op: "writeFile",
        path: { base: "proc", path: "self/oom_score_adj" },
        data: bytesOf(String(score)),
        create: false,
        mode: 0,
      },
      { pointer: "/process/oomScoreAdj", section: linuxSection },
    );
  }
}

/** Init, in the new root and before it is read-only: the working directory is there. */
export function makeWorkingDirectory(draft: Draft): void {
  const cwd = workingDirectory(draft);
  if (cwd !== "/") {
    draft.init(
      { op: "makeDirectory", path: { base: "root", path: cwd }, mode: 0o755, parents: true },
      { pointer: "/process/cwd", section: "config.md#process" },
    );
  }
}

function workingDirectory(draft: Draft): string {
  const { cwd } = processOf(draft);
  if (!cwd.startsWith("/")) {
    throw invalid("cwd-relative", "/process/cwd", `${JSON.stringify(cwd)} is not absolute`);
  }
  return absolute(cwd);
}

/** Init: a terminal of the container's own devpts, or a session without one. */
export function openStreams(draft: Draft, bindConsole = true): void {
  const process = processOf(draft);
  const { container } = draft.input;
  if (process.terminal === true) {
    const { consoleSize } = process;
    draft.init(
      {
        op: "openTerminal",
        rows: container.terminal?.rows ?? consoleSize?.height ?? 0,
        columns: container.terminal?.columns ?? consoleSize?.width ?? 0,
        uid: process.user.uid,
        consoleSocket: container.consoleSocket ?? "",
        bindConsole,
        plainNewlines: container.plainNewlines === true && container.consoleSocket === undefined,
      },
      { pointer: "/process/terminal", section: "config.md#process" },
    );
    return;
  }
  const reason = { pointer: "/process/terminal", section: "config.md#process", origin: byDefault };
  // Else the program could push input into the user's terminal (TIOCSTI).
  draft.init({ op: "newSession" }, reason);
  draft.init({ op: "standardInput", mode: container.stdin === "inherit" ? 0 : 1 }, reason);
}

/** Init: the mask and the names it is known by. */
export function setNames(draft: Draft): void {
  const { hostname, domainname } = draft.input.config;
  const umask = processOf(draft).user.umask;
  draft.init(
    { op: "setUmask", mask: umask ?? defaultUmask },
    {
      pointer: "/process/user/umask",
      section: "config.md#posix-platform-user",
      ...(umask === undefined ? { origin: byDefault } : {}),
    },
  );
  if (hostname !== undefined && hostname !== "") {
    requireUts(draft, "/hostname");
    draft.init(
      { op: "setHostname", name: hostname },
      { pointer: "/hostname", section: "config.md#hostname" },
    );
  }
  if (domainname !== undefined && domainname !== "") {
    requireUts(draft, "/domainname");
    draft.init(
      { op: "setDomainname", name: domainname },
      { pointer: "/domainname", section: "config.md#domainname" },
    );
  }
}

function requireUts(draft: Draft, pointer: string): void {
  if (draft.namespace("uts") === undefined) {
    throw invalid(
      "name-without-uts-namespace",
      pointer,
      "it would rename the host, since there is no uts namespace",
      "leave the name out, or give the container a uts namespace",
    );
  }
}

/** Init: the labels that the program gets at execve. */
export function labelProcess(draft: Draft): void {
  const { apparmorProfile, selinuxLabel } = processOf(draft);
  const { securityModules } = draft.input.host;
  if (apparmorProfile !== undefined && apparmorProfile !== "") {
    if (!securityModules.apparmor) {
      throw unsupported(
        "apparmor-unavailable",
        "/process/apparmorProfile",
        "AppArmor is not enabled on this machine",
      );
    }
    draft.init(
      { op: "apparmorProfile", profile: apparmorProfile },
      { pointer: "/process/apparmorProfile", section: linuxSection },
    );
  }
  const labels: readonly (readonly [string, string | undefined])[] = [
    ["/process/selinuxLabel", selinuxLabel],
    ["/linux/mountLabel", draft.input.config.linux?.mountLabel],
  ];
  for (const [pointer, label] of labels) {
    if (label !== undefined && label !== "" && !securityModules.selinux) {
      throw unsupported("selinux-unavailable", pointer, "SELinux is not enabled on this machine");
    }
  }
  if (selinuxLabel !== undefined && selinuxLabel !== "") {
    draft.init(
      { op: "selinuxLabel", label: selinuxLabel },
      { pointer: "/process/selinuxLabel", section: linuxSection },
    );
  }
}

/** Init: no_new_privs and what the scheduler, the I/O scheduler and the allocator are told. */
export function setAttributes(draft: Draft): void {
  if (processOf(draft).noNewPrivileges === true) {
    draft.init({ op: "noNewPrivileges" }, { pointer: "/process/noNewPrivileges", section: linuxSection });
  }
  setRlimits(draft);
  setScheduler(draft);
  setPersonality(draft);
  setMemoryPolicy(draft);
}

/** After everything that opens files or maps memory, so that a small limit does not hit the set-up. */
function setRlimits(draft: Draft): void {
  const seen: string[] = [];
  for (const [index, { type, soft, hard }] of (processOf(draft).rlimits ?? []).entries()) {
    const pointer = `/process/rlimits/${index}`;
    if (seen.includes(type)) {
      throw invalid("rlimit-duplicate", pointer, `a second ${type}`);
    }
    seen.push(type);
    draft.init(
      { op: "setRlimit", resource: rlimitNames.indexOf(type), soft, hard },
      { pointer, section: "config.md#posix-process" },
    );
  }
}

function setScheduler(draft: Draft): void {
  const { scheduler, ioPriority } = processOf(draft);
  if (scheduler !== undefined) {
    let flags = 0;
    for (const flag of scheduler.flags ?? []) {
      flags |= schedulerFlagBits[flag];
    }
    draft.init(
      {
        op: "setScheduler",
        policy: schedulerPolicyNumbers[scheduler.policy],
        flags: BigInt(flags),
        nice: scheduler.nice ?? 0,
        priority: scheduler.priority ?? 0,
        runtime: scheduler.runtime ?? 0n,
        deadline: scheduler.deadline ?? 0n,
        period: scheduler.period ?? 0n,
      },
      { pointer: "/process/scheduler", section: linuxSection },
    );
  }
  if (ioPriority !== undefined) {
    const priority = (ioPriorityClassNumbers[ioPriority.class] << IOPRIO_CLASS_SHIFT) | ioPriority.priority;
    draft.init({ op: "setIoPriority", priority }, { pointer: "/process/ioPriority", section: linuxSection });
  }
}

function setPersonality(draft: Draft): void {
  const personality = draft.input.config.linux?.personality;
  if (personality === undefined) {
    return;
  }
  if ((personality.flags ?? []).length > 0) {
    throw unsupported(
      "personality-flags-unsupported",
      "/linux/personality/flags",
      "the spec defines no flag",
    );
  }
  draft.init(
    { op: "setPersonality", persona: personality.domain === "LINUX32" ? PER_LINUX32 : PER_LINUX },
    { pointer: "/linux/personality", section: "config-linux.md#personality" },
  );
}

function setMemoryPolicy(draft: Draft): void {
  const policy = draft.input.config.linux?.memoryPolicy;
  if (policy === undefined) {
    return;
  }
  let flags = 0;
  for (const flag of policy.flags ?? []) {
    flags |= memoryPolicyFlagBits[flag];
  }
  draft.init(
    {
      op: "memoryPolicy",
      mode: memoryPolicyModeNumbers[policy.mode],
      flags,
      nodes: parseBitList(policy.nodes ?? "", "/linux/memoryPolicy/nodes"),
    },
    { pointer: "/linux/memoryPolicy", section: "config-linux.md#memory-policy" },
  );
}

/** Init: its directory, while it still may enter it whatever its owner, and before a filter that may know no openat2(2). */
export function enterDirectory(draft: Draft): void {
  draft.init(
    { op: "changeDirectory", path: workingDirectory(draft), create: false },
    { pointer: "/process/cwd", section: "config.md#process" },
  );
}

/** Init: its user and groups. */
export function becomeUser(draft: Draft): void {
  const { uid, gid, additionalGids } = processOf(draft).user;
  const keep = askedByAnnotation(draft.input.config).keepGroups;
  if (keep && additionalGids !== undefined && additionalGids.length > 0) {
    draft.note("/process/user/additionalGids", "run.oci.keep_original_groups keeps the caller's: not used");
  }
  const groups = keep ? [] : (additionalGids ?? []);
  requireMapped(draft, "uid", uid, "/process/user/uid");
  requireMapped(draft, "gid", gid, "/process/user/gid");
  for (const [index, group] of groups.entries()) {
    requireMapped(draft, "gid", group, `/process/user/additionalGids/${index}`);
  }
  const skipGroups = keep || setgroupsDenied(draft);
  if (skipGroups && groups.length > 0) {
    throw unsupported(
      "groups-unavailable",
      "/process/user/additionalGids",
      "setgroups is denied in this user namespace",
      "give the user a range in /etc/subgid and install newgidmap (package uidmap)",
    );
  }
  draft.init(
    { op: "setUser", uid, gid, groups, skipGroups },
    { pointer: "/process/user", section: "config.md#posix-platform-user" },
  );
}

function requireMapped(draft: Draft, kind: "uid" | "gid", id: number, pointer: string): void {
  if (!draft.isMapped(kind, id)) {
    throw invalid(
      "id-not-mapped",
      pointer,
      `${kind} ${id} is not among those that the user namespace has`,
      `choose a mapped ${kind}, or give the user a range in /etc/sub${kind} that reaches it`,
    );
  }
}

/** Init, in its cgroup: the kernel leaves of the mask what the cpuset allows (sched_setaffinity(2)). */
export function resetAffinity(draft: Draft): void {
  if (draft.input.container.resetAffinity === true) {
    const mask = new Uint8Array(1024).fill(0xff);
    draft.init({ op: "cpuAffinity", mask }, { pointer: "", section: "", origin: byDefault });
  }
}

/**
 * Init, before the first seccomp filter, which may know no close_range(2): what is open is closed by execve. What is opened
 * later is so from the start.
 */
export function closeDescriptors(draft: Draft): void {
  draft.init(
    { op: "closeDescriptors", first: 3 + (draft.input.container.preserveDescriptors ?? 0) },
    { pointer: "", section: "runtime-linux.md#file-descriptors", origin: byDefault },
  );
}

/** Init, last: the program takes our place. */
export function execute(draft: Draft): void {
  const { args, env } = processOf(draft);
  if (draft.input.container.init) {
    draft.init({ op: "initReaper" }, { pointer: "/process", section: "", origin: byDefault });
  }
  draft.init(
    { op: "execute", argv: args, env: env ?? [] },
    { pointer: "/process/args", section: "config.md#process" },
  );
}
