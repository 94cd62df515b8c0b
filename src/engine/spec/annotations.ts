/** annotations: what the image spec's conversion.md derives from the image config, then the flags'. */
import type { SpecInput } from "./input.ts";
import { byFlag, byImage, type Notebook, type Sourced, sourced } from "./notebook.ts";

export function annotations(input: SpecInput, notebook: Notebook): Readonly<Record<string, string>> {
  const list = new Map<string, Sourced<string>>();
  const { image, options } = input;
  if (image !== undefined) {
    const prefix = "org.opencontainers.image.";
    const rows = [
      ["os", image.os, "os"],
      ["architecture", image.architecture, "architecture"],
      ["variant", image.variant, "variant"],
      ["os.version", image["os.version"], "os.version"],
      ["author", image.author, "author"],
      ["created", image.created, "created"],
      ["stopSignal", image.config?.StopSignal, "config.StopSignal"],
      ["exposedPorts", image.config?.ExposedPorts?.join(","), "config.ExposedPorts"],
    ] as const;
    for (const [key, value, field] of rows) {
      if (value !== undefined && value !== "") list.set(prefix + key, sourced(value, byImage(field)));
    }
    // Labels come last: they may override the implicit ones (conversion.md#annotation-fields).
    for (const [key, value] of Object.entries(image.config?.Labels ?? {})) {
      if (key !== "") list.set(key, sourced(value, byImage("config.Labels")));
    }
  }
  for (const [key, value] of options.annotations) list.set(key, sourced(value, byFlag("--annotation")));
  return notebook.record("/annotations", [...list]);
}
