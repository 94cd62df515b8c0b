/** `--filter KEY=VALUE` of ps, start, container prune: docker's and podman's keys. */
import {
  type Container,
  type ContainerState,
  type EnginePaths,
  findContainer,
  readHealth,
  wasStopped,
} from "../../engine/mod.ts";
import {
  compileFilters,
  type FilterKeys,
  type FilterTest,
  invalidFilter,
  labelKeys,
  patternOf,
  requireOneOf,
  untilOf,
} from "../framework/filters.ts";
import { networkOf } from "./network.ts";

type Item = [container: Container, state: ContainerState];

const healthStates = ["starting", "healthy", "unhealthy", "none"];
const restartPolicies = ["no", "on-failure", "always", "unless-stopped"];
const states = ["created", "running", "paused", "exited", "stopped", "restarting", "removing", "dead"];

/** Errors: `filter-invalid`; `before` and `since` those of `findContainer`. */
export function containerFilter(
  filters: readonly string[],
  paths: EnginePaths,
  now: number,
): FilterTest<Item> {
  return compileFilters(filters, containerKeys(paths, now));
}

const containerKeys = (paths: EnginePaths, now: number): FilterKeys<Item> => ({
  id:
    (value) =>
    ({ id }) =>
      id.startsWith(value),
  name: (value, filter) => {
    // Docker's names begin with a slash.
    const pattern = patternOf(value.replace(/^\^?\//, "^"), filter);
    return ({ name }) => pattern.test(name);
  },
  ...labelKeys,
  status: (value, filter) => {
    requireOneOf(value, filter, "a status", states);
    return (_, state) => stateName(state) === (value === "stopped" ? "exited" : value);
  },
  health: (value, filter) => {
    requireOneOf(value, filter, "a health", healthStates);
    return (container, { status }) =>
      (status === "running" ? (readHealth(paths, container)?.status ?? "none") : "none") === value;
  },
  "restart-policy": (value, filter) => {
    requireOneOf(value, filter, "a restart policy", restartPolicies);
    return ({ restart }) => (restart?.name ?? "no") === value;
  },
  "should-start-on-boot": (value, filter) => {
    if (value !== "true" && value !== "false") throw invalidFilter(filter, "true or false");
    return (container) => startsOnBoot(paths, container) === (value === "true");
  },
  exited: (value, filter) => {
    if (!/^\d{1,3}$/.test(value)) throw invalidFilter(filter, "exited is an exit status");
    return (_, state) => state.status === "exited" && state.code === Number(value);
  },
  ancestor: (value) => (container) => isOf(container, value),
  volume: (value) => (container) => hasVolume(container, value),
  network: (value) => (container) => networkOf(paths, container) === value,
  before: (value) => {
    const { created } = findContainer(paths, value);
    return (container) => container.created < created;
  },
  since: (value) => {
    const { created } = findContainer(paths, value);
    return (container) => container.created > created;
  },
  until: (value, filter) => {
    const time = untilOf(value, filter, now);
    return ({ created }) => created < time;
  },
});

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
