/** Where `registry serve`, `check` and `gc` find a registry: its flags, its directory or object store, its file. */
import * as fs from "node:fs";
import * as path from "node:path";
import { printable, VitrineError } from "../../base/mod.ts";
import type { CollectReport, FilesystemStorage, RegistryStorage, ServeConfig } from "../../registry/mod.ts";
import { openConfiguredS3, openFilesystemStorage, parseServeConfig } from "../../registry/mod.ts";
import { humanSize } from "../format/human.ts";
import type { Context } from "../framework/context.ts";

export const storageOptions = {
  root: {
    type: "string",
    value: "DIR",
    defaultText: "registry/ below the root of vitrine",
    help: "the registry's directory",
    completion: "directory",
  },
  config: {
    type: "string",
    value: "FILE",
    help: "the registry's file, where it keeps content in an object store",
    completion: "file",
  },
} as const;

/** ROOT/registry, unless it was named. */
export function registryRoot(context: Context, named: string | undefined): string {
  if (named !== undefined) return path.resolve(named);
  const { root } = context.paths();
  return path.join(root, "registry");
}

/** For those who look at what is there: nothing is made. Error: `registry-not-found`; the system's where one may not look. */
function existingRegistryRoot(context: Context, named: string | undefined): string {
  const root = registryRoot(context, named);
  if (fs.statSync(path.join(root, "oci-layout"), { throwIfNoEntry: false }) !== undefined) return root;
  throw new VitrineError("not-found", `there is no registry in ${printable(root)}`, {
    code: "registry-not-found",
    operand: root,
    hint: "name its directory with --root DIR, as 'vitrine registry serve' has it",
  });
}

/** The storage of a registry that does not run: its directory, or the object store of its config. */
export async function openStorage(
  context: Context,
  named: string | undefined,
  config: ServeConfig,
): Promise<FilesystemStorage | RegistryStorage> {
  const root = named ?? config.root;
  if (config.s3 === undefined) return openFilesystemStorage(existingRegistryRoot(context, root));
  return openConfiguredS3(config.s3, context.environment, registryRoot(context, root));
}

/** The file of --config; nothing without. */
export async function readConfig(file: string | undefined): Promise<ServeConfig> {
  return file === undefined ? {} : parseServeConfig(fs.readFileSync(file, "utf8"), file);
}

export function describeCollection(report: CollectReport): string {
  const { tags, manifests, links, blobs, bytes } = report;
  return `${tags.length} tags, ${manifests.length} manifests, ${links} unused blobs of repositories; ${blobs} blobs freed, ${humanSize(bytes, 4)}`;
}
