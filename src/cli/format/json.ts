/**
 * JSON for people and programs: what a terminal could act on is escaped, which changes no value. (JSON.stringify
 * leaves DEL, C1 controls, bidirectional marks and line separators as they are.)
 */
const unsafe = /[\x7f-\x9f\u2028\u2029]|\p{Cf}/gu;

export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, bigints, indent) ?? "null";
  return text.replace(unsafe, (character) =>
    Array.from({ length: character.length }, (_, unit) => escapeUnit(character.charCodeAt(unit))).join(""),
  );
}

function escapeUnit(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, "0")}`;
}

function bigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}
