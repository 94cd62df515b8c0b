/**
 * The world of the tests of limits: on cgroup v1 and v2 (here, and in the machines of test/vm), as root and where a cgroup v2
 * is delegated as a user.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { after } from "node:test";
import { makeRunWorld, type RunWorld, until } from "./run-support.ts";
import { isRoot, type Result } from "./support.ts";

export const version = fs.existsSync("/sys/fs/cgroup/cgroup.controllers") ? 2 : 1;
export const mebibyte = 1 << 20;
export const why = "no cgroup is delegated to the user of this lane";

/** A file of the container's own cgroup, as it sees it; the names are v1's and v2's. */
export const own = (v1: string, v2: string): string => `/sys/fs/cgroup/${version === 1 ? v1 : v2}`;

export interface LimitWorld {
  readonly world: RunWorld;
  /** A user's limits need a cgroup that is theirs: its directory is given by the session or by who made the machine. */
  readonly limited: boolean;
  readonly vitrine: (...args: readonly string[]) => string;
  readonly detached: (flags: readonly string[], script: string) => string;
  readonly inspect: (name: string, field: string) => string;
}

/** At the end of the file nothing of its containers may be left. */
export function makeLimitWorld(name: string): LimitWorld {
  const world = makeRunWorld(name);
  /** Every container that was made here, by its id. */
  const ids = new Set<string>();
  after(async () => {
    world.run(["rm", "--all", "--force"]);
    const left = () => leftOf(world.directory, ids);
    await until(() => (left().length === 0 ? true : undefined), "the end of all that is ours").catch(() =>
      assert.deepEqual(left(), []),
    );
    await world[Symbol.asyncDispose]();
  });
  const vitrine = (...args: readonly string[]): string => good(world.run(args));
  return {
    world,
    limited: isRoot || (version === 2 && world.probe(["-m", "64m"], "true").status === 0),
    vitrine,
    detached(flags, script) {
      const id = vitrine("run", "-d", "-q", ...flags, "probe", "sh", "-c", script);
      ids.add(id);
      return id;
    },
    inspect: (container, field) => vitrine("inspect", "-f", `{{${field}}}`, container),
  };
}

function good(done: Result): string {
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.replace(/\n$/, "");
}

/** What is left on the machine: cgroups of any hierarchy, processes that name the world. */
function leftOf(worldDirectory: string, ids: ReadonlySet<string>): readonly string[] {
  const found: string[] = [];
  const visit = (directory: string, depth: number): void => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const path = `${directory}/${entry.name}`;
      if ([...ids].some((id) => entry.name.includes(id))) found.push(path);
      else if (depth > 0) visitIfThere(path, depth - 1);
    }
  };
  const visitIfThere = (directory: string, depth: number): void => {
    try {
      visit(directory, depth);
    } catch {
      // It went meanwhile, or is not ours to look into.
    }
  };
  visitIfThere("/sys/fs/cgroup", 6);
  for (const pid of fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))) {
    try {
      const words = fs.readFileSync(`/proc/${pid}/cmdline`, "latin1");
      if (words.includes(worldDirectory) && !/ Z /.test(fs.readFileSync(`/proc/${pid}/stat`, "latin1"))) {
        found.push(`${pid} ${words}`);
      }
    } catch {
      // It ended meanwhile.
    }
  }
  return found;
}
