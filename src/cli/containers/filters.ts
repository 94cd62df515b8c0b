/** `--filter KEY=VALUE` of ps, container prune: docker's and podman's keys. Of one key one must hold, of labels all. */
import { VitrineError } from "../../base/mod.ts";
import {
  type Container,
  type ContainerState,
  type EnginePaths,
  findContainer,
  readHealth,
  wasStopped,
} from "../../engine/mod.ts";
import { nearest } from "../framework/nearest.ts";
import { splitLabel, untilTime } from "../images/filters.ts";
import { networkOf } from "./network.ts";

type Test = (container: Container, state: ContainerState) => boolean;

const known = [
  "id",
  "name",
  "label",
  "label!",
  "status",
  "health",
  "restart-policy",
  "should-start-on-boot",
  "exited",
  "ancestor",
  "volume",
  "network",
  "before",
  "since",
  "until",
];
const healthStates = ["starting", "healthy", "unhealthy", "none"];
const restartPolicies = ["no", "on-failure", "always", "unless-stopped"];
const states = ["created", "running", "paused", "exited", "stopped", "restarting", "removing", "dead"];

/** Errors: `filter-invalid`; `before` and `since` those of `findContainer`. */
export function containerFilter(filters: readonly string[], paths: EnginePaths, now: number): Test {
  const byKey = new Map<string, Test[]>();
  for (const filter of filters) {
    const { key, test } = oneFilter(filter, paths, now);
    byKey.set(key, [...(byKey.get(key) ?? []), test]);
  }
  return (container, state) =>
    [...byKey].every(([key, tests]) =>
      key.startsWith("label")
        ? tests.every((test) => test(container, state))
        : tests.some((test) => test(container, state)),
    );
}

function oneFilter(filter: string, paths: EnginePaths, now: number): { key: string; test: Test } {
  const match = /^([a-z-]+!?)=(.*)$/s.exec(filter);
  const [, key = "", value = ""] = match ?? [];
  switch (key) {
    case "id":
      return { key, test: ({ id }) => id.startsWith(value) };
    case "name": {
      const pattern = patternOf(filter, value);
      return { key, test: ({ name }) => pattern.test(name) };
    }
    case "label":
    case "label!": {
      const label = splitLabel(value);
      const has = ({ labels }: Container): boolean =>
        Object.hasOwn(labels, label.key) && (label.value === undefined || labels[label.key] === label.value);
      return { key, test: (container) => has(container) === (key === "label") };
    }
    case "status":
      if (!states.includes(value)) throw invalid(filter, `a status is one of ${states.join(", ")}`);
      return { key, test: (_, state) => stateName(state) === (value === "stopped" ? "exited" : value) };
    case "health":
      if (!healthStates.includes(value))
        throw invalid(filter, `a health is one of ${healthStates.join(", ")}`);
      return {
        key,
        test: (container, state) =>
          (state.status === "running" ? (readHealth(paths, container)?.status ?? "none") : "none") === value,
      };
    case "restart-policy":
      if (!restartPolicies.includes(value)) {
        throw invalid(filter, `a restart policy is one of ${restartPolicies.join(", ")}`);
      }
      return { key, test: ({ restart }) => (restart?.name ?? "no") === value };
    case "should-start-on-boot":
      if (value !== "true" && value !== "false") throw invalid(filter, "true or false");
      return { key, test: (container) => startsOnBoot(paths, container) === (value === "true") };
    case "exited":
      if (!/^\d{1,3}$/.test(value)) throw invalid(filter, "exited is an exit status");
      return { key, test: (_, state) => state.status === "exited" && state.code === Number(value) };
    case "ancestor":
      return { key, test: (container) => isOf(container, value) };
    case "volume":
      return { key, test: (container) => hasVolume(container, value) };
    case "network":
      return { key, test: (container) => networkOf(paths, container) === value };
    case "before":
    case "since": {
      const { created } = findContainer(paths, value);
      return {
        key,
        test: (container) => (key === "before" ? container.created < created : container.created > created),
      };
    }
    case "until": {
      const time = untilTime(value, now);
      if (time === undefined)
        throw invalid(filter, "until is a time (2026-01-31T12:00:00Z) or a duration (24h)");
      return { key, test: ({ created }) => created < time };
    }
    default: {
      const close = nearest(key, known);
      throw invalid(
        filter,
        close === undefined ? `known are ${known.join(", ")}` : `did you mean ${close}=…?`,
      );
    }
  }
}

/** `always`, and `unless-stopped` unless a user stopped it. */
function startsOnBoot(paths: EnginePaths, container: Container): boolean {
  const name = container.restart?.name;
  return name === "always" || (name === "unless-stopped" && !wasStopped(paths, container));
}

/** What docker and podman call it. */
export function stateName(state: ContainerState): string {
  if (state.status === "running" && state.paused) return "paused";
  return state.status === "lost" ? "exited" : state.status;
}

/** Names are matched as regular expressions, as docker and podman do; one that is none is taken literally. */
function patternOf(filter: string, value: string): RegExp {
  try {
    return new RegExp(value.replace(/^\^?\//, "^"));
  } catch {
    throw invalid(filter, "name is a regular expression");
  }
}

/** By the volume's name, the place it has in the container, or the directory of the host. */
function hasVolume({ mounts = [] }: Container, value: string): boolean {
  return mounts.some(
    (mount) =>
      mount.target === value ||
      (mount.kind === "volume" && mount.name === value) ||
      (mount.kind === "bind" && mount.source === value),
  );
}

/** The name that was typed, with or without a tag, or the image's id. */
function isOf({ image, imageId }: Container, value: string): boolean {
  const bare = image.replace(/^docker\.io\/(library\/)?/, "");
  const hex = imageId.slice("sha256:".length);
  return (
    [image, bare, bare.replace(/:[^/:]*$/, "")].includes(value) ||
    imageId === value ||
    (value.length >= 4 && hex.startsWith(value))
  );
}

function invalid(filter: string, hint: string): VitrineError {
  return new VitrineError("invalid", `invalid filter ${JSON.stringify(filter)}`, {
    code: "filter-invalid",
    operand: filter,
    hint,
  });
}
