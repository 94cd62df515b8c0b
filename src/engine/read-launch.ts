/** Reads what `writeLaunch` wrote. A file of its own: `run` only writes it, and need not load the config's validator. */
import * as fs from "node:fs";
import { limits, parseJson, VitrineError } from "../base/mod.ts";
import { parseRuntimeConfig, type RuntimeConfig } from "../oci/mod.ts";
import type { Origins } from "../runtime/mod.ts";
import { containerDirectory, type EnginePaths } from "./containers/record.ts";
import { type Launch, type LaunchFile, launchFile } from "./launch.ts";

/** Error: `container-record-invalid`. */
export function readLaunch(
  paths: EnginePaths,
  id: string,
): { readonly launch: Launch; readonly config: RuntimeConfig; readonly origins: Origins } {
  try {
    // Our own files, written whole before the container's record could be seen as started.
    const bytes = fs.readFileSync(launchFile(paths, id));
    const file = parseJson(bytes, { maxBytes: limits.runtimeConfigBytes }) as unknown as LaunchFile;
    const { config } = parseRuntimeConfig(fs.readFileSync(`${containerDirectory(paths, id)}/config.json`));
    return { launch: file.launch, config, origins: new Map(file.origins) };
  } catch (cause) {
    throw new VitrineError("corrupt", `what container ${id.slice(0, 12)} is started from cannot be read`, {
      code: "container-record-invalid",
      operand: id,
      hint: `make it again: vitrine rm --force ${id.slice(0, 12)}, then vitrine run`,
      cause,
    });
  }
}
