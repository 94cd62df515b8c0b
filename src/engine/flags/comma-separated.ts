/**
 * One record of CSV (RFC 4180), which is what docker and podman read in --mount: a field in double quotes may hold
 * commas, and `""` in it is a quote.
 */
import { badValue } from "./bad-flag.ts";

export function splitRecord(flag: string, text: string): readonly string[] {
  const fields: string[] = [];
  let at = 0;
  while (true) {
    if (text[at] === '"') {
      let field = "";
      at += 1;
      while (true) {
        const end = text.indexOf('"', at);
        if (end < 0) throw badValue(flag, text, "a quote is not closed");
        field += text.slice(at, end);
        at = end + 1;
        if (text[at] !== '"') break;
        field += '"';
        at += 1;
      }
      if (at < text.length && text[at] !== ",") throw badValue(flag, text, "text follows a closing quote");
      fields.push(field);
    } else {
      const end = text.indexOf(",", at);
      fields.push(text.slice(at, end < 0 ? undefined : end));
      at = end < 0 ? text.length : end;
    }
    if (at >= text.length) return fields;
    at += 1;
  }
}
