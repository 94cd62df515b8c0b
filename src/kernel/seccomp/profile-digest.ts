/** What tells seccomp profiles apart. */
import { hashHex } from "../../base/mod.ts";
import type { SeccompProfile } from "./profile.ts";

/** SHA-256 of a text that only profiles of the same filter have; undefined where flags or a listener are asked for. */
export function profileDigest(profile: SeccompProfile): string | undefined {
  const { defaultAction, defaultErrnoRet, architectures, flags, listenerPath, syscalls = [] } = profile;
  if (flags !== undefined || listenerPath !== undefined) return undefined;
  const rules: unknown[] = [];
  for (const { names, action, errnoRet, args } of syscalls) {
    // Values may be beyond what JSON has.
    const values = args?.map((one) => [one.index, String(one.value), String(one.valueTwo ?? 0), one.op]);
    rules.push([names, action, errnoRet ?? null, values ?? []]);
  }
  const text = JSON.stringify([defaultAction, defaultErrnoRet ?? null, architectures ?? [], rules]);
  return hashHex("sha256", Buffer.from(text));
}
