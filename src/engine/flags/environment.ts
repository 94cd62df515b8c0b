/** -e, --env-file, --label and --label-file: `NAME=VALUE` from the command line and from files. */
import * as fs from "node:fs";
import { errnoOf, limits, VitrineError } from "../../base/mod.ts";
import type { Asked, EnvironmentChange } from "../options.ts";
import { badValue } from "./bad-flag.ts";

export type HostEnvironment = Readonly<Record<string, string | undefined>>;

/**
 * `NAME=VALUE`; `NAME` passes the caller's on and is nothing where the caller has none; `PREFIX*` passes all that
 * begin so.
 */
export function parseEnvironment(
  flag: string,
  text: string,
  host: HostEnvironment,
): readonly EnvironmentChange[] {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  if (name === "" || name.includes("\0") || text.includes("\0")) {
    throw badValue(flag, text, "expected NAME=VALUE");
  }
  if (equals >= 0) return [{ name, value: text.slice(equals + 1), flag }];
  if (name.endsWith("*")) {
    const prefix = name.slice(0, -1);
    return Object.entries(host).flatMap(([key, value]) =>
      key.startsWith(prefix) && value !== undefined ? [{ name: key, value, flag }] : [],
    );
  }
  const value = host[name];
  return value === undefined ? [] : [{ name, value, flag }];
}

/** Lines `NAME=VALUE` or `NAME`; empty lines and those that begin with # are skipped. Nothing is unquoted. */
export function readEnvironmentFile(path: string, host: HostEnvironment): readonly EnvironmentChange[] {
  const flag = "--env-file";
  return lines(flag, path).flatMap(({ text, number }) => {
    const name = text.slice(0, text.includes("=") ? text.indexOf("=") : undefined);
    if (name === "" || /\s/.test(name)) {
      throw badValue(
        flag,
        path,
        `line ${number} is not NAME=VALUE`,
        "names hold no spaces; values are taken as they stand",
      );
    }
    return parseEnvironment(flag, text, host);
  });
}

/** `NAME=VALUE` or `NAME` of --label; the flags win over the files, the later over the earlier. */
export function parseLabels(
  values: readonly string[],
  files: readonly string[],
): ReadonlyMap<string, Asked<string>> {
  const labels = new Map<string, Asked<string>>();
  for (const path of files) {
    for (const { text } of lines("--label-file", path)) addPair(labels, "--label-file", text);
  }
  for (const text of values) addPair(labels, "--label", text);
  return labels;
}

export function parsePairs(flag: string, values: readonly string[]): ReadonlyMap<string, string> {
  const pairs = new Map<string, Asked<string>>();
  for (const text of values) addPair(pairs, flag, text);
  return new Map([...pairs].map(([name, { value }]) => [name, value]));
}

function addPair(pairs: Map<string, Asked<string>>, flag: string, text: string): void {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  if (name.trim() === "") throw badValue(flag, text, "expected NAME=VALUE");
  pairs.set(name, { value: equals < 0 ? "" : text.slice(equals + 1), flag });
}

function lines(flag: string, path: string): readonly { readonly text: string; readonly number: number }[] {
  return readText(flag, path)
    .replace(/^\ufeff/, "")
    .split("\n")
    .map((line, index) => ({ text: line.replace(/\r$/, "").trimStart(), number: index + 1 }))
    .filter(({ text }) => text !== "" && !text.startsWith("#"));
}

function readText(flag: string, path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(path);
  } catch (cause) {
    throw new VitrineError("invalid", `cannot read ${path} of ${flag}: ${errnoOf(cause) ?? String(cause)}`, {
      code: "flag-file-unreadable",
      operand: flag,
      hint: "check the path and its permissions",
      cause,
    });
  }
  if (bytes.length > limits.environmentBytes) {
    throw badValue(flag, path, `the file is larger than ${limits.environmentBytes} bytes`);
  }
  return new TextDecoder().decode(bytes);
}
