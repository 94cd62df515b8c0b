/** The flags of `run` and `explain run`, in docker's and podman's words: for the parser, help, completion and the man page. */
import type { OptionTable, OptionValues } from "./framework/command.ts";
import { registryOptions } from "./remote/options.ts";
import { containerFlags } from "./run-flags/container.ts";
import { filesystemFlags } from "./run-flags/filesystem.ts";
import { isolationFlags } from "./run-flags/isolation.ts";
import { privilegeFlags } from "./run-flags/privileges.ts";
import { processFlags } from "./run-flags/process.ts";
import { acceptedWords, refusedWords } from "./run-flags/words.ts";

export const runOptionTable = {
  ...containerFlags,
  ...processFlags,
  ...isolationFlags,
  ...filesystemFlags,
  ...privilegeFlags,
  ...acceptedWords,
  ...registryOptions,
  ...refusedWords,
} as const satisfies OptionTable;

/** Of `run` alone: who starts a container later has descriptors of his own. */
export const preserveOption = {
  "preserve-fds": {
    type: "number",
    value: "N",
    default: 0,
    section: "Process",
    help: "hand N open descriptors from 3 on to the program",
  },
} as const satisfies OptionTable;

export type RunFlags = OptionValues<typeof runOptionTable>;
