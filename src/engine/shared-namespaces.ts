/**
 * `--network`, `--pid`, `--ipc`, `--uts`, `--userns container:NAME`: namespaces of another container. They are named by
 * RUNROOT/containers/ID/process, a link that leads to whatever process that container has when this one is started.
 */
import { VitrineError } from "../base/mod.ts";
import type { StoreIds } from "../store/mod.ts";
import { findContainer } from "./containers/find.ts";
import {
  type Container,
  type EnginePaths,
  processLink,
  readContainer,
  runDirectory,
} from "./containers/record.ts";
import { runningProcess } from "./containers/state.ts";
import { conflict } from "./flags/bad-flag.ts";
import { readHostFile } from "./host-files.ts";
import type { NamespaceMode, RunOptions } from "./options.ts";

export interface SharedNamespaces {
  /** Ids of the containers, each once. */
  readonly owners: readonly string[];
  /** The user namespace that holds the others, where they have one of their own. */
  readonly user?: { readonly path: string; readonly ids: StoreIds; readonly flag: string };
  /** The host name of the container whose UTS namespace it is. */
  readonly hostname?: string;
  /** Of the container whose IPC namespace it is, for its /dev/shm: a link to /proc/PID. */
  readonly shmProcess?: string;
  /** /etc/hosts and /etc/resolv.conf of the container whose network it is. */
  readonly networkFiles?: { readonly hosts?: string | undefined; readonly resolvConf?: string | undefined };
}

/** Options that name a namespace, and the file in /proc/PID/ns. */
const files = {
  network: "net",
  pid: "pid",
  ipc: "ipc",
  uts: "uts",
  cgroupns: "cgroup",
  time: "time",
} as const;
type Kind = keyof typeof files;

/**
 * The same options with the containers found. Errors: those of `findContainer`, `namespace-owner-not-running`,
 * `ipc-not-shareable`, `flag-conflict`.
 */
export function resolveShared(options: RunOptions, paths: EnginePaths): RunOptions {
  const wanted = (Object.keys(files) as Kind[]).flatMap((kind) => {
    const mode = options[kind];
    return mode?.mode === "container" ? [{ kind, owner: findContainer(paths, mode.container) }] : [];
  });
  const userOwner =
    options.userns?.mode === "container" ? findContainer(paths, options.userns.container) : undefined;
  if (wanted.length === 0 && userOwner === undefined) return options;
  const owners = [...wanted.map(({ owner }) => owner), ...(userOwner === undefined ? [] : [userOwner])];
  requireOwners(paths, owners);
  const ipcOwner = wanted.find(({ kind }) => kind === "ipc")?.owner;
  if (ipcOwner !== undefined) requireShareable(ipcOwner);
  const found = Object.fromEntries(
    wanted.map(({ kind, owner }) => [
      kind,
      { mode: "path", path: `${processLink(paths, owner.id)}/ns/${files[kind]}` } satisfies NamespaceMode,
    ]),
  );
  const byKind = (kind: Kind): Container | undefined => wanted.find((one) => one.kind === kind)?.owner;
  const { userns: _, ...rest } = options;
  const user = userNamespaceOf(owners, options, paths);
  return {
    ...rest,
    ...(options.userns === undefined || options.userns.mode === "container"
      ? {}
      : { userns: options.userns }),
    ...found,
    sharedNamespaces: {
      owners: [...new Set(owners.map(({ id }) => id))],
      ...(user === undefined ? {} : { user }),
      ...(ipcOwner === undefined ? {} : { shmProcess: processLink(paths, ipcOwner.id) }),
      ...hostnameOf(byKind("uts"), options),
      ...networkFilesOf(byKind("network"), paths, options),
    },
  };
}

/**
 * A namespace can be entered only by who is in the user namespace that it belongs to: where the other container has one
 * of its own, this one gets it too.
 */
function userNamespaceOf(
  owners: readonly Container[],
  { userns }: RunOptions,
  paths: EnginePaths,
): SharedNamespaces["user"] | undefined {
  const own = owners.filter(({ ids }) => ids.kind !== "none");
  const [first] = own;
  if (first === undefined) return undefined;
  if (new Set(own.map(({ id }) => id)).size > 1) {
    throw conflict(
      "--userns",
      `containers ${own.map(({ name }) => name).join(" and ")} have user namespaces of their own: no process can be in both`,
      "share the namespaces of one container",
    );
  }
  if (userns !== undefined && userns.mode !== "container" && userns.mode !== "private") {
    throw conflict(
      "--userns",
      `the namespaces of container ${first.name} belong to its user namespace`,
      "leave --userns out: that one is joined as well",
    );
  }
  return { path: `${processLink(paths, first.id)}/ns/user`, ids: first.ids, flag: "--userns" };
}

function hostnameOf(owner: Container | undefined, { hostname }: RunOptions): { readonly hostname?: string } {
  if (owner === undefined) return {};
  if (hostname !== undefined) {
    throw conflict("--hostname", "--hostname and the UTS mode exclude each other", "leave --hostname out");
  }
  return owner.hostname === undefined ? {} : { hostname: owner.hostname };
}

function networkFilesOf(owner: Container | undefined, paths: EnginePaths, options: RunOptions) {
  if (owner === undefined) return {};
  if (options.hostname !== undefined) {
    throw conflict(
      "--hostname",
      "--hostname and the network of a container exclude each other",
      "leave --hostname out",
    );
  }
  const etc = `${runDirectory(paths, owner.id)}/etc`;
  return {
    networkFiles: { hosts: readHostFile(`${etc}/hosts`), resolvConf: readHostFile(`${etc}/resolv.conf`) },
  };
}

function requireShareable({ name, ipc }: Container): void {
  if (ipc === undefined) return;
  throw new VitrineError("invalid", `container ${name} shares its IPC with nobody: it has --ipc=${ipc}`, {
    code: "ipc-not-shareable",
    operand: name,
    hint: "make it with --ipc=shareable",
  });
}

/** Before a start: whose namespaces it has must run. Error: `namespace-owner-not-running`. */
export function requireSharedOwners(paths: EnginePaths, { dependsOn = [] }: Container): void {
  for (const id of dependsOn) {
    const owner = readContainer(paths, id);
    if (owner === undefined) {
      throw new VitrineError(
        "not-found",
        `container ${id.slice(0, 12)}, whose namespaces it shares, is gone`,
        {
          code: "namespace-owner-gone",
          operand: id,
          hint: "make the container anew",
        },
      );
    }
    requireOwners(paths, [owner]);
  }
}

function requireOwners(paths: EnginePaths, owners: readonly Container[]): void {
  for (const owner of owners) {
    if (runningProcess(paths, owner) !== undefined) continue;
    throw new VitrineError(
      "invalid",
      `cannot share the namespaces of container ${owner.name}: it does not run`,
      {
        code: "namespace-owner-not-running",
        operand: owner.name,
        hint: `vitrine start ${owner.name}`,
      },
    );
  }
}
