/** Opens the store for a command. A file of its own, so that commands without images never load it. */
import { openStore, type Store } from "../../store/mod.ts";
import type { Context } from "./context.ts";
import { chooseIds } from "./ids.ts";

export async function openContextStore(context: Context): Promise<Store> {
  const { root, runroot } = context.paths();
  return openStore({
    root,
    runroot,
    driver: context.globals.storageDriver,
    ids: chooseIds(context),
    helperPath: context.helperPath(),
    now: context.now,
    platform: hostPlatform(),
  });
}

/** The platform of this machine in the image spec's words (GOOS, GOARCH). */
export function hostPlatform(): { architecture: string; os: string; variant?: string } {
  switch (process.arch) {
    case "x64":
      return { architecture: "amd64", os: "linux" };
    case "arm64":
      return { architecture: "arm64", os: "linux", variant: "v8" };
    case "arm":
      return { architecture: "arm", os: "linux", variant: "v7" };
    case "ia32":
      return { architecture: "386", os: "linux" };
    default:
      return { architecture: process.arch, os: "linux" };
  }
}
