/** The filter of a bundle's own profile, compiled before the plan (config-linux.md#seccomp). */
import { type HostFacts, type SeccompFilter, seccompFilter } from "../../kernel/mod.ts";
import type { RuntimeConfig } from "../../oci/mod.ts";
import { unsupported } from "../draft.ts";

/** Error: `seccomp-architecture-unsupported`. */
export async function filterOf(
  { linux }: RuntimeConfig,
  { arch }: HostFacts,
): Promise<{ readonly seccompFilter?: SeccompFilter }> {
  if (linux?.seccomp === undefined) return {};
  if (arch === "other") {
    throw unsupported(
      "seccomp-architecture-unsupported",
      "/linux/seccomp",
      "there is no system call table for this machine",
    );
  }
  return { seccompFilter: await seccompFilter(linux.seccomp, arch) };
}
