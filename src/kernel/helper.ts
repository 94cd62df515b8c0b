/** Starting the helper: how the engine becomes the monitor. */
import { VitrineError } from "../base/mod.ts";

/**
 * What the helper and what it starts (newuidmap, the program that explains a failure) get of the environment. A
 * container's own variables are in its plan; BUN_*, LD_* and the like stop here.
 */
const passedOn = [
  "PATH",
  "HOME",
  "USER",
  "TERM",
  "NO_COLOR",
  "COLORTERM",
  "LANG",
  "LC_ALL",
  "XDG_RUNTIME_DIR",
  "XDG_DATA_HOME",
];

/** The part of an environment that the helper gets. */
export function helperEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of passedOn) {
    const value = environment[name];
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}

type Execve = (file: string, args: readonly string[], env: Readonly<Record<string, string>>) => never;

/**
 * Replaces this process by `vitrine-helper run PLAN`: same pid, same start time, same standard streams, so that no
 * JavaScript stays behind the container. Never returns; where the runtime cannot execve (node before 23.11), the
 * helper runs as a child and its exit status is passed on. Error: `helper-not-started`.
 */
export function becomeHelper(helperPath: string, planPath: string): never {
  return becomeHelperWith(helperPath, ["run", planPath]);
}

/** The same with another command of the helper (ARCHITECTURE.md, "The helper's command line"). */
export function becomeHelperWith(helperPath: string, words: readonly string[]): never {
  const env = helperEnvironment(process.env);
  const args = ["vitrine-helper", ...words];
  const { execve } = process as unknown as { readonly execve?: Execve };
  try {
    if (typeof execve === "function") return execve.call(process, helperPath, args, env);
  } catch (cause) {
    throw helperNotStarted(helperPath, cause);
  }
  // Loaded where it is needed: its start costs a millisecond of every run.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const { constants } = process.getBuiltinModule("node:os");
  const done = spawnSync(helperPath, args.slice(1), { env, stdio: "inherit", argv0: args[0] });
  if (done.error !== undefined) throw helperNotStarted(helperPath, done.error);
  process.exit(done.status ?? 128 + (constants.signals[done.signal ?? "SIGKILL"] ?? 9));
}

/** The error of a helper that cannot be executed. */
export function helperNotStarted(helperPath: string, cause: unknown): VitrineError {
  return new VitrineError("unavailable", `cannot start the helper ${helperPath}`, {
    code: "helper-not-started",
    operand: helperPath,
    hint: "install vitrine-helper again, beside vitrine or in ../libexec/vitrine",
    cause,
  });
}
