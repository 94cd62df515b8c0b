/** Containers: what is done with one, and `vitrine container`. */
import type { CommandEntry } from "../framework/command.ts";
import { inspect } from "./images.ts";

export const run: CommandEntry = {
  name: "run",
  group: "Run",
  summary: "Run a command in a new container",
  load: () => import("../commands/run.ts"),
};

export const ps: CommandEntry = {
  name: "ps",
  group: "Run",
  summary: "List containers",
  load: () => import("../commands/ps.ts"),
};

export const events: CommandEntry = {
  name: "events",
  group: "Run",
  summary: "Show what happens",
  load: () => import("../commands/events.ts"),
};

export const rm: CommandEntry = {
  name: "rm",
  group: "Run",
  summary: "Remove containers",
  load: () => import("../commands/rm.ts"),
};

export const create: CommandEntry = {
  name: "create",
  group: "Run",
  summary: "Make a container without starting it",
  load: () => import("../commands/create.ts"),
};

export const start: CommandEntry = {
  name: "start",
  group: "Run",
  summary: "Start containers",
  load: () => import("../commands/start.ts"),
};

export const stop: CommandEntry = {
  name: "stop",
  group: "Run",
  summary: "Stop containers",
  load: () => import("../commands/stop.ts"),
};

export const restart: CommandEntry = {
  name: "restart",
  group: "Run",
  summary: "Stop and start containers",
  load: () => import("../commands/restart.ts"),
};

export const kill: CommandEntry = {
  name: "kill",
  group: "Run",
  summary: "Send a signal to containers",
  load: () => import("../commands/kill.ts"),
};

export const wait: CommandEntry = {
  name: "wait",
  group: "Run",
  summary: "Wait until containers have ended",
  load: () => import("../commands/wait.ts"),
};

export const attach: CommandEntry = {
  name: "attach",
  group: "Run",
  summary: "Follow a container in the background",
  load: () => import("../commands/attach.ts"),
};

export const pause: CommandEntry = {
  name: "pause",
  group: "Run",
  summary: "Stop all processes of containers for a while",
  load: () => import("../commands/pause.ts"),
};

export const unpause: CommandEntry = {
  name: "unpause",
  group: "Run",
  summary: "Let the processes of paused containers go on",
  load: () => import("../commands/unpause.ts"),
};

export const stats: CommandEntry = {
  name: "stats",
  group: "Run",
  summary: "Show what containers use, again and again",
  load: () => import("../commands/stats.ts"),
};

export const update: CommandEntry = {
  name: "update",
  group: "Run",
  summary: "Change the limits of containers",
  load: () => import("../commands/update.ts"),
};

export const rename: CommandEntry = {
  name: "rename",
  group: "Run",
  summary: "Rename a container",
  load: () => import("../commands/rename.ts"),
};

export const exec: CommandEntry = {
  name: "exec",
  group: "Run",
  summary: "Run a command in a running container",
  load: () => import("../commands/exec.ts"),
};

export const logs: CommandEntry = {
  name: "logs",
  group: "Run",
  summary: "Show what containers printed",
  load: () => import("../commands/logs.ts"),
};

export const top: CommandEntry = {
  name: "top",
  group: "Run",
  summary: "List the processes of a container",
  load: () => import("../commands/top.ts"),
};

export const cp: CommandEntry = {
  name: "cp",
  group: "Run",
  summary: "Copy files into, out of and between containers",
  load: () => import("../commands/cp.ts"),
};

export const diff: CommandEntry = {
  name: "diff",
  group: "Run",
  summary: "List what a container changed in its image's files",
  load: () => import("../commands/diff.ts"),
};

export const exportContainer: CommandEntry = {
  name: "export",
  group: "Run",
  summary: "Write the files of a container as an archive",
  load: () => import("../commands/export.ts"),
};

export const commit: CommandEntry = {
  name: "commit",
  group: "Run",
  summary: "Make an image of a container",
  load: () => import("../commands/commit.ts"),
};

export const containerCommands: CommandEntry = {
  name: "container",
  group: "Management",
  summary: "Manage containers",
  subcommands: [
    run,
    create,
    start,
    stop,
    restart,
    kill,
    wait,
    exec,
    attach,
    logs,
    top,
    pause,
    unpause,
    stats,
    update,
    cp,
    diff,
    exportContainer,
    commit,
    rename,
    inspect,
    {
      name: "prune",
      group: "Run",
      summary: "Remove containers that do not run",
      load: () => import("../commands/container-prune.ts"),
    },
    { ...ps, name: "ls", aliases: ["ps", "list"] },
    { ...rm, aliases: ["remove"] },
  ],
};

export const healthcheckCommands: CommandEntry = {
  name: "healthcheck",
  group: "Management",
  summary: "Check the health of containers",
  subcommands: [
    {
      name: "run",
      group: "Management",
      summary: "Run a container's health check",
      load: () => import("../commands/healthcheck-run.ts"),
    },
  ],
};
