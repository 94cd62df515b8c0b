/** `vitrine-runtime --help` and `vitrine-runtime VERB --help`. */
import type { OptionTable } from "../framework/command.ts";
import type { Verb } from "./verb.ts";

export function renderRuntimeHelp(
  verbs: readonly (readonly [string, Verb])[],
  globals: OptionTable,
  name: string | undefined,
): string {
  const [only] = verbs;
  if (name !== undefined && only !== undefined) {
    const [, verb] = only;
    return [
      `Usage: vitrine-runtime [GLOBAL OPTIONS] ${name} [OPTIONS] ${verb.usage}`,
      "",
      verb.summary,
      "",
      "Options:",
      ...optionLines(verb.options),
      "",
    ].join("\n");
  }
  return [
    "Usage: vitrine-runtime [GLOBAL OPTIONS] VERB [OPTIONS] [CONTAINER] [ARG...]",
    "",
    "An OCI runtime with the command line of runc.",
    "",
    "Verbs:",
    ...verbs.map(([key, { summary }]) => `  ${key.padEnd(12)} ${summary}`),
    "",
    "Global options:",
    ...optionLines(globals),
    "",
  ].join("\n");
}

function optionLines(table: OptionTable): string[] {
  return Object.entries(table)
    .filter(([, { hidden }]) => hidden !== true)
    .map(([long, { short, type, value, help }]) => {
      const argument = type === "boolean" ? "" : ` ${value ?? (type === "number" ? "N" : "TEXT")}`;
      return `  ${`${short === undefined ? "    " : `-${short}, `}--${long}${argument}`.padEnd(32)} ${help}`;
    });
}
