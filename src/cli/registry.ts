/**
 * Every command, as one line each. Start-up reads this table and loads the one file that was asked for; nothing here
 * may import more than types.
 */
import type { CommandEntry } from "./framework/command.ts";

const run: CommandEntry = {
  name: "run",
  group: "Run",
  summary: "Run a command in a new container",
  load: () => import("./commands/run.ts"),
};
const ps: CommandEntry = {
  name: "ps",
  group: "Run",
  summary: "List containers",
  load: () => import("./commands/ps.ts"),
};
const events: CommandEntry = {
  name: "events",
  group: "Run",
  summary: "Show what happens",
  load: () => import("./commands/events.ts"),
};
const rm: CommandEntry = {
  name: "rm",
  group: "Run",
  summary: "Remove containers",
  load: () => import("./commands/rm.ts"),
};
const create: CommandEntry = {
  name: "create",
  group: "Run",
  summary: "Make a container without starting it",
  load: () => import("./commands/create.ts"),
};
const start: CommandEntry = {
  name: "start",
  group: "Run",
  summary: "Start containers",
  load: () => import("./commands/start.ts"),
};
const stop: CommandEntry = {
  name: "stop",
  group: "Run",
  summary: "Stop containers",
  load: () => import("./commands/stop.ts"),
};
const restart: CommandEntry = {
  name: "restart",
  group: "Run",
  summary: "Stop and start containers",
  load: () => import("./commands/restart.ts"),
};
const kill: CommandEntry = {
  name: "kill",
  group: "Run",
  summary: "Send a signal to containers",
  load: () => import("./commands/kill.ts"),
};
const wait: CommandEntry = {
  name: "wait",
  group: "Run",
  summary: "Wait until containers have ended",
  load: () => import("./commands/wait.ts"),
};
const attach: CommandEntry = {
  name: "attach",
  group: "Run",
  summary: "Follow a container in the background",
  load: () => import("./commands/attach.ts"),
};
const pause: CommandEntry = {
  name: "pause",
  group: "Run",
  summary: "Stop all processes of containers for a while",
  load: () => import("./commands/pause.ts"),
};
const unpause: CommandEntry = {
  name: "unpause",
  group: "Run",
  summary: "Let the processes of paused containers go on",
  load: () => import("./commands/unpause.ts"),
};
const stats: CommandEntry = {
  name: "stats",
  group: "Run",
  summary: "Show what containers use, again and again",
  load: () => import("./commands/stats.ts"),
};
const update: CommandEntry = {
  name: "update",
  group: "Run",
  summary: "Change the limits of containers",
  load: () => import("./commands/update.ts"),
};
const rename: CommandEntry = {
  name: "rename",
  group: "Run",
  summary: "Rename a container",
  load: () => import("./commands/rename.ts"),
};
const exec: CommandEntry = {
  name: "exec",
  group: "Run",
  summary: "Run a command in a running container",
  load: () => import("./commands/exec.ts"),
};
const logs: CommandEntry = {
  name: "logs",
  group: "Run",
  summary: "Show what containers printed",
  load: () => import("./commands/logs.ts"),
};
const top: CommandEntry = {
  name: "top",
  group: "Run",
  summary: "List the processes of a container",
  load: () => import("./commands/top.ts"),
};

const cp: CommandEntry = {
  name: "cp",
  group: "Run",
  summary: "Copy files into, out of and between containers",
  load: () => import("./commands/cp.ts"),
};

const diff: CommandEntry = {
  name: "diff",
  group: "Run",
  summary: "List what a container changed in its image's files",
  load: () => import("./commands/diff.ts"),
};
const exportContainer: CommandEntry = {
  name: "export",
  group: "Run",
  summary: "Write the files of a container as an archive",
  load: () => import("./commands/export.ts"),
};
const commit: CommandEntry = {
  name: "commit",
  group: "Run",
  summary: "Make an image of a container",
  load: () => import("./commands/commit.ts"),
};

