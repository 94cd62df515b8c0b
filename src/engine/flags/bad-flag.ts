import { quoted, VitrineError } from "../../base/mod.ts";

/** The value of a flag cannot be used: kind invalid, code `invalid-flag-value`, the flag as operand. */
export function badValue(flag: string, value: string, why: string, hint?: string): VitrineError {
  return new VitrineError("invalid", `invalid value ${quoted(value)} for ${flag}: ${why}`, {
    code: "invalid-flag-value",
    operand: flag,
    hint: hint ?? "see 'vitrine run --help'",
  });
}

/** Two flags, or a flag and the machine, exclude each other: code `flag-conflict`. */
export function conflict(flag: string, message: string, hint: string): VitrineError {
  return new VitrineError("invalid", message, { code: "flag-conflict", operand: flag, hint });
}

/** Something docker or podman have and this release does not: code `flag-unsupported`. */
export function unsupportedFlag(flag: string, message: string, hint: string): VitrineError {
  return new VitrineError("unsupported", message, { code: "flag-unsupported", operand: flag, hint });
}
