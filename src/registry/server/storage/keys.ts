/** Keys of documents. */
import { VitrineError } from "../../../base/mod.ts";

const nameGrammar = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/**
 * Every key is made by us from checked names; this is the second lock on the same door.
 * Error: `document-key-invalid` (internal).
 */
export function checkKey(key: string): string {
  for (const name of key.split("/")) {
    if (!nameGrammar.test(name)) {
      throw new VitrineError("internal", `not a document key: ${JSON.stringify(key)}`, {
        code: "document-key-invalid",
      });
    }
  }
  return key;
}
