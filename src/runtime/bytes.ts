/** Text for control files, as bytes. */
import { encodeText } from "../base/mod.ts";

/** UTF-8. Control files take ASCII nearly always, and a loop costs less than an encoder's first calls at start-up. */
export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) {
      return encodeText(text);
    }
    bytes[at] = code;
  }
  return bytes;
}
