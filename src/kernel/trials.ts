/**
 * What can only be known by trying: whether this user can make a user namespace, and map a range of ids into it. Each
 * trial is a helper that ends at once. For `vitrine doctor`; a container's start needs none of this.
 */

import { statSync } from "node:fs";
import { type HostReader, systemReader } from "./host.ts";
import type { HostFacts } from "./host-facts.ts";
import type { IdMapRange } from "./ops.ts";

export type TrialResult =
  | { readonly ok: true }
  | {
      readonly ok: false;
      /** `EPERM`, …; empty where there is none (no helper). */
      readonly errno: string;
      /** The helper's line: which call it was. */
      readonly detail: string;
    };

/** How ids are mapped in a trial: both tools empty writes a single-id map without them. */
interface TrialMap {
  readonly uids: readonly IdMapRange[];
  readonly gids: readonly IdMapRange[];
  readonly newuidmap: string;
  readonly newgidmap: string;
}

export interface UserTrials {
  /** Only one's own id mapped; undefined for root, who needs no user namespace. */
  readonly singleId: TrialResult | undefined;
  /** With the ranges of /etc/subuid and /etc/subgid; undefined where there are none, or no tools, and for root. */
  readonly range: TrialResult | undefined;
  /** Where a new range may begin so that it meets no other user's: past all of /etc/subuid and /etc/subgid. */
  readonly freeRangeStart: number;
  /** By tool: it is setuid root. undefined: not installed, or not to be looked at. */
  readonly setuidTools: { readonly newuidmap: boolean | undefined; readonly newgidmap: boolean | undefined };
  /** $XDG_RUNTIME_DIR: `private` is a directory of one's own with mode 0700. */
  readonly runtimeDirectory: "private" | "unsafe" | "missing" | "unset";
}

export interface TrialOptions {
  readonly host: HostFacts;
  /** undefined: there is no helper, so nothing is tried. */
  readonly helperPath: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Takes some ten milliseconds. Never throws for what it finds. */
export function tryUser(
  { host, helperPath, environment }: TrialOptions,
  reader: Pick<HostReader, "read"> = systemReader,
): UserTrials {
  const { identity, subordinateIds } = host;
  const isRoot = identity.euid === 0;
  const single: TrialMap = {
    uids: [{ containerID: 0, hostID: identity.euid, size: 1 }],
    gids: [{ containerID: 0, hostID: identity.egid, size: 1 }],
    newuidmap: "",
    newgidmap: "",
  };
  const range = isRoot ? undefined : rangeMap(host);
  return {
    singleId: isRoot ? undefined : tryMap(helperPath, single),
    range: range === undefined ? undefined : tryMap(helperPath, range),
    freeRangeStart: freeRangeStart(reader),
    setuidTools: {
      newuidmap: isSetuid(subordinateIds.newuidmap),
      newgidmap: isSetuid(subordinateIds.newgidmap),
    },
    runtimeDirectory: runtimeDirectory(environment["XDG_RUNTIME_DIR"], identity.euid),
  };
}

/** Id 0 is the user, the ids above are the subordinate ones in order. */
function rangeMap({ identity, subordinateIds }: HostFacts): TrialMap | undefined {
  const { uids, gids, newuidmap, newgidmap } = subordinateIds;
  if (uids.length === 0 || gids.length === 0 || newuidmap === "" || newgidmap === "") return undefined;
  const around = (own: number, ranges: typeof uids): readonly IdMapRange[] => {
    const map: IdMapRange[] = [{ containerID: 0, hostID: own, size: 1 }];
    let next = 1;
    for (const { start, count } of ranges) {
      map.push({ containerID: next, hostID: start, size: count });
      next += count;
    }
    return map;
  };
  return { uids: around(identity.euid, uids), gids: around(identity.egid, gids), newuidmap, newgidmap };
}

/** `vitrine-helper apply --userns` with no ops: it makes the namespace, maps the ids and ends. */
function tryMap(helperPath: string | undefined, map: TrialMap): TrialResult {
  if (helperPath === undefined) return { ok: false, errno: "", detail: "vitrine-helper is missing" };
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const done = spawnSync(helperPath, ["apply", ...mapArguments(map)], { input: "", timeout: 20_000 });
  if (done.error !== undefined) return { ok: false, errno: "", detail: done.error.message };
  return parseAnswer(done.stdout.toString("utf8"), done.stderr.toString("utf8"));
}

function mapArguments(map: TrialMap): readonly string[] {
  const text = (ranges: readonly IdMapRange[]): string =>
    ranges.map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`).join(",");
  const tools = map.newuidmap === "" ? [] : ["--newuidmap", map.newuidmap, "--newgidmap", map.newgidmap];
  return ["--userns", text(map.uids), text(map.gids), ...tools];
}

function parseAnswer(stdout: string, stderr: string): TrialResult {
  try {
    const line = JSON.parse(stdout) as { ok?: boolean; errno?: number; detail?: string };
    if (line.ok === true) return { ok: true };
    return { ok: false, errno: errnoName(line.errno ?? 0), detail: withWords(line.detail ?? "", stderr) };
  } catch {
    return { ok: false, errno: "", detail: stderr.trim() || "the helper ended without an answer" };
  }
}

/** newuidmap says on stderr why it refused; the first line is enough. */
function withWords(detail: string, stderr: string): string {
  const [first = ""] = stderr.trim().split("\n");
  return first === "" ? detail : `${detail}: ${first}`;
}

function errnoName(number: number): string {
  try {
    return process.getBuiltinModule("node:util").getSystemErrorName(-number);
  } catch {
    return `errno ${number}`;
  }
}

/** Two users with common ids could change each other's containers. 100000 is where useradd begins. */
function freeRangeStart(reader: Pick<HostReader, "read">): number {
  let start = 100_000;
  for (const file of ["/etc/subuid", "/etc/subgid"]) {
    for (const line of (reader.read(file) ?? "").split("\n")) {
      const [, first, count] = line.split(":");
      const end = Number(first) + Number(count);
      if (Number.isSafeInteger(end) && end > start) start = end;
    }
  }
  return start;
}

function isSetuid(path: string): boolean | undefined {
  if (path === "") return undefined;
  try {
    const { mode, uid } = statSync(path);
    return (mode & 0o4000) !== 0 && uid === 0;
  } catch {
    return undefined;
  }
}

function runtimeDirectory(path: string | undefined, uid: number): UserTrials["runtimeDirectory"] {
  if (path === undefined || path === "") return "unset";
  try {
    const stat = statSync(path);
    return stat.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0 ? "private" : "unsafe";
  } catch {
    return "missing";
  }
}
