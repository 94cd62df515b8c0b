/**
 * The one error class of vitrine. `kind` maps once per door (cli, api) to an exit code, an HTTP status or a
 * gRPC code; `code` is stable and what tests assert; the message is lower case without a full stop.
 */

export type ErrorKind =
  | "not-found"
  | "exists"
  | "invalid"
  | "denied"
  | "unavailable"
  | "unsupported"
  | "corrupt"
  | "internal";

export interface ErrorDetails {
  /** Stable identifier in kebab-case, e.g. `blob-digest-mismatch`. Never renamed once released. */
  readonly code: string;
  /** What the operation was applied to: a reference, a path, a flag. */
  readonly operand?: string;
  /** What to do next; where possible a command to type. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export class VitrineError extends Error {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly operand: string | undefined;
  readonly hint: string | undefined;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "VitrineError";
    this.kind = kind;
    this.code = details.code;
    this.operand = details.operand;
    this.hint = details.hint;
  }
}

/** The errno name of a thrown system error (`ENOENT`, …), or undefined when it is not one. */
export function errnoOf(error: unknown): string | undefined {
  if (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    /^E[A-Z0-9]+$/.test(error.code)
  ) {
    return error.code;
  }
  return undefined;
}
