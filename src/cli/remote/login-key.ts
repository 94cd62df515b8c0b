/** What `login` and `logout` are given: a registry, or a namespace of one. */
import { quoted, VitrineError } from "../../base/mod.ts";

/** Error: `registry-name-invalid`. */
export function parseLoginKey(text: string): { readonly registry: string; readonly key: string } {
  // Docker prints its own as URLs.
  const key = text.replace(/^https?:\/\//, "").replace(/\/(?:v[12]\/?)?$/, "");
  const [registry = ""] = key.split("/");
  const valid =
    /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/.test(registry) &&
    /^[^/]+(?:\/[a-z0-9._-]+)*$/.test(key);
  if (!valid) {
    throw new VitrineError("invalid", `${quoted(text)} is no registry`, {
      code: "registry-name-invalid",
      operand: text,
      hint: "HOST[:PORT], or HOST[:PORT]/NAMESPACE",
    });
  }
  if (registry !== "index.docker.io" && registry !== "registry-1.docker.io") return { registry, key };
  return { registry: "docker.io", key: `docker.io${key.slice(registry.length)}` };
}
