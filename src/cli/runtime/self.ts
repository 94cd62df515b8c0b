/** How this program is started again: by the helper, to tell of a failed op. */
import type { VerbInvocation } from "./verb.ts";

/** Started from its sources, node or bun is the program and the script its first argument. */
function selfCommand(): readonly string[] {
  const script = process.argv[1] ?? "";
  return script.endsWith(".ts") && !script.startsWith("/$bunfs")
    ? [process.execPath, script]
    : [process.execPath];
}

/** For `reportFailure`: the container's directory follows. */
export function failureCommand(
  { globals, log, context }: Pick<VerbInvocation, "globals" | "log" | "context">,
  verb: string,
): readonly string[] {
  void context;
  return [
    ...selfCommand(),
    "runtime",
    ...(log.file === undefined ? [] : ["--log", log.file]),
    "--log-format",
    log.format,
    ...(globals.debug ? ["--debug"] : []),
    "__failed",
    "--verb",
    verb,
  ];
}
