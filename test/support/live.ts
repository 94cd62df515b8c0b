/** Worlds with containers in the background: shorthands, and a look for what is left that sees this world alone. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { fixtures, makeWorld, type Result, slowness, type World } from "../integration/support.ts";

export interface LiveWorld extends World {
  /** Runs vitrine, and fails the test unless it ends with 0. Its output without the last newline. */
  vitrine(...args: readonly string[]): string;
  /** `run -d -q FLAGS… probe sh -c SCRIPT`; the id. */
  detached(flags: readonly string[], script: string): string;
  inspect(name: string, field: string): string;
  /** What is left of containers that are gone; empty when nothing is. */
  remains(): readonly string[];
  /** Removes all, looks that nothing is left, removes the world. */
  end(): Promise<void>;
}

export function makeLiveWorld(name: string): LiveWorld {
  const world = makeWorld(name);
  fs.chmodSync(world.directory, 0o755);
  const vitrine = (...args: readonly string[]): string => good(world.run(args));
  vitrine("import", path.join(fixtures, "probe.tar"), "probe");
  const live: LiveWorld = {
    ...world,
    vitrine,
    detached: (flags, script) => vitrine("run", "-d", "-q", ...flags, "probe", "sh", "-c", script),
    inspect: (container, field) => vitrine("inspect", "-f", `{{${field}}}`, container),
    remains: () => remainsOf(world),
    async end() {
      world.run(["rm", "--all", "--force"]);
      await until(
        () => (remainsOf(world).length === 0 ? true : undefined),
        () => `nothing to be left: ${remainsOf(world).join(", ")}`,
      );
      await world[Symbol.asyncDispose]();
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
  return live;
}

export function good(done: Result): string {
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.replace(/\n$/, "");
}

/** Directories, names, processes that were started for this world, and cgroups of containers that it does not have. */
function remainsOf({ root, runroot, directory }: World): readonly string[] {
  const left: string[] = [];
  for (const where of [`${root}/containers`, `${root}/names`, `${runroot}/containers`]) {
    if (fs.existsSync(where)) left.push(...fs.readdirSync(where).map((entry) => `${where}/${entry}`));
  }
  for (const pid of fs.readdirSync("/proc")) {
    if (/^\d+$/.test(pid) && isOf(pid, directory)) left.push(`process ${pid}`);
  }
  left.push(
    ...fs
      .readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(directory)),
  );
  return left;
}

function isOf(pid: string, directory: string): boolean {
  try {
    const words = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return words[0] === "vitrine-helper" || words[0]?.endsWith("/vitrine-helper") === true
      ? words.some((word) => word.startsWith(`${directory}/`))
      : false;
  } catch {
    return false;
  }
}

/** Waits until `ready` gives something; fails after `milliseconds`. */
export async function until<T>(
  ready: () => T | undefined,
  what: string | (() => string),
  milliseconds = 60_000,
): Promise<T> {
  const deadline = Date.now() + milliseconds * slowness;
  for (;;) {
    const value = ready();
    if (value !== undefined) return value;
    if (Date.now() > deadline) assert.fail(`waited in vain for ${typeof what === "string" ? what : what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
