/** Tags: choosing by pattern, and the order of versions. */
import { VitrineError } from "../../base/mod.ts";

/** `*`, `?` and `[…]` as in a shell; a text between slashes is a regular expression. Error: `pattern-invalid`. */
export function tagPattern(pattern: string): RegExp {
  const expression = /^\/(.*)\/$/s.exec(pattern);
  const source =
    expression?.[1] ??
    `^${pattern.replace(/\[!?[^\]]+\]|[\s\S]/g, (part) => {
      if (part === "*") return ".*";
      if (part === "?") return ".";
      if (part.length > 1) return part.replace(/^\[!/, "[^").replace(/\\/g, "\\\\");
      return part.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
    })}$`;
  try {
    return new RegExp(source);
  } catch (cause) {
    throw new VitrineError("invalid", `invalid pattern ${JSON.stringify(pattern)}`, {
      code: "pattern-invalid",
      operand: pattern,
      cause,
    });
  }
}

interface Version {
  readonly numbers: readonly number[];
  /** What follows the numbers: `-rc.1`, `-alpine`. */
  readonly rest: string;
}

/**
 * Compares tags as versions (semver.org's order where they are such): `v1.9 < v1.10-rc1 < v1.10 < v1.10-alpine`? No suffix
 * can be told from a pre-release by its name alone, so a suffix comes before the plain version when it begins with a word that
 * means one (alpha, beta, rc, pre, dev), else after it. What is no version comes first, by its letters.
 */
export function compareTags(left: string, right: string): number {
  const [one, other] = [versionOf(left), versionOf(right)];
  if (one === undefined || other === undefined) {
    if (one === undefined && other === undefined) return compareText(left, right);
    return one === undefined ? -1 : 1;
  }
  const length = Math.max(one.numbers.length, other.numbers.length);
  for (let at = 0; at < length; at++) {
    const difference = (one.numbers[at] ?? -1) - (other.numbers[at] ?? -1);
    if (difference !== 0) return difference;
  }
  const stage = stageOf(one.rest) - stageOf(other.rest);
  return stage !== 0 ? stage : compareParts(one.rest, other.rest) || compareText(left, right);
}

function versionOf(tag: string): Version | undefined {
  const match = /^v?(\d{1,9}(?:\.\d{1,9})*)(.*)$/s.exec(tag);
  return match === null ? undefined : { numbers: match[1]!.split(".").map(Number), rest: match[2]! };
}

function stageOf(rest: string): number {
  if (rest === "" || rest.startsWith("+")) return 0;
  return /^[-._]?(?:alpha|beta|rc|pre|preview|dev|snapshot|nightly|a|b|m)(?![a-z])/i.test(rest) ? -1 : 1;
}

/** Numbers in it as numbers: `rc.2` before `rc.10`. */
function compareParts(left: string, right: string): number {
  const [one, other] = [left.match(/\d+|\D+/g) ?? [], right.match(/\d+|\D+/g) ?? []];
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    const [a, b] = [one[at], other[at]];
    if (a === undefined || b === undefined) return a === undefined ? -1 : 1;
    const numeric = /^\d/.test(a) && /^\d/.test(b);
    const difference = numeric ? Number(a) - Number(b) : compareText(a, b);
    if (difference !== 0) return difference;
  }
  return 0;
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
