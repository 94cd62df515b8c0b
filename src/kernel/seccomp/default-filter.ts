/**
 * Filters of the default profile, compiled when vitrine is built: compiling takes milliseconds at the start of a
 * process, and almost every container has one of these.
 */

import type { SeccompMachine } from "./abi.ts";
import { compiledFilters } from "./default-filters.gen.ts";
import type { SeccompFilter, SeccompProfile } from "./profile.ts";
import { profileDigest } from "./profile-digest.ts";

/**
 * As `compileSeccomp`, but a profile that equals the default one is not compiled again, and the compiler with its
 * tables not loaded; where it comes from (this process, a bundle's config.json) does not matter. Same bytes either way.
 */
export async function seccompFilter(
  profile: SeccompProfile,
  machine: SeccompMachine,
): Promise<SeccompFilter> {
  const known = defaultFilter(profile, machine);
  if (known !== undefined) return known;
  const { compileSeccomp } = await import("./compile.ts");
  return compileSeccomp(profile, machine);
}

/** Undefined where the profile is another. Told by its digest: to make the default one for comparison takes longer. */
function defaultFilter(profile: SeccompProfile, machine: SeccompMachine): SeccompFilter | undefined {
  const digest = profileDigest(profile);
  const found = compiledFilters[machine].find((one) => one.profile === digest);
  return found === undefined
    ? undefined
    : { program: new Uint8Array(Buffer.from(found.program, "base64")), flags: found.flags, warnings: [] };
}
