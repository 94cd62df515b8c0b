/** The processes of a container, as the host sees them. */
import * as fs from "node:fs";
import type { Container, EnginePaths } from "./record.ts";
import { runningProcess } from "./state.ts";

/** All processes of the machine, each looked at once, when somebody first asks. */
export class ProcessTable {
  #parents: Map<number, number> | undefined;
  readonly #namespaces = new Map<number, string | undefined>();

  /** The parent of each. */
  get parents(): ReadonlyMap<number, number> {
    if (this.#parents !== undefined) return this.#parents;
    const parents = new Map<number, number>();
    for (const name of fs.readdirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const parent = parentOf(Number(name));
      if (parent !== undefined) parents.set(Number(name), parent);
    }
    this.#parents = parents;
    return parents;
  }

  /** Its pid namespace; undefined: it is not told. */
  namespaceOf(pid: number): string | undefined {
    if (!this.#namespaces.has(pid)) this.#namespaces.set(pid, namespaceOf(pid));
    return this.#namespaces.get(pid);
  }
}

/** Those in the pid namespace of its first process and below, that one first. Empty: it does not run. */
export function containerProcesses(
  paths: EnginePaths,
  container: Container,
  table = new ProcessTable(),
): readonly number[] {
  const first = runningProcess(paths, container)?.pid;
  if (first === undefined) return [];
  const { parents } = table;
  // Orphans of a pid namespace become children of its first process: descent is enough, but for what `exec` started.
  const namespace = namespaceOf(first);
  const shared = namespace === table.namespaceOf(process.pid);
  const isIts = (pid: number): boolean =>
    descends(pid, first, parents) ||
    (!shared && namespace !== undefined && table.namespaceOf(pid) === namespace);
  const rest = [...parents.keys()].filter((pid) => pid !== first && isIts(pid)).sort((a, b) => a - b);
  return [first, ...rest];
}

function descends(pid: number, ancestor: number, parents: ReadonlyMap<number, number>): boolean {
  // A pid that was given out again between two reads could make a ring.
  for (let at: number | undefined = pid, steps = 0; at !== undefined && steps < 4096; steps++) {
    if (at === ancestor) return true;
    at = parents.get(at);
  }
  return false;
}

/** Field 4 of /proc/PID/stat; the name before it may hold anything. */
function parentOf(pid: number): number | undefined {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}

function namespaceOf(pid: number): string | undefined {
  try {
    return fs.readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}
