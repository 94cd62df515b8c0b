/** Registries, from both sides. */
import type { CommandEntry } from "../framework/command.ts";

export const pull: CommandEntry = {
  name: "pull",
  group: "Registries",
  summary: "Fetch images from a registry",
  load: () => import("../commands/pull.ts"),
};

export const push: CommandEntry = {
  name: "push",
  group: "Registries",
  summary: "Send an image to a registry",
  load: () => import("../commands/push.ts"),
};

export const copy: CommandEntry = {
  name: "copy",
  group: "Registries",
  summary: "Copy an image from one place to another",
  load: () => import("../commands/copy.ts"),
};

export const login: CommandEntry = {
  name: "login",
  group: "Registries",
  summary: "Keep credentials for a registry",
  load: () => import("../commands/login.ts"),
};

export const logout: CommandEntry = {
  name: "logout",
  group: "Registries",
  summary: "Remove kept credentials",
  load: () => import("../commands/logout.ts"),
};

export const tags: CommandEntry = {
  name: "tags",
  group: "Registries",
  summary: "List the tags of a repository",
  load: () => import("../commands/tags.ts"),
};

export const referrers: CommandEntry = {
  name: "referrers",
  group: "Registries",
  summary: "Show what refers to an image",
  load: () => import("../commands/referrers.ts"),
};

export const deleteRemote: CommandEntry = {
  name: "delete",
  group: "Registries",
  summary: "Delete an image of a registry",
  load: () => import("../commands/delete.ts"),
};

export const sync: CommandEntry = {
  name: "sync",
  group: "Registries",
  summary: "Copy many images by a list",
  load: () => import("../commands/sync.ts"),
};

export const manifestCommands: CommandEntry = {
  name: "manifest",
  group: "Management",
  summary: "Look at manifests and make images for several platforms",
  subcommands: [
    {
      name: "inspect",
      group: "Registries",
      summary: "Show a manifest or an index",
      load: () => import("../commands/manifest-inspect.ts"),
    },
    {
      name: "create",
      group: "Registries",
      summary: "Make an index in the store",
      load: () => import("../commands/manifest-create.ts"),
    },
    {
      name: "add",
      group: "Registries",
      summary: "Add images to an index",
      load: () => import("../commands/manifest-add.ts"),
    },
    {
      name: "annotate",
      group: "Registries",
      summary: "Change what an index says of an image",
      load: () => import("../commands/manifest-annotate.ts"),
    },
    {
      name: "push",
      group: "Registries",
      summary: "Send an index and its images to a registry",
      load: () => import("../commands/manifest-push.ts"),
    },
    {
      name: "remove",
      group: "Registries",
      summary: "Take images out of an index",
      load: () => import("../commands/manifest-remove.ts"),
    },
    {
      name: "rm",
      group: "Registries",
      summary: "Remove indexes from the store",
      load: () => import("../commands/manifest-rm.ts"),
    },
    {
      name: "exists",
      group: "Registries",
      summary: "Tell whether the store has an index",
      load: () => import("../commands/manifest-exists.ts"),
    },
  ],
};

export const artifactCommands: CommandEntry = {
  name: "artifact",
  group: "Management",
  summary: "Keep files in a registry, or here",
  subcommands: [
    {
      name: "add",
      group: "Registries",
      summary: "Make an artifact of files",
      load: () => import("../commands/artifact-add.ts"),
    },
    {
      name: "extract",
      group: "Registries",
      summary: "Write the files of an artifact",
      load: () => import("../commands/artifact-extract.ts"),
    },
    {
      name: "inspect",
      group: "Registries",
      summary: "Show an artifact",
      load: () => import("../commands/artifact-inspect.ts"),
    },
    {
      name: "ls",
      aliases: ["list"],
      group: "Registries",
      summary: "List artifacts",
      load: () => import("../commands/artifact-ls.ts"),
    },
    {
      name: "rm",
      aliases: ["remove"],
      group: "Registries",
      summary: "Remove artifacts",
      load: () => import("../commands/artifact-rm.ts"),
    },
    {
      name: "push",
      group: "Registries",
      summary: "Send files as an artifact",
      load: () => import("../commands/artifact-push.ts"),
    },
    {
      name: "pull",
      group: "Registries",
      summary: "Fetch the files of an artifact",
      load: () => import("../commands/artifact-pull.ts"),
    },
    {
      name: "attach",
      group: "Registries",
      summary: "Send files that refer to an image",
      load: () => import("../commands/artifact-attach.ts"),
    },
    referrers,
  ],
};

export const registryCommands: CommandEntry = {
  name: "registry",
  group: "Management",
  summary: "Serve images to others, look into registries",
  subcommands: [
    {
      name: "serve",
      group: "Management",
      summary: "Serve a registry",
      load: () => import("../commands/registry-serve.ts"),
    },
    {
      name: "catalog",
      aliases: ["ls"],
      group: "Management",
      summary: "List the repositories of a registry",
      load: () => import("../commands/registry-catalog.ts"),
    },
    {
      name: "check",
      group: "Management",
      summary: "Check that a registry's storage is whole",
      load: () => import("../commands/registry-check.ts"),
    },
    {
      name: "gc",
      group: "Management",
      summary: "Remove what no manifest of a registry names",
      load: () => import("../commands/registry-gc.ts"),
    },
  ],
};
