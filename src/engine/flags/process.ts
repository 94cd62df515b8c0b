/** Values of the flags about the process: --ulimit, --stop-signal, --entrypoint, --sysctl, --platform. */
import * as os from "node:os";
import * as path from "node:path";
import { type Platform, type Rlimit, type RlimitType, rlimitTypes, sysctlPath } from "../../oci/mod.ts";
import { badValue } from "./bad-flag.ts";

/** RLIM_INFINITY */
const unlimited = (1n << 64n) - 1n;

/** `NAME=SOFT[:HARD]`, -1 or `unlimited` for no limit; `host` alone stands for the caller's own limits. */
export function parseUlimit(text: string): Rlimit | "host" {
  const flag = "--ulimit";
  if (text === "host") return "host";
  const match = /^([a-z]+)=([^:]+)(?::([^:]+))?$/i.exec(text);
  if (match === null) {
    throw badValue(flag, text, "expected NAME=SOFT[:HARD]", "for example --ulimit nofile=1024:4096");
  }
  const type = `RLIMIT_${match[1]!.toUpperCase()}`;
  if (!(rlimitTypes as readonly string[]).includes(type)) {
    const names = rlimitTypes.map((name) => name.slice("RLIMIT_".length).toLowerCase());
    throw badValue(flag, text, `no such limit: ${match[1]}`, `one of ${names.join(", ")}`);
  }
  const soft = limitValue(flag, text, match[2]!);
  const hard = match[3] === undefined ? soft : limitValue(flag, text, match[3]);
  if (soft > hard) throw badValue(flag, text, "the soft limit is above the hard limit");
  return { type: type as RlimitType, soft, hard };
}

function limitValue(flag: string, text: string, value: string): bigint {
  if (value === "-1" || value === "unlimited") return unlimited;
  if (!/^\d{1,20}$/.test(value) || BigInt(value) > unlimited) throw badValue(flag, text, "not a number");
  return BigInt(value);
}

/** `TERM`, `SIGTERM`, `sigrtmin+3`, `15` → `SIGTERM`, … */
export function parseSignal(flag: string, text: string): string {
  const number = signalNumber(text);
  if (number === undefined)
    throw badValue(flag, text, "no such signal", "for example TERM, SIGINT, 9, RTMIN+3");
  return /^\d+$/.test(text) ? (signalName(number) ?? text) : `SIG${text.toUpperCase().replace(/^SIG/, "")}`;
}

/** The number of a signal's name or decimal text; undefined: there is none. */
export function signalNumber(text: string): number | undefined {
  if (/^\d{1,2}$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= 64 ? number : undefined;
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const real = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (real !== null) {
    // glibc and musl keep 32 … 34 for themselves, so SIGRTMIN is 34 to programs.
    const base = real[1] === "MIN" ? 34 : 64;
    const number = base + (real[2] === "-" ? -1 : 1) * Number(real[3] ?? 0);
    return number >= 34 && number <= 64 ? number : undefined;
  }
  return (os.constants.signals as Readonly<Record<string, number>>)[`SIG${name}`];
}

function signalName(number: number): string | undefined {
  return Object.entries(os.constants.signals).find(([, value]) => value === number)?.[0];
}

/** Docker's string, or podman's JSON list; an empty one clears the image's. */
export function parseEntrypoint(text: string): readonly string[] {
  if (text === "") return [];
  if (text.startsWith("[")) {
    try {
      const list: unknown = JSON.parse(text);
      if (Array.isArray(list) && list.every((word) => typeof word === "string")) return list;
    } catch {
      // Not JSON: then it is the name of a program, as docker reads it.
    }
  }
  return [text];
}

/** `NAME=VALUE`, the name spelled as for sysctl(8): with dots or with slashes. */
export function parseSysctl(text: string): readonly [string, string] {
  const equals = text.indexOf("=");
  const path = sysctlPath(text.slice(0, Math.max(equals, 0)).trim());
  if (path === undefined) {
    throw badValue("--sysctl", text, "expected NAME=VALUE", "for example --sysctl net.core.somaxconn=1024");
  }
  // Dots between the parts, whichever was typed: so that the same parameter is never there twice.
  const name = path.replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));
  return [name, text.slice(equals + 1).trim()];
}

/** `linux/arm64/v8`, `arm64`: the OS is linux when left out. */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9_.-]+$/.test(part))) {
    throw badValue("--platform", text, "expected OS/ARCH[/VARIANT]", "for example linux/amd64");
  }
  if (parts.length === 1) return { os: "linux", architecture: machineNames[parts[0]!] ?? parts[0]! };
  const [system, architecture, variant] = parts as [string, string, string?];
  return {
    os: system,
    architecture: machineNames[architecture] ?? architecture,
    ...(variant === undefined ? {} : { variant }),
  };
}

/** Names that uname and people use, to those of GOARCH. */
const machineNames: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  armhf: "arm",
  i386: "386",
  i686: "386",
};

/** A container's name, as docker allows it. */
export function parseName(flag: string, text: string): string {
  const name = text.startsWith("/") ? text.slice(1) : text;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(name)) {
    throw badValue(flag, text, "names are [a-zA-Z0-9][a-zA-Z0-9_.-]*");
  }
  return name;
}

/** RFC 1123 labels, at most 64 bytes in all (__NEW_UTS_LEN). */
export function parseHostname(flag: string, text: string): string {
  const good = text
    .split(".")
    .every((label) => /^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?$/.test(label));
  if (!good || text.length > 64) {
    throw badValue(flag, text, "not a host name", "letters, digits and dashes, at most 64 of them");
  }
  return text;
}

export function parsePullPolicy(text: string): "always" | "missing" | "never" | "newer" {
  switch (text) {
    case "always":
    case "missing":
    case "never":
    case "newer":
      return text;
    case "true":
      return "always";
    case "false":
      return "missing";
    default:
      throw badValue("--pull", text, "unknown policy", "one of missing, never, always, newer");
  }
}

/** Absolute: the monitor may write it from another directory. */
export function parsePidFile(text: string, directory: string): string {
  if (text === "" || text.includes("\0")) throw badValue("--pidfile", text, "expected the path of a file");
  return path.resolve(directory, text);
}