const load: CommandEntry = {
  name: "load",
  group: "Images",
  summary: "Load images from an archive or a layout",
  load: () => import("./commands/load.ts"),
};
const save: CommandEntry = {
  name: "save",
  group: "Images",
  summary: "Save images to an archive or a layout",
  load: () => import("./commands/save.ts"),
};
const importImage: CommandEntry = {
  name: "import",
  group: "Images",
  summary: "Make an image from a root filesystem tarball",
  load: () => import("./commands/import.ts"),
};
const images: CommandEntry = {
  name: "images",
  group: "Images",
  summary: "List images",
  load: () => import("./commands/images.ts"),
};
const tag: CommandEntry = {
  name: "tag",
  group: "Images",
  summary: "Add a name to an image",
  load: () => import("./commands/tag.ts"),
};
const untag: CommandEntry = {
  name: "untag",
  group: "Images",
  summary: "Remove a name from an image",
  load: () => import("./commands/untag.ts"),
};
const rmi: CommandEntry = {
  name: "rmi",
  group: "Images",
  summary: "Remove images",
  load: () => import("./commands/rmi.ts"),
};
const history: CommandEntry = {
  name: "history",
  group: "Images",
  summary: "Show how an image was made",
  load: () => import("./commands/history.ts"),
};
const inspect: CommandEntry = {
  name: "inspect",
  group: "Images",
  summary: "Show all that is known of containers and images",
  load: () => import("./commands/inspect.ts"),
};
const tree: CommandEntry = {
  name: "tree",
  group: "Images",
  summary: "Show an image's layers and which are shared",
  load: () => import("./commands/tree.ts"),
};
const prune: CommandEntry = {
  name: "prune",
  group: "Images",
  summary: "Remove images that nothing uses",
  load: () => import("./commands/prune.ts"),
};
const exists: CommandEntry = {
  name: "exists",
  group: "Images",
  summary: "Tell by the exit status whether an image is there",
  load: () => import("./commands/exists.ts"),
};

const pull: CommandEntry = {
  name: "pull",
  group: "Registries",
  summary: "Fetch images from a registry",
  load: () => import("./commands/pull.ts"),
};
const push: CommandEntry = {
  name: "push",
  group: "Registries",
  summary: "Send an image to a registry",
  load: () => import("./commands/push.ts"),
};
const copy: CommandEntry = {
  name: "copy",
  group: "Registries",
  summary: "Copy an image from one place to another",
  load: () => import("./commands/copy.ts"),
};
const login: CommandEntry = {
  name: "login",
  group: "Registries",
  summary: "Keep credentials for a registry",
  load: () => import("./commands/login.ts"),
};
const logout: CommandEntry = {
  name: "logout",
  group: "Registries",
  summary: "Remove kept credentials",
  load: () => import("./commands/logout.ts"),
};
const tags: CommandEntry = {
  name: "tags",
  group: "Registries",
  summary: "List the tags of a repository",
  load: () => import("./commands/tags.ts"),
};
const referrers: CommandEntry = {
  name: "referrers",
  group: "Registries",
  summary: "Show what refers to an image",
  load: () => import("./commands/referrers.ts"),
};
const deleteRemote: CommandEntry = {
  name: "delete",
  group: "Registries",
  summary: "Delete an image of a registry",
  load: () => import("./commands/delete.ts"),
};
const sync: CommandEntry = {
  name: "sync",
  group: "Registries",
  summary: "Copy many images by a list",
  load: () => import("./commands/sync.ts"),
};
const manifestCommands: CommandEntry = {
  name: "manifest",
  group: "Management",
  summary: "Look at manifests and make images for several platforms",
  subcommands: [
    {
      name: "inspect",
      group: "Registries",
      summary: "Show a manifest or an index",
      load: () => import("./commands/manifest-inspect.ts"),
    },
    {
      name: "create",
      group: "Registries",
      summary: "Make an index in the store",
      load: () => import("./commands/manifest-create.ts"),
    },
    {
      name: "add",
      group: "Registries",
      summary: "Add images to an index",
      load: () => import("./commands/manifest-add.ts"),
    },
    {
      name: "annotate",
      group: "Registries",
      summary: "Change what an index says of an image",
      load: () => import("./commands/manifest-annotate.ts"),
    },
    {
      name: "push",
      group: "Registries",
      summary: "Send an index and its images to a registry",
      load: () => import("./commands/manifest-push.ts"),
    },
  ],
};
const artifactCommands: CommandEntry = {
  name: "artifact",
  group: "Management",
  summary: "Keep files in a registry",
  subcommands: [
    {
      name: "push",
      group: "Registries",
      summary: "Send files as an artifact",
      load: () => import("./commands/artifact-push.ts"),
    },
    {
      name: "pull",
      group: "Registries",
      summary: "Fetch the files of an artifact",
      load: () => import("./commands/artifact-pull.ts"),
    },
    {
      name: "attach",
      group: "Registries",
      summary: "Send files that refer to an image",
      load: () => import("./commands/artifact-attach.ts"),
    },
    referrers,
  ],
};

const explain: CommandEntry = {
  name: "explain",
  group: "See through",
  summary: "Show what a run would do, what an image holds, how two differ",
  load: () => import("./commands/explain.ts"),
};
const why: CommandEntry = {
  name: "why",
  group: "See through",
  summary: "Tell what stood in the way of a command that failed",
  load: () => import("./commands/why.ts"),
};
const doctor: CommandEntry = {
  name: "doctor",
  group: "See through",
  summary: "Check what this machine can do, and how to mend it",
  load: () => import("./commands/doctor.ts"),
};
const info: CommandEntry = {
  name: "info",
  group: "System",
  summary: "Show the host, the store and the driver",
  load: () => import("./commands/info.ts"),
};
const df: CommandEntry = {
  name: "df",
  group: "System",
  summary: "Show disk usage",
  load: () => import("./commands/df.ts"),
};
const version: CommandEntry = {
  name: "version",
  group: "System",
  summary: "Show the version",
  load: () => import("./commands/version.ts"),
};
const completion: CommandEntry = {
  name: "completion",
  group: "System",
  summary: "Print the completion script of a shell",
  load: () => import("./commands/completion.ts"),
};
const help: CommandEntry = {
  name: "help",
  group: "System",
  summary: "Show help for a command",
  load: () => import("./commands/help.ts"),
};

