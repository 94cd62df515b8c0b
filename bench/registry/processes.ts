/** What the kernel says of a server and its helpers. */
import { spawn } from "node:child_process";
import * as fs from "node:fs";

/** Of a process and its children. */
export function processorSeconds(pid: number): number {
  const ticks = family(pid).map((each) => {
    const stat = fs.readFileSync(`/proc/${each}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / 100;
}

function family(pid: number): number[] {
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
  const others = fs.readdirSync(`/proc/${pid}/task`).filter((task) => task !== `${pid}`);
  const more = others.map((task) => fs.readFileSync(`/proc/${pid}/task/${task}/children`, "latin1"));
  return [pid, ...[children, ...more].join(" ").split(" ").filter(Boolean).map(Number)];
}

/** KiB of resident memory at most (VmHWM) of a command while it runs. */
export async function peak(
  command: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<number> {
  const child = spawn(command[0]!, command.slice(1), { stdio: "ignore", env: { ...process.env, ...more } });
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, highWater(child.pid!));
  }, 50);
  const status = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  clearInterval(watch);
  if (status !== 0) throw new Error(`${command.join(" ")} ended with ${status}`);
  return most;
}

export function highWaterOfAll(pid: number): number {
  return family(pid).reduce((sum, each) => sum + highWater(each), 0);
}

/** KiB; 0 of a process that has ended. */
function highWater(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
