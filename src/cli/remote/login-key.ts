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

/** Which file is meant. Error: `flag-conflict`. */
export function authFileOf(
  options: { readonly authfile: string | undefined; readonly "compat-auth-file": string | undefined },
  isWholeRegistry: boolean,
): { readonly authFile: string | undefined; readonly dockerFormat: boolean } {
  const { authfile, "compat-auth-file": dockers } = options;
  const conflict = (message: string, operand: string, hint?: string): VitrineError =>
    new VitrineError("invalid", message, { code: "flag-conflict", operand, hint });
  if (authfile !== undefined && dockers !== undefined) {
    throw conflict("--authfile and --compat-auth-file exclude each other", "--compat-auth-file");
  }
  if (dockers !== undefined && !isWholeRegistry) {
    throw conflict(
      "docker's file knows registries, no namespaces",
      "--compat-auth-file",
      "leave the namespace out, or use --authfile",
    );
  }
  return { authFile: dockers ?? authfile, dockerFormat: dockers !== undefined };
}