export const registry: readonly CommandEntry[] = [
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
  events,
  ps,
  rm,
  load,
  save,
  importImage,
  images,
  tag,
  untag,
  rmi,
  inspect,
  history,
  pull,
  push,
  copy,
  login,
  logout,
  tags,
  referrers,
  deleteRemote,
  sync,
  explain,
  why,
  doctor,
  info,
  version,
  completion,
  help,
  {
    name: "image",
    group: "Management",
    summary: "Manage images",
    subcommands: [
      { ...images, name: "ls", aliases: ["list"] },
      inspect,
      history,
      tree,
      load,
      save,
      importImage,
      tag,
      untag,
      { ...rmi, name: "rm", aliases: ["remove"] },
      prune,
      exists,
      pull,
      push,
    ],
  },
  {
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
        load: () => import("./commands/container-prune.ts"),
      },
      { ...ps, name: "ls", aliases: ["ps", "list"] },
      { ...rm, aliases: ["remove"] },
    ],
  },
  {
    name: "volume",
    group: "Management",
    summary: "Manage volumes",
    subcommands: [
      {
        name: "create",
        group: "Management",
        summary: "Make a volume",
        load: () => import("./commands/volume-create.ts"),
      },
      {
        name: "ls",
        aliases: ["list"],
        group: "Management",
        summary: "List volumes",
        load: () => import("./commands/volume-ls.ts"),
      },
      {
        name: "inspect",
        group: "Management",
        summary: "Show all that is known of volumes",
        load: () => import("./commands/volume-inspect.ts"),
      },
      {
        name: "rm",
        aliases: ["remove"],
        group: "Management",
        summary: "Remove volumes",
        load: () => import("./commands/volume-rm.ts"),
      },
      {
        name: "prune",
        group: "Management",
        summary: "Remove volumes that no container has",
        load: () => import("./commands/volume-prune.ts"),
      },
      {
        name: "exists",
        group: "Management",
        summary: "Tell by the exit status whether a volume is there",
        load: () => import("./commands/volume-exists.ts"),
      },
      {
        name: "export",
        group: "Management",
        summary: "Write what is in a volume as an archive",
        load: () => import("./commands/volume-export.ts"),
      },
      {
        name: "import",
        group: "Management",
        summary: "Unpack an archive in a volume",
        load: () => import("./commands/volume-import.ts"),
      },
    ],
  },
  {
    name: "registry",
    group: "Management",
    summary: "Serve images to others",
    subcommands: [
      {
        name: "serve",
        group: "Management",
        summary: "Serve a registry",
        load: () => import("./commands/registry-serve.ts"),
      },
      {
        name: "check",
        group: "Management",
        summary: "Check that a registry's storage is whole",
        load: () => import("./commands/registry-check.ts"),
      },
      {
        name: "gc",
        group: "Management",
        summary: "Remove what no manifest of a registry names",
        load: () => import("./commands/registry-gc.ts"),
      },
    ],
  },
  manifestCommands,
  artifactCommands,
  {
    name: "healthcheck",
    group: "Management",
    summary: "Check the health of containers",
    subcommands: [
      {
        name: "run",
        group: "Management",
        summary: "Run a container's health check",
        load: () => import("./commands/healthcheck-run.ts"),
      },
    ],
  },
  {
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
        load: () => import("./commands/system-prune.ts"),
      },
      {
        name: "check",
        group: "System",
        summary: "Find and mend damage of the store and the containers",
        load: () => import("./commands/system-check.ts"),
      },
    ],
  },
  {
    name: "runtime",
    group: "Management",
    summary: "The OCI runtime, with the command line of runc",
    load: () => import("./runtime/mod.ts"),
  },
  {
    name: "__scope",
    group: "System",
    summary: "Have systemd make a scope",
    hidden: true,
    load: () => import("./commands/scope.ts"),
  },
  {
    name: "__failed",
    group: "System",
    summary: "Explain a failed step of a container's start",
    hidden: true,
    load: () => import("./commands/failed.ts"),
  },
  {
    name: "__complete",
    group: "System",
    summary: "Complete a command line",
    hidden: true,
    load: () => import("./commands/complete.ts"),
  },
];

export function findEntry(entries: readonly CommandEntry[], word: string): CommandEntry | undefined {
  return entries.find((entry) => entry.name === word || entry.aliases?.includes(word));
}
