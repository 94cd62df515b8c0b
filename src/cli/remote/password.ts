/** A password typed by the user, not shown. */
import { spawnSync } from "node:child_process";
import { VitrineError } from "../../base/mod.ts";
import type { Context } from "../framework/context.ts";
import { askLine } from "../framework/stdin.ts";

/** Error: `password-missing` where nobody can be asked. */
export async function askPassword(
  context: Context,
  question: string,
  hint = "give it on standard input with --password-stdin",
): Promise<string> {
  if (!context.stdinIsTerminal) {
    throw new VitrineError("invalid", "a password is needed, and there is no terminal to ask at", {
      code: "password-missing",
      hint,
    });
  }
  // A tty.ReadStream would make the descriptor that others share non-blocking; stty changes the terminal alone.
  const echo = (on: boolean): void => {
    spawnSync("stty", [on ? "echo" : "-echo"], { stdio: ["inherit", "ignore", "ignore"] });
  };
  const restore = (): void => {
    echo(true);
    process.exit(130);
  };
  process.once("SIGINT", restore);
  echo(false);
  try {
    return askLine(context, question) ?? "";
  } finally {
    echo(true);
    context.err("\n");
    process.off("SIGINT", restore);
  }
}
