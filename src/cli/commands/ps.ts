import { hasDead, printable } from "../../base/mod.ts";
import {
  type Container,
  type ContainerState,
  type EnginePaths,
  type Health,
  readHealth,
  restartCount,
  type Survey,
  startedAt,
  surveyContainers,
} from "../../engine/mod.ts";
import { requireKnownFormat, sweep } from "../container-trees.ts";
import { containerFilter, stateName } from "../containers/filters.ts";
import { networkOf } from "../containers/network.ts";
import { type ContainerSize, containerSizes, sizeText } from "../containers/sizes.ts";
import { goTime, humanAgo, humanDuration } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { labelMap, labelOf, renderRows } from "../template/mod.ts";

const headings = {
  ID: "CONTAINER ID",
  Names: "NAMES",
  CreatedAt: "CREATED AT",
} as const;

const standard = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.Created}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

const sortFields = ["command", "created", "id", "image", "names", "runningfor", "size", "status"];

export interface Row {
  readonly container: Container;
  readonly state: ContainerState;
  readonly upMilliseconds: number | undefined;
  /** Milliseconds since the epoch. */
  started(): number | undefined;
  health(): Health["status"] | undefined;
  /** With --size, and to sort by it. */
  readonly size: ContainerSize | undefined;
}

export const command = defineCommand({
  description: "Lists the containers that run; with --all also those that ended and were not removed.",
  options: {
    all: { type: "boolean", short: "a", help: "list all containers" },
    filter: {
      type: "strings",
      short: "f",
      value: "KEY=VALUE",
      help: "only those with id=, name=, label=, status=, health=, restart-policy=, exited=, ancestor=, volume=, network=, before=, since= or until=",
    },
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json', or a Go template with .ID .Image .ImageID .Command .Created .CreatedAt .Status .State .Names .Pid .ExitCode .Labels .Networks .Mounts, {{.Label \"KEY\"}}",
    },
    last: {
      type: "number",
      short: "n",
      value: "N",
      default: -1,
      help: "list the N newest containers, whatever their state",
    },
    latest: { type: "boolean", short: "l", help: "list the newest container, whatever its state" },
    noheading: { type: "boolean", help: "leave the headings out" },
    external: { type: "boolean", hidden: true, help: "accepted for compatibility: no other tool's are here" },
    sync: { type: "boolean", hidden: true, help: "accepted for compatibility: what is shown is read anew" },
    sort: {
      type: "string",
      value: "FIELD",
      choices: sortFields,
      default: "created",
      help: "order: created (the newest first), or command, id, image, names, runningfor, size, status",
    },
    "no-trunc": { type: "boolean", help: "show whole ids and commands" },
    quiet: { type: "boolean", short: "q", help: "show only ids" },
    size: { type: "boolean", short: "s", help: "show what each wrote, and its size with its image" },
  },
  positionals: [],
  examples: [
    { command: "vitrine ps -a --format '{{.Names}} {{.Status}}'", does: "how containers ended" },
    { command: "vitrine rm $(vitrine ps -aq)", does: "remove all that ended" },
  ],
  async run({ options, context }) {
    await requireKnownFormat(context);
    const count = options.latest ? 1 : options.last;
    const matches = containerFilter(options.filter, context.paths(), context.now());
    const sizes = options.size || options.sort === "size" ? await containerSizes(context) : undefined;
    const all =
      options.all || count >= 0 || options.filter.some((filter) => /^(status|exited)=/.test(filter));
    const now = context.now();
    const chosen = (await rowsOf(context, all))
      .filter(({ container, state }) => matches(container, state))
      .slice(0, count >= 0 ? count : undefined)
      .map((row) => (sizes === undefined ? row : { ...row, size: sizes(row.container) }));
    const rows = options.sort === "created" ? chosen : sorted(chosen, options.sort, now);
    if (options.quiet) {
      const digits = options["no-trunc"] ? 64 : 12;
      context.out(rows.map(({ container }) => `${container.id.slice(0, digits)}\n`).join(""));
      return;
    }
    if (options.format === "json") {
      context.out(
        `${jsonText(
          rows.map((row) => record(row, now, context.paths())),
          4,
        )}\n`,
      );
      return;
    }
    context.out(
      renderRows(
        rows.map((row) => containerView(row, now, options["no-trunc"], context.paths())),
        { headings, standard: options.size ? `${standard}\t{{.Size}}` : standard },
        { format: options.format, heading: !options.noheading, forTerminal: context.stdoutIsTerminal },
      ),
    );
  },
});

/** The newest first. */
export async function rowsOf(context: Context, all: boolean): Promise<readonly Row[]> {
  const paths = context.paths();
  const { containers, damaged } = await survey(context);
  for (const id of damaged) {
    const short = id.slice(0, 12);
    context.log(
      "warn",
      `the record of container ${short} is missing or damaged: vitrine rm ${short} removes it`,
    );
  }
  return containers
    .filter(({ state }) => all || state.status === "running" || state.status === "restarting")
    .map(({ container, state, upMilliseconds }) => ({
      container,
      state,
      upMilliseconds,
      started: () => startedAt(paths, container),
      health: () => readHealth(paths, container)?.status,
      size: undefined,
    }))
    .sort((left, right) => right.container.created - left.container.created);
}

