/**
 * Names that come from archives and filesystems are bytes, not text. Inside vitrine they are strings in the
 * form of PEP 383: well-formed UTF-8 decodes as usual, every other byte B (0x80..0xff) becomes the lone surrogate
 * U+DC00+B. No UTF-8 input yields a surrogate, so `encodeText(decodeText(bytes))` is always `bytes` again.
 */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** The string of `bytes`; see above for bytes that are not UTF-8. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return decodeEscaped(bytes);
  }
}

/** The bytes of a string made by `decodeText`, or of any ordinary string as UTF-8. Other lone surrogates become U+FFFD. */
export function encodeText(text: string): Uint8Array {
  return text.isWellFormed() ? encoder.encode(text) : encodeEscaped(text);
}

/** Length in bytes of the UTF-8 sequence at `at`, 0 where there is none (Unicode, table 3-7). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const second = bytes[at + 1] ?? 0;
  const continues = (index: number): boolean => ((bytes[index] ?? 0) & 0xc0) === 0x80;
  if (first >= 0xc2 && first <= 0xdf) return continues(at + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const low = first === 0xe0 ? 0xa0 : 0x80;
    const high = first === 0xed ? 0x9f : 0xbf;
    return second >= low && second <= high && continues(at + 2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const low = first === 0xf0 ? 0x90 : 0x80;
    const high = first === 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high && continues(at + 2) && continues(at + 3) ? 4 : 0;
  }
  return 0;
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = "";
  let valid = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length === 0) {
      text += strict.decode(bytes.subarray(valid, at)) + String.fromCharCode(0xdc00 + bytes[at]!);
      at += 1;
      valid = at;
    } else {
      at += length;
    }
  }
  return text + strict.decode(bytes.subarray(valid));
}

function encodeEscaped(text: string): Uint8Array {
  const out: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0)!;
    if (point >= 0xdc80 && point <= 0xdcff) out.push(point - 0xdc00);
    else out.push(...encoder.encode(character));
  }
  return Uint8Array.from(out);
}
