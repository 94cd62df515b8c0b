/**
 * What annotations ask of the runtime: those of crun that engines pass on for their users. An annotation that is not
 * known is ignored (config.md#annotations).
 */
import type { RuntimeConfig } from "../oci/mod.ts";

export interface AskedByAnnotation {
  /** `run.oci.keep_original_groups`: podman's `--group-add keep-groups`. The caller's supplementary groups stay. */
  readonly keepGroups: boolean;
  /** `run.oci.hooks.stdout`: a file of the host that gets what hooks print; empty: none. */
  readonly hookOutput: string;
  /** `run.oci.hooks.stderr` */
  readonly hookErrors: string;
  /** `run.oci.seccomp_fail_unknown_syscall`: an error in place of leaving the call out. */
  readonly knownCallsOnly: boolean;
  /** `run.oci.mount_context_type`: which option of mount(8) `linux.mountLabel` is. */
  readonly labelOption: string;
}

const labelOptions = ["context", "fscontext", "defcontext", "rootcontext"];

export function askedByAnnotation({ annotations }: RuntimeConfig): AskedByAnnotation {
  const value = (name: string) => annotations?.[`run.oci.${name}`] ?? "";
  const option = value("mount_context_type");
  return {
    keepGroups: isOn(value("keep_original_groups")),
    hookOutput: hostFile(value("hooks.stdout")),
    hookErrors: hostFile(value("hooks.stderr")),
    knownCallsOnly: isOn(value("seccomp_fail_unknown_syscall")),
    labelOption: labelOptions.includes(option) ? option : "context",
  };
}

/** As crun: there, and not 0. */
function isOn(value: string): boolean {
  return value !== "" && value !== "0";
}

function hostFile(value: string): string {
  return value.startsWith("/") ? value : "";
}
