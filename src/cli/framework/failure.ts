/** How an error ends a command: the text on stderr and the exit status. The only place that decides either. */
import { errnoOf, printable, VitrineError } from "../../base/mod.ts";
import type { Command } from "./command.ts";
import { OutputClosed } from "./context.ts";
import { Interrupted } from "./interrupt.ts";

/** The engine itself failed, as Docker's and podman's. */
const engineFailure = 125;
/** 128 + SIGPIPE: what a shell shows for a program that lost its reader. */
const outputClosed = 141;

/** Errors of these codes have the status that shells give: found but not executable, not found. */
const statusOfCode: Readonly<Record<string, number>> = {
  "command-not-executable": 126,
  "command-not-found": 127,
};

export interface Failure {
  readonly status: number;
  /** For stderr, with a newline; empty where nothing is to be said. */
  readonly text: string;
}

export function failureOf(error: unknown, debug: boolean, command?: Pick<Command, "exitCodes">): Failure {
  if (error instanceof OutputClosed || errnoOf(error) === "EPIPE") return { status: outputClosed, text: "" };
  if (error instanceof Interrupted) return { status: error.status, text: "" };
  const known = error instanceof VitrineError ? error : fromSystem(error);
  const lines = [`error: ${printable(known.message, { lines: true })}`];
  if (known.hint !== undefined) lines.push(`hint: ${printable(known.hint, { lines: true })}`);
  if (debug) lines.push(...causes(known));
  const status = statusOfCode[known.code] ?? command?.exitCodes?.[known.kind] ?? engineFailure;
  return { status, text: `${lines.join("\n")}\n` };
}

function causes(error: Error): string[] {
  const lines: string[] = [];
  let depth = 0;
  for (let at: unknown = error; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const code = "code" in at ? ` [${String(at.code)}]` : "";
    lines.push(
      `${depth === 0 ? "debug" : "caused by"}: ${printable(at.name)}${code}: ${printable(at.message)}`,
    );
    // Only frames: some runtimes put source text above them.
    const frames = (at.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
    lines.push(...frames.map((line) => printable(line)));
  }
  return lines;
}

/** What the machine refuses, in words a user can act on. */
const systemErrors: Readonly<Record<string, readonly [VitrineError["kind"], string, string]>> = {
  ENOSPC: [
    "unavailable",
    "no space left on the device",
    "free some with 'vitrine image prune --all', or keep images elsewhere with --root DIR",
  ],
  EDQUOT: ["unavailable", "the disk quota is used up", "free some with 'vitrine image prune --all'"],
  EROFS: [
    "unavailable",
    "the filesystem is read-only",
    "use a writable place with --root DIR and --runroot DIR",
  ],
  EACCES: [
    "denied",
    "permission denied",
    "check the owner and mode of the path and of the directories above it",
  ],
  EPERM: ["denied", "operation not permitted", "check the owner of the path, or run 'vitrine doctor'"],
  ENOENT: ["not-found", "no such file or directory", "check the path"],
  ENOTDIR: ["invalid", "not a directory", "check the path"],
  EISDIR: ["invalid", "is a directory", "name a file"],
  EMFILE: ["unavailable", "too many open files", "raise the limit with 'ulimit -n'"],
  ENFILE: ["unavailable", "the machine has too many open files", "close some programs"],
  ELOOP: ["invalid", "too many symbolic links", "check the path"],
};

function fromSystem(error: unknown): VitrineError {
  const errno = errnoOf(error);
  const known = errno === undefined ? undefined : systemErrors[errno];
  if (errno !== undefined && known !== undefined) {
    const path = error instanceof Error && "path" in error ? String(error.path) : "";
    return new VitrineError(known[0], path === "" ? known[1] : `${path}: ${known[1]}`, {
      code: `system-${errno.toLowerCase()}`,
      operand: path,
      hint: known[2],
      cause: error,
    });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new VitrineError("internal", `internal error: ${message}`, {
    code: "internal",
    hint: "this is a fault of vitrine; run it again with --debug and report what it prints",
    cause: error,
  });
}
