/** Go template text → tokens (text/template "Actions": delimiters, trim markers, comments). */
import { templateError } from "./problem.ts";

export type Token =
  | { readonly kind: "text"; readonly text: string; readonly at: number }
  | { readonly kind: "open" | "close" | "pipe" | "left" | "right" | "comma" | "space"; readonly at: number }
  | { readonly kind: "declare" | "assign"; readonly at: number }
  /** `.Name`; a lone dot has the name `""`. */
  | { readonly kind: "field"; readonly name: string; readonly at: number }
  /** `$name`; the root is `""`. */
  | { readonly kind: "variable"; readonly name: string; readonly at: number }
  | { readonly kind: "word"; readonly word: string; readonly at: number }
  | { readonly kind: "string"; readonly value: string; readonly at: number }
  | { readonly kind: "number"; readonly value: number; readonly at: number };

/** Throws `template-syntax`. */
export function lex(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  while (at < source.length) {
    const open = source.indexOf("{{", at);
    let text = source.slice(at, open === -1 ? source.length : open);
    if (trimNext) text = text.trimStart();
    trimNext = false;
    const trimsBefore = open !== -1 && source[open + 2] === "-" && isSpace(source[open + 3]);
    if (trimsBefore) text = text.trimEnd();
    if (text !== "") tokens.push({ kind: "text", text, at });
    if (open === -1) break;
    const start = open + (trimsBefore ? 4 : 2);
    const comment = /^\s*\/\*/.exec(source.slice(start));
    if (comment !== null) {
      const end = source.indexOf("*/", start + comment[0].length);
      const close = end === -1 ? null : /^(\s+-)?}}/.exec(source.slice(end + 2));
      if (end === -1 || close === null) throw templateError(source, open, "unclosed comment");
      trimNext = close[1] !== undefined;
      at = end + 2 + close[0].length;
      continue;
    }
    tokens.push({ kind: "open", at: open });
    const action = lexAction(source, start, tokens);
    trimNext = action.trims;
    at = action.end;
  }
  return tokens;
}

function isSpace(character: string | undefined): boolean {
  return character !== undefined && /\s/.test(character);
}

const punctuation: Readonly<Record<string, "pipe" | "left" | "right" | "comma" | "assign">> = {
  "|": "pipe",
  "(": "left",
  ")": "right",
  ",": "comma",
  "=": "assign",
};

/** The inside of one `{{ … }}` from `start`; pushes its tokens and `close`. */
function lexAction(source: string, start: number, tokens: Token[]): { end: number; trims: boolean } {
  let at = start;
  while (at < source.length) {
    const rest = source.slice(at);
    const close = /^(\s-)?}}/.exec(rest);
    if (close !== null) {
      tokens.push({ kind: "close", at });
      return { end: at + close[0].length, trims: close[1] !== undefined };
    }
    const space = /^\s+/.exec(rest);
    if (space !== null) {
      // A space before ` -}}` belongs to the trim marker.
      const length = /^\s+-}}/.test(rest) ? space[0].length - 1 : space[0].length;
      if (length > 0) tokens.push({ kind: "space", at });
      at += length;
      continue;
    }
    const character = rest[0]!;
    if (rest.startsWith(":=")) {
      tokens.push({ kind: "declare", at });
      at += 2;
    } else if (punctuation[character] !== undefined) {
      tokens.push({ kind: punctuation[character], at });
      at += 1;
    } else if (character === '"' || character === "`" || character === "'") {
      const literal = stringLiteral(source, at, rest);
      tokens.push({ kind: character === "'" ? "number" : "string", value: literal.value, at } as Token);
      at += literal.length;
    } else {
      at += lexOperand(source, at, rest, tokens);
    }
  }
  throw templateError(source, start, "unclosed action: '}}' is missing");
}

/** A number, a field, a variable or a word; returns its length. */
function lexOperand(source: string, at: number, rest: string, tokens: Token[]): number {
  const number = /^[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)/.exec(rest);
  if (number !== null) {
    tokens.push({ kind: "number", value: Number(number[0]), at });
    return number[0].length;
  }
  const name = /^[.$]?(?:[\p{L}_][\p{L}\p{N}_]*)?/u.exec(rest)![0];
  if (name === "") throw templateError(source, at, `unexpected ${JSON.stringify(rest[0])}`);
  if (name.startsWith(".")) tokens.push({ kind: "field", name: name.slice(1), at });
  else if (name.startsWith("$")) tokens.push({ kind: "variable", name: name.slice(1), at });
  else tokens.push({ kind: "word", word: name, at });
  return name.length;
}

const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  '"': '"',
  "'": "'",
};

/** A quoted, raw or character literal at the beginning of `rest`; a character's value is its code point. */
function stringLiteral(source: string, at: number, rest: string): { value: string | number; length: number } {
  if (rest[0] === "`") {
    const end = rest.indexOf("`", 1);
    if (end === -1) throw templateError(source, at, "unclosed raw string");
    return { value: rest.slice(1, end), length: end + 1 };
  }
  const literal = /^"((?:[^"\\\n]|\\.)*)"|^'((?:[^'\\\n]|\\.)+)'/.exec(rest);
  if (literal === null) throw templateError(source, at, "unclosed string");
  const body = literal[1] ?? literal[2]!;
  const value = body.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/g,
    (_all, byte?: string, short?: string, long?: string, simple?: string) => {
      const hex = byte ?? short ?? long;
      if (hex !== undefined) {
        const point = Number.parseInt(hex, 16);
        if (point > 0x10ffff) throw templateError(source, at, "no such character");
        return String.fromCodePoint(point);
      }
      const plain = escapes[simple!];
      if (plain === undefined) throw templateError(source, at, `unknown escape \\${simple}`);
      return plain;
    },
  );
  return { value: rest[0] === "'" ? value.codePointAt(0)! : value, length: literal[0].length };
}
