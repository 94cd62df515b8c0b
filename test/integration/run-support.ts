/** A world with the probe image in it, and the census at the end of each file of `run` tests. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { fixtures, leftBehind, makeWorld, nothing, type Result, slowness, type World } from "./support.ts";

export interface RunWorld extends World {
  /** `run --rm --quiet FLAGS… probe COMMAND…` */
  probe(flags: readonly string[], ...command: readonly string[]): Result;
  /** The same with `sh -c SCRIPT`; fails the test unless it ends with 0. Returns its output without the last newline. */
  sh(flags: readonly string[], script: string): string;
  /** Nothing of any container is left: no mount, cgroup, process, directory or name. */
  assertClean(): Promise<void>;
}

/** The image `probe`: busybox and two users, `user` (1000, groups staff and audio) and `other` (1001). */
export function makeRunWorld(name: string): RunWorld {
  const world = makeWorld(name);
  // The unprivileged user's container must be able to look into it.
  fs.chmodSync(world.directory, 0o755);
  const imported = world.run(["import", path.join(fixtures, "probe.tar"), "probe"]);
  assert.equal(imported.status, 0, imported.stderr);
  const probe = (flags: readonly string[], ...command: readonly string[]): Result =>
    world.run(["run", "--rm", "--quiet", ...flags, "probe", ...command]);
  return {
    ...world,
    probe,
    sh(flags, script) {
      const done = probe(flags, "sh", "-c", script);
      assert.equal(done.status, 0, `${flags.join(" ")}: ${script}: ${done.stderr}`);
      return done.stdout.replace(/\n$/, "");
    },
    async assertClean() {
      assert.deepEqual(await leftBehind(world.directory), nothing);
      for (const directory of ["root/containers", "root/names", "run/containers"]) {
        const full = path.join(world.directory, directory);
        assert.deepEqual(fs.existsSync(full) ? fs.readdirSync(full) : [], [], directory);
      }
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

/** `KEY:\tVALUE` lines of /proc/PID/status and their like. */
export function rowsOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split("\n").flatMap((line) => {
      const colon = line.indexOf(":");
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
    }),
  );
}

/** Options of the mount at `point` in the text of /proc/self/mounts; undefined: nothing is mounted there. */
export function mountOptions(mounts: string, point: string): readonly string[] | undefined {
  const line = mounts.split("\n").findLast((candidate) => candidate.split(" ")[1] === point);
  return line?.split(" ")[3]?.split(",");
}

/**
 * For a program that ends when it sees /end. All of its container ends with it, who made the file as well if it was not gone
 * yet: its status says nothing.
 */
export function letEnd(world: Pick<World, "run">, container: string): void {
  world.run(["exec", container, "touch", "/end"]);
}

/** Helpers in stage apply that still work for this world: those of a command that was killed end a moment after it. */
export function appliersOf({ directory }: Pick<World, "directory">): readonly string[] {
  return fs.readdirSync("/proc").filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) &&
        fs.readFileSync(`/proc/${pid}/comm`, "utf8") === "vitrine-apply\n" &&
        // Of a command's variables they get HOME.
        fs.readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${directory}/`)
      );
    } catch {
      return false;
    }
  });
}

/** Waits until `ready` gives something; fails after `milliseconds`. */
export async function until<T>(ready: () => T | undefined, what: string, milliseconds = 60_000): Promise<T> {
  const deadline = Date.now() + milliseconds * slowness;
  for (;;) {
    const value = ready();
    if (value !== undefined) return value;
    assert.ok(Date.now() < deadline, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
