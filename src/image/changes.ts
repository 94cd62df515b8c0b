/** `--change`: the instructions of a Containerfile that only edit the config (import, commit). */
import { quoted, VitrineError } from "../base/mod.ts";
import type { ExecutionConfig, Healthcheck } from "../oci/mod.ts";

type Instruction = (config: ExecutionConfig, text: string) => ExecutionConfig;

const instructions: Readonly<Record<string, Instruction>> = {
  CMD: (config, text) => ({ ...config, Cmd: command(config, text) }),
  ENTRYPOINT: (config, text) => ({ ...config, Entrypoint: command(config, text) }),
  ENV: (config, text) => ({ ...config, Env: withEnvironment(config.Env ?? [], pairs("ENV", text)) }),
  EXPOSE: (config, text) => ({
    ...config,
    ExposedPorts: sortedSet(config.ExposedPorts, words(text).flatMap(exposedPorts)),
  }),
  LABEL: (config, text) => ({
    ...config,
    Labels: { ...config.Labels, ...Object.fromEntries(pairs("LABEL", text)) },
  }),
  USER: (config, text) => ({ ...config, User: single("USER", text) }),
  VOLUME: (config, text) => ({
    ...config,
    Volumes: sortedSet(config.Volumes, (jsonStrings(text) ?? words(text)).map(volume)),
  }),
  WORKDIR: (config, text) => ({ ...config, WorkingDir: workingDirectory(config, single("WORKDIR", text)) }),
  STOPSIGNAL: (config, text) => ({ ...config, StopSignal: single("STOPSIGNAL", text) }),
  HEALTHCHECK: (config, text) => ({ ...config, Healthcheck: healthcheck(text) }),
  ONBUILD: (config, text) => ({ ...config, OnBuild: [...(config.OnBuild ?? []), text] }),
  SHELL: (config, text) => ({ ...config, Shell: requireJson("SHELL", text) }),
};

/**
 * Applies one instruction, `CMD ["sh"]` or `CMD=["sh"]`. Errors: `change-unknown-instruction`, `change-invalid`.
 */
export function applyChange(config: ExecutionConfig, change: string): ExecutionConfig {
  const match = /^\s*([A-Za-z]+)(?:\s*=\s*|\s+)([\s\S]*?)\s*$/.exec(change);
  const name = match?.[1]?.toUpperCase() ?? "";
  const instruction = Object.hasOwn(instructions, name) ? instructions[name] : undefined;
  if (instruction === undefined) {
    throw new VitrineError(
      "invalid",
      `change ${quoted(change)} begins with no instruction that edits a config`,
      {
        code: "change-unknown-instruction",
        operand: change,
        hint: `known are ${Object.keys(instructions).join(", ")}; for example --change 'CMD ["sh"]'`,
      },
    );
  }
  const text = match![2]!;
  if (text === "" || text.includes("\0")) throw invalid(name, text, "its value is missing");
  return instruction(config, text);
}

function invalid(name: string, text: string, problem: string): VitrineError {
  return new VitrineError("invalid", `change ${name} ${quoted(text)}: ${problem}`, {
    code: "change-invalid",
    operand: `${name} ${text}`,
  });
}

/** The exec form is a JSON array; anything else goes to the shell. */
function command(config: ExecutionConfig, text: string): readonly string[] {
  return jsonStrings(text) ?? [...(config.Shell ?? ["/bin/sh", "-c"]), text];
}

function jsonStrings(text: string): readonly string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
  } catch {
    return undefined;
  }
}

function requireJson(name: string, text: string): readonly string[] {
  const list = jsonStrings(text);
  if (list === undefined || list.length === 0)
    throw invalid(name, text, 'it takes a JSON array such as ["sh", "-c"]');
  return list;
}

/** Words as a shell splits them, with quotes and backslashes, and nothing expanded. */
function words(text: string): readonly string[] {
  const found: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (quote !== "" && character === quote) quote = "";
    else if (quote === "" && (character === '"' || character === "'")) {
      quote = character;
      word ??= "";
    } else if (character === "\\" && quote !== "'" && at + 1 < text.length) {
      at += 1;
      word = (word ?? "") + text[at]!;
    } else if (quote === "" && /\s/.test(character)) {
      if (word !== undefined) found.push(word);
      word = undefined;
    } else word = (word ?? "") + character;
  }
  if (quote !== "") throw invalid("", text, "a quote is not closed");
  return word === undefined ? found : [...found, word];
}

