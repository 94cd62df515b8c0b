import { spawnSync } from "node:child_process";
import { printable, VitrineError } from "../../base/mod.ts";
import { containerProcesses, findContainer, loadDescriptors, notRunning } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { chosenNames } from "../containers/each.ts";
import { layTable } from "../format/table.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  usage: ["CONTAINER [DESCRIPTOR...]", "CONTAINER [PS OPTION...]"],
  description: `Lists the processes of a container. With descriptors, as the container sees them: args, capamb, capbnd, capeff, capinh,
    capprm, comm, etime, group, groups, hgroup, hgroups, hpid, huid, huser, label, nice, pcpu, pgid, pid, ppid, rgroup, rss, ruser,
    seccomp, state, stime, time, tty, uid, user, vsz (those with 'h' are of the host). Else with their pids on the host, by
    ps: its options may follow, '-ef' without.`,
  options: { latest: { type: "boolean", short: "l", help: "of the newest container" } },
  positionals: [
    { name: "CONTAINER", optional: true, completion: "container" },
    { name: "OPTION", optional: true, variadic: true, completion: "none" },
  ],
  stopAtFirstPositional: true,
  examples: [
    { command: "vitrine top web pid hpid user args", does: "which process it is, inside and on the host" },
    { command: "vitrine top web -o pid,rss,comm", does: "their resident memory" },
  ],
  async run({ options, positionals, context }) {
    const [name = ""] = chosenNames(context, positionals.slice(0, 1), options);
    const words = options.latest ? positionals : positionals.slice(1);
    await sweepNamed(context, [name]);
    const paths = context.paths();
    const container = findContainer(paths, name);
    const pids = containerProcesses(paths, container);
    if (pids.length === 0) throw notRunning(container);
    const descriptors = words.length === 0 ? undefined : (await loadDescriptors()).descriptorsOf(words);
    if (descriptors !== undefined) {
      const { describeProcesses } = await loadDescriptors();
      const rows = describeProcesses(pids, descriptors, context.now());
      context.out(layTable(rows.map((row) => row.map((cell) => printable(cell)))));
      return;
    }
    const listed = spawnSync("ps", words.length === 0 ? ["-ef"] : [...words, "-p", pids.join(",")], {
      encoding: "utf8",
    });
    const [title = "", ...lines] = (listed.stdout ?? "").trimEnd().split("\n");
    if (listed.error !== undefined || title === "") {
      throw new VitrineError("unavailable", `ps: ${listed.error?.message ?? listed.stderr.trim()}`, {
        code: "ps-failed",
        operand: words.join(" "),
        hint: "what follows the container are options of ps, as -o pid,user,args; it is of package procps",
      });
    }
    const columns = title.trim().split(/\s+/);
    const at = columns.indexOf("PID");
    if (at < 0) {
      throw new VitrineError("invalid", "the output of ps has no column PID", {
        code: "ps-without-pid",
        operand: words.join(" "),
        hint: "add it: -o pid,comm",
      });
    }
    const wanted = new Set(pids.map(String));
    const rows = lines.map((line) => cells(line, columns.length)).filter((row) => wanted.has(row[at] ?? ""));
    // What a program calls itself is its own word.
    context.out(layTable([columns, ...rows].map((row) => row.map((cell) => printable(cell)))));
  },
});

/** The last column may have spaces. */
function cells(line: string, count: number): readonly string[] {
  const words = line.trim().split(/\s+/);
  return [...words.slice(0, count - 1), words.slice(count - 1).join(" ")];
}
