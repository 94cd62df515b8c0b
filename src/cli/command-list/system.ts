/** What shows, and what keeps the machine in order; and what nobody types. */
import type { CommandEntry } from "../framework/command.ts";
import { events } from "./containers.ts";

export const explain: CommandEntry = {
  name: "explain",
  group: "See through",
  summary: "Show what a run would do, what an image holds, how two differ",
  load: () => import("../commands/explain.ts"),
};

export const why: CommandEntry = {
  name: "why",
  group: "See through",
  summary: "Tell what stood in the way of a command that failed",
  load: () => import("../commands/why.ts"),
};

export const doctor: CommandEntry = {
  name: "doctor",
  group: "See through",
  summary: "Check what this machine can do, and how to mend it",
  load: () => import("../commands/doctor.ts"),
};

export const info: CommandEntry = {
  name: "info",
  group: "System",
  summary: "Show the host, the store and the driver",
  load: () => import("../commands/info.ts"),
};

const df: CommandEntry = {
  name: "df",
  group: "System",
  summary: "Show disk usage",
  load: () => import("../commands/df.ts"),
};

export const version: CommandEntry = {
  name: "version",
  group: "System",
  summary: "Show the version",
  load: () => import("../commands/version.ts"),
};

export const completion: CommandEntry = {
  name: "completion",
  group: "System",
  summary: "Print the completion script of a shell",
  load: () => import("../commands/completion.ts"),
};

export const help: CommandEntry = {
  name: "help",
  group: "System",
  summary: "Show help for a command",
  load: () => import("../commands/help.ts"),
};

export const systemCommands: CommandEntry = {
  name: "system",
  group: "Management",
  summary: "Manage vitrine",
  subcommands: [
    df,
    events,
    info,
    {
      name: "prune",
      group: "System",
      summary: "Remove what nothing uses",
      load: () => import("../commands/system-prune.ts"),
    },
    {
      name: "check",
      group: "System",
      summary: "Find and mend damage of the store and the containers",
      load: () => import("../commands/system-check.ts"),
    },
  ],
};

export const scope: CommandEntry = {
  name: "__scope",
  group: "System",
  summary: "Have systemd make a scope",
  hidden: true,
  load: () => import("../commands/scope.ts"),
};

export const failed: CommandEntry = {
  name: "__failed",
  group: "System",
  summary: "Explain a failed step of a container's start",
  hidden: true,
  load: () => import("../commands/failed.ts"),
};

export const complete: CommandEntry = {
  name: "__complete",
  group: "System",
  summary: "Complete a command line",
  hidden: true,
  load: () => import("../commands/complete.ts"),
};
