import * as fs from "node:fs";
import type { Bench, Part, Row } from "../bench.ts";
import { makeSparseImage } from "../sparse-image.ts";
import { highWaterOfAll, peak } from "./processes.ts";
import { startOurs } from "./servers.ts";

/** The peak of resident memory (VmHWM) on both sides while 4 GiB go up and come down. They are zeros: what passes through is not looked at. */
export async function* memory(bench: Bench): AsyncGenerator<Part> {
  const image = makeSparseImage(bench.work, 4 * 1024 ** 3);
  await using server = await startOurs(bench);
  const row = (what: string, kilobytes: number): Row => {
    return { what, ours: kilobytes / 1024, unit: "MiB", peer: "100 MiB", theirs: 100, budget: 1 };
  };
  const name = `${server.name}/sparse:1`;
  yield {
    what: "memory of both sides, pushing a 4 GiB blob",
    measure: async () => {
      // As it is: by default a plain layer is gzipped on its way, and 4 GiB of zeros would come down as a bomb.
      const copy = [bench.vitrine, "copy", "-q", "--preserve-digests", image, `docker://${name}`];
      return [
        row("memory of the client, pushing a 4 GiB blob", await peak(copy)),
        row("memory of the registry with its helper, taking it", highWaterOfAll(server.pid)),
      ];
    },
  };
  yield {
    what: "memory of both sides, pulling it",
    measure: async () => {
      const store = { VITRINE_ROOT: `${bench.work}/sparse`, VITRINE_RUNROOT: `${bench.work}/sparse.run` };
      const rows = [
        row(
          "memory of the client, pulling and unpacking it",
          await peak([bench.vitrine, "pull", "-q", name], store),
        ),
        row("memory of the registry with its helper, taking and sending it", highWaterOfAll(server.pid)),
      ];
      fs.rmSync(store.VITRINE_ROOT, { recursive: true, force: true });
      return rows;
    },
  };
}
