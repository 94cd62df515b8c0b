import * as fs from "node:fs";
import * as path from "node:path";
import { collect, type TarInput, writeTar } from "../../src/base/mod.ts";
import { fixtures, makeWorld, type World } from "../integration/support.ts";

/** A world whose image `box` is the probe image, with further members laid over it by a hostile image author. */
export async function hostileWorld(name: string, members: readonly TarInput[] = []): Promise<World> {
  const world = makeWorld(name);
  const base = fs.readFileSync(path.join(fixtures, "probe.tar"));
  // Two zero blocks end an archive: what is laid over comes before them.
  const end = endOfMembers(base);
  const over = await collect(writeTar(members), 64 * 1024 * 1024);
  const image = Buffer.concat([base.subarray(0, end), over]);
  const done = world.run(["import", "-", "box"], { input: image });
  if (done.status !== 0) throw new Error(`import: ${done.stderr}`);
  return world;
}

function endOfMembers(tar: Uint8Array): number {
  let end = tar.length;
  while (end >= 512 && tar.subarray(end - 512, end).every((byte) => byte === 0)) end -= 512;
  return end;
}

/** A directory beside the store that no container may touch; `untouched` says whether it still is as it was made. */
export function bait(world: World): { readonly directory: string; untouched(): boolean } {
  const directory = path.join(world.directory, "bait");
  fs.mkdirSync(directory, { mode: 0o777 });
  fs.chmodSync(directory, 0o777);
  fs.writeFileSync(path.join(directory, "file"), "bait\n", { mode: 0o666 });
  fs.chmodSync(path.join(directory, "file"), 0o666);
  return {
    directory,
    untouched: () =>
      fs.readdirSync(directory).join() === "file" &&
      fs.readFileSync(path.join(directory, "file"), "utf8") === "bait\n",
  };
}
