/** Text of unknown origin inside one of our messages. */

/** C0, DEL, C1, line separators, and the marks that turn the direction of text. */
const unsafe = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

/**
 * `text` in double quotes, at most `longest` characters of it, with everything a terminal could act on escaped as in
 * JSON: hostile input reaches error messages, and those reach terminals.
 */
export function quoted(text: string, longest = 120): string {
  const kept = text.length > longest ? text.slice(0, longest) : text;
  return `"${escapeControls(kept.replace(/["\\]/g, "\\$&"))}${kept === text ? '"' : '…"'}`;
}

/** `text` with everything a terminal could act on escaped, not quoted or shortened. */
export function escapeControls(text: string): string {
  return text.replace(unsafe, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
