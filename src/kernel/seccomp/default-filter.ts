/**
 * Filters of the default profile, compiled when vitrine is built: compiling takes milliseconds at the start of a
 * process, and almost every container has one of these.
 */

import type { SeccompMachine } from "./abi.ts";
import { compiledFilters } from "./default-filters.gen.ts";
import { compiledCapabilities, compiledKernel, defaultProfile } from "./default-profile.ts";
import { resolveProfile } from "./docker-format.ts";
import type { ResolvedProfile, ResolvedRule, SeccompFilter, SeccompProfile } from "./profile.ts";

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

/** Undefined where the profile is another. */
function defaultFilter(profile: SeccompProfile, machine: SeccompMachine): SeccompFilter | undefined {
  for (const [index, caps] of compiledCapabilities.entries()) {
    const candidate = resolveProfile(defaultProfile(), { caps, machine, kernel: compiledKernel });
    if (!equal(profile, candidate)) continue;
    const { program, flags } = compiledFilters[machine][index]!;
    return { program: new Uint8Array(Buffer.from(program, "base64")), flags, warnings: [] };
  }
  return undefined;
}

function equal(profile: SeccompProfile, candidate: ResolvedProfile): boolean {
  const rules = profile.syscalls ?? [];
  const others = candidate.syscalls ?? [];
  if (
    rules.length !== others.length ||
    profile.defaultAction !== candidate.defaultAction ||
    profile.defaultErrnoRet !== candidate.defaultErrnoRet ||
    profile.flags !== undefined ||
    profile.listenerPath !== undefined ||
    !sameWords(profile.architectures ?? [], candidate.architectures ?? [])
  ) {
    return false;
  }
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index]!;
    const other = others[index]!;
    if (rule.action !== other.action || rule.errnoRet !== other.errnoRet) return false;
    if (!sameArguments(rule.args, other.args) || !sameWords(rule.names, other.names)) return false;
  }
  return true;
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

function sameArguments(
  a: NonNullable<SeccompProfile["syscalls"]>[number]["args"],
  b: ResolvedRule["args"],
): boolean {
  if (a === b) return true;
  if ((a?.length ?? 0) !== (b?.length ?? 0)) return false;
  for (let index = 0; index < (a?.length ?? 0); index++) {
    const mine = a![index]!;
    const other = b![index]!;
    if (mine.index !== other.index || mine.op !== other.op || BigInt(mine.value) !== other.value)
      return false;
    if (BigInt(mine.valueTwo ?? 0) !== (other.valueTwo ?? 0n)) return false;
  }
  return true;
}
