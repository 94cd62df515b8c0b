/** no_new_privs, seccomp, AppArmor, SELinux, masked and read-only paths. */
import { VitrineError } from "../../base/mod.ts";
import type { LinuxSeccomp, Process } from "../../oci/mod.ts";
import { findParser } from "../apparmor.ts";
import { defaults } from "../defaults.ts";
import { conflict } from "../flags/bad-flag.ts";
import type { SpecInput } from "./input.ts";
import { byDefault, byFlag, byHost, type Notebook, type Sourced, sourced } from "./notebook.ts";

export function noNewPrivileges(input: SpecInput, notebook: Notebook): boolean {
  const asked = input.options.security.noNewPrivileges;
  return notebook.value(
    "/process/noNewPrivileges",
    asked === undefined
      ? sourced(defaults.noNewPrivileges.value, byDefault)
      : sourced(asked, byFlag("--security-opt no-new-privileges")),
  );
}

export interface PathsPart {
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
}

/** The defaults less what --security-opt unmask= names, and what mask= adds; neither with --privileged. */
export function paths(input: SpecInput, notebook: Notebook): PathsPart {
  const { security, privileged } = input.options;
  const kept = (path: string): boolean =>
    !privileged && !security.unmask.some((pattern) => pattern === "ALL" || matches(pattern, path));
  const thermal = input.host.thermalThrottlePaths;
  const masked: Sourced<string>[] = [
    ...defaults.maskedPaths.value.filter(kept).map((path) => sourced(path, byDefault)),
    ...thermal.filter(kept).map((path) => sourced(path, byHost("a CPU of this machine"))),
    ...security.mask.map((path) => sourced(path, byFlag("--security-opt mask"))),
  ];
  const readonly = defaults.readonlyPaths.value.filter(kept).map((path) => sourced(path, byDefault));
  return {
    maskedPaths: notebook.list("/linux/maskedPaths", masked),
    readonlyPaths: notebook.list("/linux/readonlyPaths", readonly),
  };
}

/** Go's path.Match: `*` and `?` stop at a slash, `[…]` is a class. */
function matches(pattern: string, path: string): boolean {
  const source = pattern.replace(
    /\[(\^?)([^\]/]+)\]|[.+^${}()|[\]\\*?]/g,
    (part, not?: string, set?: string) => {
      if (part === "*") return "[^/]*";
      if (part === "?") return "[^/]";
      if (set !== undefined) return `[${not ?? ""}${set.replaceAll("\\", "\\\\")}]`;
      return `\\${part}`;
    },
  );
  return new RegExp(`^${source}$`).test(path);
}

export type SeccompPart =
  /** The default profile for these capabilities: the runtime has it compiled. */
  { readonly profile: LinuxSeccomp | undefined; readonly isDefault: boolean };

/** Profiles come from outside: the default one by the capabilities, a file by its path. */
export interface SeccompSources {
  readonly standard: (capabilities: readonly string[]) => LinuxSeccomp;
  /** Errors: `seccomp-profile-invalid`, `seccomp-profile-unreadable`. */
  readonly file: (path: string, capabilities: readonly string[]) => LinuxSeccomp;
}

export function seccomp(
  input: SpecInput,
  bounding: readonly string[],
  sources: SeccompSources,
  notebook: Notebook,
): SeccompPart {
  const { security, privileged } = input.options;
  const choice = security.seccomp ?? { kind: privileged ? "unconfined" : "default" };
  const flag = byFlag("--security-opt seccomp");
  if (choice.kind === "unconfined") {
    notebook.note("/linux/seccomp", security.seccomp === undefined ? byFlag("--privileged") : flag);
    return { profile: undefined, isDefault: false };
  }
  if (!input.host.seccomp.available) {
    if (choice.kind === "file") {
      throw new VitrineError("unavailable", "this kernel has no seccomp filters", {
        code: "seccomp-unavailable",
        operand: "--security-opt",
        hint: "use --security-opt seccomp=unconfined",
      });
    }
    notebook.warn("this kernel has no seccomp filters: system calls are not restricted");
    notebook.note("/linux/seccomp", byHost("the kernel has no seccomp filters"));
    return { profile: undefined, isDefault: false };
  }
  if (choice.kind === "file") {
    notebook.note("/linux/seccomp", flag);
    return { profile: sources.file(choice.path, bounding), isDefault: false };
  }
  notebook.note("/linux/seccomp", security.seccomp === undefined ? byDefault : flag);
  return { profile: sources.standard(bounding), isDefault: true };
}

/** process.apparmorProfile and process.selinuxLabel. Errors: `flag-conflict`. */
export function label(
  input: SpecInput,
  notebook: Notebook,
): Pick<Process, "apparmorProfile" | "selinuxLabel"> {
  return { ...apparmor(input, notebook), ...selinux(input, notebook) };
}

function apparmor(input: SpecInput, notebook: Notebook): Pick<Process, "apparmorProfile"> {
  const { security, privileged } = input.options;
  const pointer = "/process/apparmorProfile";
  const enabled = input.host.securityModules.apparmor;
  const asked = security.apparmor;
  if (asked !== undefined && asked !== "unconfined" && !enabled) {
    throw conflict("--security-opt", "this machine has no AppArmor", "leave --security-opt apparmor out");
  }
  if (!enabled) {
    notebook.note(pointer, byHost("this machine has no AppArmor"));
    return {};
  }
  if (asked !== undefined) {
    return { apparmorProfile: notebook.value(pointer, sourced(asked, byFlag("--security-opt apparmor"))) };
  }
  const { apparmorProfiles: loaded } = input.host.securityModules;
  if (loaded === undefined) {
    notebook.note(pointer, byHost("securityfs is not mounted: AppArmor's profiles cannot be seen"));
    return {};
  }
  if (privileged) {
    return { apparmorProfile: notebook.value(pointer, sourced("unconfined", byFlag("--privileged"))) };
  }
  const profile = defaults.apparmor.value;
  // Where root has the parser, the profile is loaded before the container starts.
  const root = input.host.identity.euid === 0;
  if (!loaded.includes(profile) && !(root && findParser(input.hostExists) !== undefined)) {
    const lacking = root ? "there is no apparmor_parser" : "only root can load it";
    notebook.note(pointer, byHost(`the AppArmor profile ${profile} is not loaded, and ${lacking}`));
    return {};
  }
  return { apparmorProfile: notebook.value(pointer, sourced(profile, byDefault)) };
}

function selinux(input: SpecInput, notebook: Notebook): Pick<Process, "selinuxLabel"> {
  const { label: asked } = input.options.security;
  const pointer = "/process/selinuxLabel";
  if (!input.host.securityModules.selinux) {
    notebook.note(pointer, byHost("this machine has no SELinux"));
    return {};
  }
  if (asked.includes("disable") || input.options.privileged) {
    notebook.note(pointer, byFlag(asked.includes("disable") ? "--security-opt label" : "--privileged"));
    return {};
  }
  const part = (name: string, other: string): string =>
    asked.findLast((entry) => entry.startsWith(`${name}:`))?.slice(name.length + 1) ?? other;
  // A label needs a policy that knows container_t; without one asked for, the caller's context is inherited.
  if (asked.length === 0) {
    notebook.note(pointer, byDefault);
    return {};
  }
  const context = [
    part("user", "system_u"),
    part("role", "system_r"),
    part("type", "container_t"),
    part("level", "s0"),
  ].join(":");
  return { selinuxLabel: notebook.value(pointer, sourced(context, byFlag("--security-opt label"))) };
}
