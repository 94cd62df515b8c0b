import type { OptionTable } from "../framework/command.ts";

/** Of stop and restart. */
export const stopOptions = {
  time: {
    type: "number",
    short: "t",
    aliases: ["timeout"],
    value: "SECONDS",
    defaultText: "10",
    help: "time from the stop signal to SIGKILL; -1 waits for ever",
  },
  signal: {
    type: "string",
    short: "s",
    value: "SIGNAL",
    defaultText: "the container's",
    help: "the signal to stop with",
  },
} as const satisfies OptionTable;
