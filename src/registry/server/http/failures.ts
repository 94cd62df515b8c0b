/** Which answer an error becomes. */
import { errnoOf, VitrineError } from "../../../base/mod.ts";
import { RegistryError } from "../errors.ts";

/** `undefined`: nobody is there to be answered. */
export function answerOf(error: unknown): RegistryError | undefined {
  if (error instanceof RegistryError) return error;
  if (error instanceof VitrineError) return ofVitrine(error);
  switch (errnoOf(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return new RegistryError(507, "UNKNOWN", {
        message: "the registry's disk is full: nothing was stored",
        cause: error,
      });
    case "EROFS":
    case "EACCES":
      return new RegistryError(500, "UNKNOWN", {
        message: "the registry cannot write to its storage",
        cause: error,
      });
    case "EMFILE":
    case "ENFILE":
      return new RegistryError(503, "TOOMANYREQUESTS", {
        message: "the registry has too many files open",
        headers: { "Retry-After": "1" },
        cause: error,
      });
    default:
      return new RegistryError(500, "UNKNOWN", { message: "internal error", cause: error });
  }
}

function ofVitrine(error: VitrineError): RegistryError | undefined {
  switch (error.code) {
    case "body-cut":
      return undefined;
    case "body-stalled":
      return new RegistryError(408, "UNKNOWN", { message: error.message, cause: error });
    case "upload-too-large":
      return new RegistryError(413, "SIZE_INVALID", { message: error.message, cause: error });
    default:
      return new RegistryError(error.kind === "unavailable" ? 503 : 500, "UNKNOWN", {
        message: error.message,
        cause: error,
      });
  }
}
