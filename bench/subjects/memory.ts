import * as fs from "node:fs";
import type { Bench, Row, Subject } from "../bench.ts";

/** Resident memory of what stays beside an idle detached container's own program. */
export const memory: Subject = {
  name: "memory",
  parts: (bench) => [{ what: "memory of the monitor", measure: () => [measureMonitor(bench)] }],
};

function measureMonitor(bench: Bench): Row {
  bench.shell(
    `${bench.vitrine} run -d --name m --cidfile ${bench.work}/m.id --network none bench sleep 1000`,
  );
  const id = fs.readFileSync(`${bench.work}/m.id`, "utf8").trim();
  const [pid] = fs.readFileSync(`${bench.work}/run/containers/${id}/monitor`, "utf8").split(" ");
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  bench.shell(`${bench.vitrine} rm -f m`);
  return {
    what: "resident memory of the monitor of an idle container",
    ours: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    unit: "MiB",
    peer: "1 MiB",
    theirs: 1,
    budget: 1,
  };
}
