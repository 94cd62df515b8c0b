import { type Container, type EnginePaths, readConfig } from "../../engine/mod.ts";

/** The network as docker names it: `none` or `host`; "" for one that another container or a path names. */
export function networkOf(paths: EnginePaths, { id }: Container): string {
  const namespaces = readConfig(paths, id).linux?.namespaces ?? [];
  const network = namespaces.find(({ type }) => type === "network");
  if (network === undefined) return "host";
  return network.path === undefined ? "none" : "";
}
