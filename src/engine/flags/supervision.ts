/** --restart and the health check's flags. */
import { VitrineError } from "../../base/mod.ts";
import type { HealthAction, HealthOptions, RestartPolicy } from "../options.ts";
import { badValue, conflict } from "./bad-flag.ts";

const policies = ["no", "on-failure", "always", "unless-stopped"];

/** `no`, `on-failure[:N]`, `always`, `unless-stopped`. Error: `invalid-flag-value`. */
export function parseRestartPolicy(text: string): RestartPolicy | undefined {
  const match = /^([a-z-]*)(?::(.*))?$/.exec(text);
  const name = match?.[1] ?? "";
  const count = match?.[2];
  if (match === null || (name !== "" && !policies.includes(name))) {
    throw badValue("--restart", text, "unknown policy", `one of ${policies.join(", ")}`);
  }
  if (count !== undefined && name !== "on-failure") {
    throw badValue("--restart", text, "only on-failure takes a number of retries");
  }
  if (count !== undefined && !/^\d{1,9}$/.test(count)) {
    throw badValue("--restart", text, "the number of retries is a count", "for example on-failure:3");
  }
  if (name === "" || name === "no") return undefined;
  return { name: name as RestartPolicy["name"], maximumRetryCount: Number(count ?? 0) };
}

export interface HealthFlags {
  readonly "health-cmd": string | undefined;
  readonly "health-interval": string | undefined;
  readonly "health-timeout": string | undefined;
  readonly "health-retries": number | undefined;
  readonly "health-start-period": string | undefined;
  readonly "health-start-interval": string | undefined;
  readonly "health-on-failure": string | undefined;
  readonly "no-healthcheck": boolean;
}

/** undefined: as the image says. Errors: `invalid-flag-value`, `flag-conflict`. */
export function parseHealth(flags: HealthFlags): HealthOptions | undefined {
  const given = (Object.keys(healthFlags) as (keyof typeof healthFlags)[]).filter(
    (flag) => flags[flag] !== undefined,
  );
  if (flags["no-healthcheck"]) {
    if (given.length > 0) {
      throw conflict(
        "--no-healthcheck",
        `--no-healthcheck and --${given[0]} exclude each other`,
        "give one of them",
      );
    }
    return { disabled: true };
  }
  if (given.length === 0) return undefined;
  const test = flags["health-cmd"] === undefined ? undefined : testOf(flags["health-cmd"]);
  if (test?.[0] === "NONE") return { disabled: true };
  const duration = (
    flag: "health-interval" | "health-timeout" | "health-start-period" | "health-start-interval",
  ) => (flags[flag] === undefined ? undefined : durationOf(flag, flags[flag]));
  const parts = {
    test,
    interval: duration("health-interval"),
    timeout: duration("health-timeout"),
    startPeriod: duration("health-start-period"),
    startInterval: duration("health-start-interval"),
    retries: retriesOf(flags["health-retries"]),
    onFailure: actionOf(flags["health-on-failure"]),
  };
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}

const healthFlags = {
  "health-cmd": 0,
  "health-interval": 0,
  "health-timeout": 0,
  "health-retries": 0,
  "health-start-period": 0,
  "health-start-interval": 0,
  "health-on-failure": 0,
} as const;

/** A command for the shell, or as podman a JSON array of words; `none` as podman's way to have no check. */
function testOf(text: string): readonly string[] {
  if (text === "") throw badValue("--health-cmd", text, "there is no command");
  if (text === "none") return ["NONE"];
  if (!text.startsWith("[")) return ["CMD-SHELL", text];
  let words: unknown;
  try {
    words = JSON.parse(text);
  } catch {
    return ["CMD-SHELL", text];
  }
  if (!Array.isArray(words) || words.length === 0 || !words.every((word) => typeof word === "string")) {
    throw badValue("--health-cmd", text, "a JSON array must hold words");
  }
  const [first] = words as string[];
  return first === "CMD" || first === "CMD-SHELL" || first === "NONE"
    ? (words as string[])
    : ["CMD", ...(words as string[])];
}

const units: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** A Go duration in nanoseconds; `disable` and 0 are the longest: never by itself. */
function durationOf(flag: string, text: string): number {
  if (text === "0" || (text === "disable" && flag === "health-interval")) return 0;
  if (!/^(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) {
    throw badValue(`--${flag}`, text, "not a duration", "for example 30s or 1m30s");
  }
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    sum += Number(number) * units[unit!]!;
  }
  if (sum !== 0 && sum < 1e6) throw badValue(`--${flag}`, text, "cannot be less than 1ms");
  return sum;
}

function retriesOf(value: number | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 31) return value;
  throw badValue("--health-retries", String(value), "a count of failures in a row");
}

function actionOf(text: string | undefined): HealthAction | undefined {
  if (text === undefined) return undefined;
  if (["none", "kill", "restart", "stop"].includes(text)) return text as HealthAction;
  throw badValue("--health-on-failure", text, "unknown action", "one of none, kill, restart, stop");
}

/** What goes when it ends cannot be run again (docker refuses it too). */
export function refuseRestartOfRemoved(restart: RestartPolicy | undefined, remove: boolean): void {
  if (restart === undefined || !remove) return;
  throw new VitrineError("invalid", "conflicting options: cannot specify both --restart and --rm", {
    code: "flag-conflict",
    operand: "--restart",
    hint: "leave one of them out",
  });
}

/** Seconds; 0: no limit. Error: `invalid-flag-value`. */
export function parseTimeout(seconds: number): number {
  if (Number.isInteger(seconds) && seconds >= 0 && seconds < 2 ** 32) return seconds;
  throw badValue("--timeout", String(seconds), "expected a number of seconds", "0 is no limit");
}
