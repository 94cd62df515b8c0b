/** Why the user's program did not start; the exit statuses are those of shells and of Docker. */

import { quoted } from "../base/mod.ts";
import type { Failed, Finding } from "./hints.ts";

const notFound = 127;
const notExecutable = 126;

/** Codes `command-not-found` (127) and `command-not-executable` (126). */
export function diagnoseExecute({ op, errno, detail }: Failed<"execute">): Finding {
  const program = op.argv[0] ?? "";
  const what = `cannot run ${quoted(program)}`;
  const missing = (because: string, hint: string): Finding => ({
    what,
    because,
    kind: "not-found",
    code: "command-not-found",
    hint,
    exitCode: notFound,
  });
  const refused = (because: string | undefined, hint: string): Finding => ({
    what,
    because,
    kind: errno === "EACCES" || errno === "EPERM" ? "denied" : "invalid",
    code: "command-not-executable",
    hint,
    exitCode: notExecutable,
  });
  switch (errno) {
    case "ENOENT":
      if (program === "") return missing("the command is an empty string", "name a program after the image");
      if (detail.endsWith(" is missing")) {
        return missing(
          `it is there, but what loads it is not: ${detail}`,
          "the file was made for another system (glibc or musl), or its #! line names a program that the image lacks",
        );
      }
      return program.includes("/")
        ? missing(
            "there is no such file in the container",
            "check the path; 'vitrine explain IMAGE' shows what the image runs",
          )
        : missing(
            `it is in none of the directories of PATH (${quoted(pathOf(op.env))})`,
            "check the spelling, give the whole path, or set PATH with --env",
          );
    case "EACCES":
      return refused(
        "it is not executable for the container's user, is a directory, or lies on a noexec mount",
        "check its mode in the image, the mount's options, and --user",
      );
    case "ENOEXEC":
      return refused(
        "it is neither a program of this machine nor a script with a #! line",
        "the image is for another platform, perhaps: see 'vitrine image inspect', and --platform",
      );
    case "EPERM":
      return refused(undefined, "a security module or the seccomp profile refuses it");
    case "E2BIG":
      return refused("arguments and environment are too long together", "pass less, or pass it in a file");
    case "ETXTBSY":
      return refused("somebody is writing it", "finish writing the file first");
    default:
      return refused(undefined, "check the file in the image");
  }
}

function pathOf(env: readonly string[]): string {
  return env.find((each) => each.startsWith("PATH="))?.slice("PATH=".length) ?? "not set";
}
