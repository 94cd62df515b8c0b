/** The filter of a bundle's own profile, compiled before the plan (config-linux.md#seccomp). */
import { type HostFacts, type SeccompFilter, seccompFilter } from "../../kernel/mod.ts";
import type { RuntimeConfig } from "../../oci/mod.ts";
import { askedByAnnotation } from "../annotations.ts";
import { unsupported } from "../draft.ts";

/** Error: `seccomp-architecture-unsupported`. */
export async function filterOf(
  config: RuntimeConfig,
  { arch }: HostFacts,
): Promise<{ readonly seccompFilter?: SeccompFilter }> {
  const { linux } = config;
  if (linux?.seccomp === undefined) return {};
  if (arch === "other") {
    throw unsupported(
      "seccomp-architecture-unsupported",
      "/linux/seccomp",
      "there is no system call table for this machine",
    );
  }
  const filter = await seccompFilter(linux.seccomp, arch);
  const unknown = filter.unknown ?? [];
  if (unknown.length > 0 && askedByAnnotation(config).knownCallsOnly) {
    throw unsupported(
      "seccomp-call-unknown",
      "/linux/seccomp/syscalls",
      `no machine has the system call ${unknown.join(", ")}`,
      "leave it out, or the annotation run.oci.seccomp_fail_unknown_syscall",
    );
  }
  return { seccompFilter: filter };
}
