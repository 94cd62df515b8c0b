/** Images in the store, and `vitrine image`. */
import type { CommandEntry } from "../framework/command.ts";
import { pull, push } from "./remotes.ts";

export const load: CommandEntry = {
  name: "load",
  group: "Images",
  summary: "Load images from an archive or a layout",
  load: () => import("../commands/load.ts"),
};

export const save: CommandEntry = {
  name: "save",
  group: "Images",
  summary: "Save images to an archive or a layout",
  load: () => import("../commands/save.ts"),
};

export const importImage: CommandEntry = {
  name: "import",
  group: "Images",
  summary: "Make an image from a root filesystem tarball",
  load: () => import("../commands/import.ts"),
};

export const images: CommandEntry = {
  name: "images",
  group: "Images",
  summary: "List images",
  load: () => import("../commands/images.ts"),
};

export const tag: CommandEntry = {
  name: "tag",
  group: "Images",
  summary: "Add a name to an image",
  load: () => import("../commands/tag.ts"),
};

export const untag: CommandEntry = {
  name: "untag",
  group: "Images",
  summary: "Remove a name from an image",
  load: () => import("../commands/untag.ts"),
};

export const rmi: CommandEntry = {
  name: "rmi",
  group: "Images",
  summary: "Remove images",
  load: () => import("../commands/rmi.ts"),
};

export const history: CommandEntry = {
  name: "history",
  group: "Images",
  summary: "Show how an image was made",
  load: () => import("../commands/history.ts"),
};

export const inspect: CommandEntry = {
  name: "inspect",
  group: "Images",
  summary: "Show all that is known of containers, images and volumes",
  load: () => import("../commands/inspect.ts"),
};

const tree: CommandEntry = {
  name: "tree",
  group: "Images",
  summary: "Show an image's layers and which are shared",
  load: () => import("../commands/tree.ts"),
};

const prune: CommandEntry = {
  name: "prune",
  group: "Images",
  summary: "Remove images that nothing uses",
  load: () => import("../commands/prune.ts"),
};

const exists: CommandEntry = {
  name: "exists",
  group: "Images",
  summary: "Tell by the exit status whether an image is there",
  load: () => import("../commands/exists.ts"),
};

export const imageCommands: CommandEntry = {
  name: "image",
  group: "Management",
  summary: "Manage images",
  subcommands: [
    { ...images, name: "ls", aliases: ["list"] },
    inspect,
    history,
    {
      name: "diff",
      group: "Images",
      summary: "List what the top layer of an image changes",
      load: () => import("../commands/image-diff.ts"),
    },
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
};
