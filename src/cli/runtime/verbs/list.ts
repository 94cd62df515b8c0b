import { fileKind, printable, VitrineError } from "../../../base/mod.ts";
import { readState, stateOutput } from "../../../runtime/mod.ts";
import { containerIds } from "../container-ids.ts";
import { defineVerb, type RuntimeGlobals } from "../verb.ts";

export const verb = defineVerb({
  summary: "List the containers",
  usage: "",
  options: {
    format: {
      type: "string",
      short: "f",
      default: "table",
      choices: ["table", "json"],
      help: "table or json",
    },
    quiet: { type: "boolean", short: "q", help: "ids alone" },
  },
  positionals: [0, 0],
  run({ options, globals, context, log }) {
    requireRoot(globals);
    const states = containerIds(globals.root).flatMap((id) => {
      try {
        return [stateOutput(readState(globals.root, id))];
      } catch (error) {
        log.warning(`${id}: ${error instanceof Error ? error.message : String(error)}`);
        return [];
      }
    });
    if (options.quiet) context.out(states.map(({ id }) => `${id}\n`).join(""));
    else if (options.format === "json")
      context.out(`${states.length === 0 ? "null" : JSON.stringify(states)}\n`);
    else context.out(table(states));
    return 0;
  },
});

/** One that was named and is not there is a mistake; the default is made by the first container. Error: `root-missing`. */
function requireRoot({ root, words }: RuntimeGlobals): void {
  const named = words.some((word) => word === "--root" || word.startsWith("--root="));
  if (!named || fileKind(root) === "directory") return;
  throw new VitrineError("not-found", `--root ${root}: no such directory`, {
    code: "root-missing",
    operand: "--root",
    hint: "'create' makes it",
  });
}

function table(states: readonly ReturnType<typeof stateOutput>[]): string {
  const rows = [
    ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
    ...states.map(({ id, pid, status, bundle, created, owner }) => [
      id,
      String(pid),
      status,
      printable(bundle),
      created,
      printable(owner),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(12, ...rows.map((row) => row[column]!.length + 3)));
  return rows
    .map(
      (row) =>
        `${row.map((cell, column) => (column === 5 ? cell : cell.padEnd(widths[column]!))).join("")}\n`,
    )
    .join("");
}
