/** An answer that is an error of the protocol: thrown by handlers, sent by the server. */
import { type ErrorCode, errorCodes } from "../protocol/error-codes.ts";

export interface RegistryErrorDetails {
  /** For people; default the spec's description of the code. */
  readonly message?: string;
  readonly detail?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

export class RegistryError extends Error {
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: unknown;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ErrorCode, details: RegistryErrorDetails = {}) {
    super(
      details.message ?? errorCodes[code],
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.name = "RegistryError";
    this.status = status;
    this.code = code;
    this.detail = details.detail;
    this.headers = details.headers ?? {};
  }
}
