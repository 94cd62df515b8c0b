import { printable } from "./output.ts";

/**
 * `text` in double quotes, at most `longest` characters of it, safe for a terminal: hostile input reaches error
 * messages, and those reach terminals.
 */
export function quoted(text: string, longest = 120): string {
  const kept = text.length > longest ? text.slice(0, longest) : text;
  return `"${printable(kept.replace(/["\\]/g, "\\$&"))}${kept === text ? '"' : '…"'}`;
}
