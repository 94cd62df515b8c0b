/**
 * The launcher (native/launcher.c) starts short commands without the just-in-time compiler: they end before it pays.
 * One that turns out to be long, a `run` that must unpack its image first, starts itself again with it.
 */

import { noting } from "../../base/mod.ts";

type Execve = (file: string, args: readonly string[], env: Readonly<Record<string, string>>) => never;

/** The variable by which the launcher turns the compiler off. */
export const interpretedVariable = "BUN_JSC_useJIT";

/**
 * Starts this command line again, compiled: the same process, the same standard streams. Returns where that cannot
 * be done; the work is then only slower. To be called before anything was made or read that a second start would
 * find changed.
 */
export function restartCompiled(args: readonly string[], environment: NodeJS.ProcessEnv): void {
  const { execve } = process as unknown as { readonly execve?: Execve };
  if (typeof execve !== "function") return;
  noting.noter?.giveUp("it starts itself again");
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    // A connection of the launcher's ends here as well.
    if (value !== undefined && name !== interpretedVariable && name !== "VITRINE_REACHED") env[name] = value;
  }
  // As the launcher starts long commands.
  env["UV_THREADPOOL_SIZE"] ??= "8";
  try {
    execve.call(process, process.execPath, ["vitrine", ...args], env);
  } catch {
    // Interpreted, then.
  }
}
