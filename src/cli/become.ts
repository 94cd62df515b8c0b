/** This process becomes the helper: nothing of JavaScript stays between the container and whoever started us. */
import { VitrineError } from "../base/mod.ts";
import { helperEnvironment, helperNotStarted } from "../kernel/mod.ts";

type Execve = (file: string, args: readonly string[], env: Readonly<Record<string, string>>) => never;

/**
 * `vitrine-helper ARGS…`: the same pid, and of the descriptors from 3 on the first `preserved`, where they were open when
 * we were started. Error: `helper-not-started`.
 */
export async function becomePreserving(
  helper: string,
  args: readonly string[],
  preserved: number,
): Promise<never> {
  const inherited = (process.env["VITRINE_DESCRIPTORS"] ?? "").split(",").map(Number);
  const kept = inherited.filter((one) => one >= 3 && one < 3 + preserved);
  if (kept.length > 0 && process.versions["bun"] !== undefined) {
    const { executeWith } = await import("./execute-with.ts");
    await executeWith(helper, ["vitrine-helper", ...args], helperEnvironment(process.env), kept);
  }
  return becomeHelperWith(helper, args);
}

/** Error: `descriptor-missing` where one of the first `count` from 3 on was not open when we were started. */
export function requireOpen(count: number): void {
  const inherited = new Set((process.env["VITRINE_DESCRIPTORS"] ?? "").split(","));
  for (let one = 3; one < 3 + count; one++) {
    if (inherited.has(String(one))) continue;
    throw new VitrineError(
      "invalid",
      `file descriptor ${one} is not open: --preserve-fds ${count} hands on 3${count > 1 ? ` to ${2 + count}` : ""}`,
      {
        code: "descriptor-missing",
        operand: "--preserve-fds",
        hint: `open it for vitrine, in a shell with ${one}<FILE or ${one}>FILE`,
      },
    );
  }
}

/** `vitrine-helper ARGS…`: the same pid. Error: `helper-not-started`. */
export function becomeHelperWith(helper: string, args: readonly string[]): never {
  const env = helperEnvironment(process.env);
  const { execve } = process as unknown as { readonly execve?: Execve };
  try {
    if (typeof execve === "function") return execve.call(process, helper, ["vitrine-helper", ...args], env);
  } catch (cause) {
    throw helperNotStarted(helper, cause);
  }
  process.exit(runHelper(helper, args));
}

/** `vitrine-helper ARGS…` beside us, to its end: its exit status. Error: `helper-not-started`. */
export function runHelper(helper: string, args: readonly string[]): number {
  const env = helperEnvironment(process.env);
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const { constants } = process.getBuiltinModule("node:os");
  const done = spawnSync(helper, args, { env, stdio: "inherit", argv0: "vitrine-helper" });
  if (done.error !== undefined) throw helperNotStarted(helper, done.error);
  return done.status ?? 128 + (constants.signals[done.signal ?? "SIGKILL"] ?? 9);
}

export function runArguments(plan: string, preserved: number): readonly string[] {
  return preserved === 0 ? ["run", plan] : ["run", "--preserve-fds", String(preserved), plan];
}
