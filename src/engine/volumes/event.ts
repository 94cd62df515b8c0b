import type { EnginePaths } from "../containers/record.ts";
import { recordEvent } from "../events/record.ts";

/** With docker's attributes. */
export function recordVolumeEvent(paths: EnginePaths, name: string, action: "create" | "destroy"): void {
  recordEvent(paths, { type: "volume", action, id: name, attributes: { driver: "local" } });
}
