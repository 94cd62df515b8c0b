/** The cgroup of a container that is there: its directories and the control files in them. */
import * as fs from "node:fs";
import { errnoOf } from "../../base/mod.ts";

export interface LiveCgroup {
  readonly mode: "none" | "v1" | "v2";
  /** Absolute host directories: on v2 one, on v1 one for each hierarchy, of which some may not be made. */
  readonly directories: readonly string[];
}

/** Of directories that a plan removes at its end. */
export function liveCgroup(directories: readonly string[]): LiveCgroup {
  const [first] = directories;
  if (first === undefined) return { mode: "none", directories };
  return { mode: fs.existsSync(`${first}/cgroup.controllers`) ? "v2" : "v1", directories };
}

/** The text of a control file; undefined where it, or the cgroup, is not there. */
export function readControl({ directories }: LiveCgroup, file: string): string | undefined {
  for (const directory of directories) {
    const path = `${directory}/${file}`;
    // A thrown ENOENT costs more than the question, and on v1 most directories do not have the file.
    if (!fs.existsSync(path)) continue;
    try {
      return fs.readFileSync(path, "latin1");
    } catch {
      // It ended meanwhile, or the kernel has nothing to say (EOPNOTSUPP).
    }
  }
  return undefined;
}

/** Every process in it and below. Empty without a cgroup. */
export function processesIn({ directories }: LiveCgroup): readonly number[] {
  const pids = new Set<number>();
  const there = directories.find((directory) => fs.existsSync(directory));
  if (there !== undefined) collect(there, pids);
  return [...pids].sort((a, b) => a - b);
}

function collect(directory: string, pids: Set<number>): void {
  let entries: fs.Dirent[];
  try {
    for (const line of fs.readFileSync(`${directory}/cgroup.procs`, "latin1").split("\n")) {
      if (line !== "") pids.add(Number(line));
    }
    entries = fs.readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENODEV") return;
    throw error;
  }
  for (const entry of entries) {
    if (entry.isDirectory()) collect(`${directory}/${entry.name}`, pids);
  }
}

/**
 * v1: the directory of a controller in which the container was not counted so far is made, and its processes move there.
 * Who forks meanwhile leaves a child behind, so it is looked again until nobody is.
 */
export function enterHierarchy(cgroup: LiveCgroup, directory: string): void {
  if (fs.existsSync(directory)) return;
  fs.mkdirSync(directory, { recursive: true });
  inheritCpuset(directory);
  moveAll(cgroup, directory);
}

/** Error: that of the kernel when a process cannot be moved. */
export function moveAll(cgroup: LiveCgroup, directory: string): void {
  const file = `${directory}/cgroup.procs`;
  for (let turn = 0; turn < turns; turn++) {
    const there = new Set(processesIn({ mode: "v1", directories: [directory] }));
    const missing = processesIn(cgroup).filter((pid) => !there.has(pid));
    if (missing.length === 0) return;
    for (const pid of missing) {
      try {
        fs.writeFileSync(file, String(pid), { flag: "r+" });
      } catch (error) {
        if (errnoOf(error) !== "ESRCH") throw error;
      }
    }
  }
}

const turns = 100;

/** A new cpuset is empty, and nobody can enter it. */
function inheritCpuset(directory: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const path = `${directory}/${file}`;
    if (!fs.existsSync(path) || fs.readFileSync(path, "latin1").trim() !== "") continue;
    const above = directory.slice(0, directory.lastIndexOf("/"));
    inheritCpuset(above);
    fs.writeFileSync(path, fs.readFileSync(`${above}/${file}`, "latin1"), { flag: "r+" });
  }
}
