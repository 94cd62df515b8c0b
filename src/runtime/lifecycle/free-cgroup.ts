/** A cgroup that the config names is for one container: limits and kills would meet whoever else is in it. */
import * as fs from "node:fs";
import { VitrineError } from "../../base/mod.ts";
import type { HostFacts } from "../../kernel/mod.ts";
import type { CgroupDecision } from "../types.ts";

/** Nothing is changed. Errors, in runc's words: `cgroup-not-empty`, `cgroup-frozen`. */
export function requireFreeCgroup(decision: CgroupDecision, { cgroup }: HostFacts): void {
  if (decision.mode === "none" || decision.scope !== undefined || decision.path === "/") return;
  for (const { directory, freezer, frozen } of places(decision, cgroup.hierarchies)) {
    const found = read(`${directory}/cgroup.procs`)
      .split("\n")
      .filter((line) => line !== "").length;
    if (found > 0) {
      throw new VitrineError("invalid", `container's cgroup is not empty: ${found} process(es) found`, {
        code: "cgroup-not-empty",
        operand: directory,
        hint: "give each container a linux.cgroupsPath of its own, or delete the one that is there",
      });
    }
    if (read(`${directory}/${freezer}`).startsWith(frozen)) {
      throw new VitrineError("invalid", "container's cgroup unexpectedly frozen", {
        code: "cgroup-frozen",
        operand: directory,
        hint: "thaw it, or remove it",
      });
    }
  }
}

function places(
  decision: Exclude<CgroupDecision, { readonly mode: "none" }>,
  hierarchies: HostFacts["cgroup"]["hierarchies"],
) {
  if (decision.mode === "v2") {
    return [{ directory: `${decision.root}${decision.path}`, freezer: "cgroup.freeze", frozen: "1" }];
  }
  return hierarchies
    .filter(({ controllers }) => controllers.includes("pids") || controllers.includes("freezer"))
    .map(({ mountPoint }) => ({
      directory: `${mountPoint}${decision.path}`,
      freezer: "freezer.state",
      frozen: "FR",
    }));
}

/** Empty where there is none. */
function read(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