function sorted(rows: readonly Row[], field: string, now: number): readonly Row[] {
  const key = (row: Row): string | number => {
    const { container, upMilliseconds } = row;
    switch (field) {
      case "command":
        return container.command.join(" ");
      case "id":
        return container.id;
      case "image":
        return container.image;
      case "names":
        return container.name;
      case "size":
        return row.size?.written ?? 0;
      case "status":
        return statusText(row, now);
      default:
        return upMilliseconds === undefined ? Number.POSITIVE_INFINITY : upMilliseconds;
    }
  };
  return rows
    .map((row) => ({ row, key: key(row) }))
    .sort((left, right) => (left.key < right.key ? -1 : left.key > right.key ? 1 : 0))
    .map(({ row }) => row);
}

/** Most of the time there is nothing to sweep, and the look at all containers is not taken twice. */
async function survey(context: Context): Promise<Survey> {
  const first = surveyContainers(context.paths());
  if (!first.untidy && !hasDead(`${context.paths().root}/tmp`)) return first;
  await sweep(context);
  return surveyContainers(context.paths());
}

const longestCommand = 20;

/** What a template sees; the fields of docker and podman. What the table does not show is worked out when it is asked for. */
export function containerView(row: Row, now: number, whole: boolean, paths: EnginePaths) {
  const { container, state } = row;
  const command = printable(container.command.join(" "));
  return {
    ID: container.id.slice(0, whole ? 64 : 12),
    Image: printable(container.image),
    ImageID: container.imageId,
    Command: whole || command.length <= longestCommand ? command : `${command.slice(0, longestCommand - 1)}…`,
    Created: humanAgo(container.created, now),
    get CreatedAt() {
      return goTime(container.created);
    },
    get RunningFor() {
      return humanAgo(container.created, now);
    },
    Status: statusText(row, now),
    get StartedAt() {
      const started = row.started();
      return started === undefined ? "" : goTime(started);
    },
    Ports: "",
    Size: row.size === undefined ? "" : sizeText(row.size),
    get LocalVolumes() {
      return String((container.mounts ?? []).filter(({ kind }) => kind === "volume").length);
    },
    get Mounts() {
      return mountsText(container, whole);
    },
    get Networks() {
      return networkOf(paths, container);
    },
    State: stateName(state),
    Names: container.name,
    Pid: state.status === "running" ? state.pid : 0,
    ExitCode: state.status === "exited" || state.status === "restarting" ? state.code : 0,
    get Labels() {
      return labelMap(container.labels);
    },
    Label: (...keys: readonly unknown[]) => labelOf(container.labels, keys),
  };
}

/** Names of volumes, and directories of the host. */
function mountsText({ mounts = [] }: Container, whole: boolean): string {
  const names = mounts.map((mount) =>
    mount.kind === "volume" ? mount.name : mount.kind === "image" ? mount.image : mount.source,
  );
  const short = (name: string): string =>
    whole || name.length <= longestMount ? name : `${name.slice(0, longestMount - 1)}…`;
  return names.map((name) => printable(short(name))).join(",");
}

const longestMount = 15;

/** As docker: ` (healthy)`, ` (unhealthy)`, ` (health: starting)`. */
function healthText(health: Health["status"] | undefined): string {
  if (health === undefined) return "";
  return health === "starting" ? " (health: starting)" : ` (${health})`;
}

function statusText({ state, upMilliseconds, health }: Row, now: number): string {
  switch (state.status) {
    case "created":
      return "Created";
    case "running":
      return `Up ${humanDuration((upMilliseconds ?? 0) / 1000)}${state.paused ? " (Paused)" : healthText(health())}`;
    case "restarting":
      return `Restarting (${state.code}) ${humanAgo(state.finished, now)}`;
    case "exited":
      return `Exited (${state.code}) ${humanAgo(state.finished, now)}`;
    case "lost":
      return "Exited (unknown)";
  }
}

/** The zero of Go's times, in seconds since the epoch. */
const never = -62_135_596_800;

/** podman's JSON. */
function record(row: Row, now: number, paths: EnginePaths): unknown {
  const { container, state } = row;
  const started = row.started();
  return {
    Id: container.id,
    Names: [container.name],
    Image: container.image,
    ImageID: container.imageId,
    Command: container.command,
    Created: Math.floor(container.created / 1000),
    CreatedAt: humanAgo(container.created, now),
    State: stateName(state),
    Status: statusText(row, now),
    Exited: state.status === "exited" || state.status === "lost",
    ExitCode: state.status === "exited" ? state.code : 0,
    ExitedAt: state.status === "exited" ? Math.floor(state.finished / 1000) : never,
    Pid: state.status === "running" ? state.pid : 0,
    StartedAt: started === undefined ? never : Math.floor(started / 1000),
    Size: row.size === undefined ? null : { rootFsSize: row.size.whole, rwSize: row.size.written },
    AutoRemove: container.remove,
    Restarts: restartCount(paths, container),
    Labels: container.labels,
    Mounts: (container.mounts ?? []).map(({ target }) => target),
    // Pods and published ports are not there yet.
    CIDFile: "",
    ExposedPorts: null,
    IsInfra: false,
    Namespaces: {},
    Networks: [],
    Pod: "",
    PodName: "",
    Ports: null,
  };
}