/** `a=1 b="2 3"`, or the old form `a 1 2`. */
function pairs(name: string, text: string): readonly (readonly [string, string])[] {
  const list = words(text);
  if (!list[0]!.includes("=")) {
    const match = /^(\S+)\s+([\s\S]+)$/.exec(text);
    if (match === null) throw invalid(name, text, "it takes NAME=VALUE");
    return [[match[1]!, match[2]!]];
  }
  return list.map((pair) => {
    const equals = pair.indexOf("=");
    if (equals < 1) throw invalid(name, text, `${quoted(pair)} is not NAME=VALUE`);
    return [pair.slice(0, equals), pair.slice(equals + 1)];
  });
}

function withEnvironment(
  environment: readonly string[],
  added: readonly (readonly [string, string])[],
): readonly string[] {
  const result = [...environment];
  for (const [name, value] of added) {
    const at = result.findIndex((entry) => entry.startsWith(`${name}=`));
    if (at === -1) result.push(`${name}=${value}`);
    else result[at] = `${name}=${value}`;
  }
  return result;
}

const mostPorts = 65_535;

function exposedPorts(text: string): readonly string[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last > mostPorts || last < first) {
    throw invalid("EXPOSE", text, "a port is NUMBER[-NUMBER][/tcp|/udp|/sctp]");
  }
  const protocol = (match[3] ?? "tcp").toLowerCase();
  return Array.from({ length: last - first + 1 }, (_, offset) => `${first + offset}/${protocol}`);
}

function volume(text: string): string {
  if (text === "") throw invalid("VOLUME", text, "a volume is a path in the container");
  return text;
}

function sortedSet(before: readonly string[] | undefined, added: readonly string[]): readonly string[] {
  return [...new Set([...(before ?? []), ...added])].sort();
}

function single(name: string, text: string): string {
  const list = words(text);
  if (list.length !== 1 || list[0] === "") throw invalid(name, text, "it takes one value");
  return list[0]!;
}

function workingDirectory(config: ExecutionConfig, text: string): string {
  const full = text.startsWith("/") ? text : `${config.WorkingDir || "/"}/${text}`;
  const parts: string[] = [];
  for (const part of full.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

const nanoseconds: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Go's durations: `1m30s`, `500ms`. */
function duration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) {
    throw invalid("HEALTHCHECK", text, "a duration is a number and a unit, such as 30s");
  }
  return parts.reduce((sum, [, value, unit]) => sum + Math.round(Number(value) * nanoseconds[unit!]!), 0);
}

/** `NONE`, or `[--interval=D] [--timeout=D] [--start-period=D] [--start-interval=D] [--retries=N] CMD …`. */
function healthcheck(text: string): Healthcheck {
  let rest = text;
  let options: Healthcheck = {};
  for (;;) {
    const match = /^--([a-z-]+)=(\S+)\s+/.exec(rest);
    if (match === null) break;
    options = { ...options, ...healthOption(text, match[1]!, match[2]!) };
    rest = rest.slice(match[0].length);
  }
  if (/^none$/i.test(rest)) return { Test: ["NONE"] };
  const match = /^cmd\s+([\s\S]+)$/i.exec(rest);
  if (match === null) throw invalid("HEALTHCHECK", text, "it takes NONE or [OPTIONS] CMD COMMAND");
  const exec = jsonStrings(match[1]!);
  return { Test: exec === undefined ? ["CMD-SHELL", match[1]!] : ["CMD", ...exec], ...options };
}

function healthOption(text: string, name: string, value: string): Healthcheck {
  switch (name) {
    case "interval":
      return { Interval: duration(value) };
    case "timeout":
      return { Timeout: duration(value) };
    case "start-period":
      return { StartPeriod: duration(value) };
    case "start-interval":
      return { StartInterval: duration(value) };
    case "retries":
      if (!/^\d{1,6}$/.test(value)) throw invalid("HEALTHCHECK", text, "--retries is a number");
      return { Retries: Number(value) };
    default:
      throw invalid("HEALTHCHECK", text, `there is no option --${name}`);
  }
}
