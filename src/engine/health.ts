/** A container's health check: what the image and the flags say together. */
import type { ExecutionConfig, Healthcheck } from "../oci/mod.ts";
import { defaults } from "./defaults.ts";
import type { HealthAction, HealthOptions } from "./options.ts";

/** Complete: nothing is inherited any more. Durations in nanoseconds. */
export interface HealthCheck {
  /** `["CMD", …]` or `["CMD-SHELL", command]`. */
  readonly test: readonly string[];
  /** What is run. */
  readonly args: readonly string[];
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
  readonly onFailure: HealthAction;
}

/** undefined: there is none. */
export function healthCheckOf(
  asked: HealthOptions | undefined,
  image: ExecutionConfig | undefined,
): HealthCheck | undefined {
  if (asked?.disabled === true) return undefined;
  const theirs: Healthcheck = image?.Healthcheck ?? {};
  const test = asked?.test ?? theirs.Test ?? [];
  const args = argsOf(test, image?.Shell);
  if (args === undefined) return undefined;
  // 0 inherits, in flags as in images.
  const of = (flag: number | undefined, value: number | undefined, standard: number): number =>
    flag || value || standard;
  return {
    test,
    args,
    interval: of(asked?.interval, theirs.Interval, defaults.healthcheck.value.interval),
    timeout: of(asked?.timeout, theirs.Timeout, defaults.healthcheck.value.timeout),
    startPeriod: of(asked?.startPeriod, theirs.StartPeriod, 0),
    startInterval: of(asked?.startInterval, theirs.StartInterval, defaults.healthcheck.value.startInterval),
    retries: of(asked?.retries, theirs.Retries, defaults.healthcheck.value.retries),
    onFailure: asked?.onFailure ?? "none",
  };
}

/** `update`: what is not asked for stays, 0 too where it is a start period. undefined: there is no check (any more). */
export function changedHealthCheck(
  present: HealthCheck | undefined,
  asked: HealthOptions,
): HealthCheck | undefined {
  const [kind, command = ""] = present?.test ?? [];
  const shell = kind === "CMD-SHELL" ? present!.args.slice(0, present!.args.lastIndexOf(command)) : undefined;
  const { test, interval, timeout, startPeriod, startInterval, retries, onFailure } = { ...present };
  const changed = healthCheckOf(
    { ...asked, ...(onFailure === undefined ? {} : { onFailure: asked.onFailure ?? onFailure }) },
    {
      Healthcheck: {
        ...(test === undefined ? {} : { Test: test }),
        ...(interval === undefined ? {} : { Interval: interval }),
        ...(timeout === undefined ? {} : { Timeout: timeout }),
        ...(startInterval === undefined ? {} : { StartInterval: startInterval }),
        ...(retries === undefined ? {} : { Retries: retries }),
      },
      ...(shell === undefined ? {} : { Shell: shell }),
    },
  );
  return changed === undefined
    ? undefined
    : { ...changed, startPeriod: asked.startPeriod ?? startPeriod ?? 0 };
}

function argsOf(
  test: readonly string[],
  shell: readonly string[] | undefined,
): readonly string[] | undefined {
  const [kind, ...words] = test;
  if (kind === "CMD" && words.length > 0) return words;
  if (kind === "CMD-SHELL" && words.length > 0) return [...(shell ?? ["/bin/sh", "-c"]), ...words];
  return undefined;
}
