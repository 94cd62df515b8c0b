/** Names without a registry (containers-registries.conf(5), "Short-Name Aliasing"). */
import { VitrineError } from "../../base/mod.ts";
import { type ImageReference, parseReference } from "../../image/mod.ts";
import type { RegistriesConfig } from "./config.ts";

/**
 * What a text as typed may mean, most likely first: itself when it names a registry, its alias, each searched registry.
 * Nobody saying otherwise, Docker Hub. Errors: those of `parseReference`; `short-name-unresolved`.
 */
export function shortNameCandidates(text: string, config: RegistriesConfig): readonly ImageReference[] {
  const plain = parseReference(text);
  if (namesRegistry(text)) return [plain];
  const name = text.replace(/@.*$/, "").replace(/:[^/]*$/, "");
  const rest = text.slice(name.length);
  const alias = config.aliases.get(name);
  if (alias !== undefined) return [parseReference(alias + rest)];
  if (config.searched === undefined) return [plain];
  if (config.searched.length === 0 || (config.searched.length > 1 && config.mode === "enforcing")) {
    throw new VitrineError("invalid", `${text} names no registry`, {
      code: "short-name-unresolved",
      operand: text,
      hint:
        config.searched.length === 0
          ? `registries.conf searches none: write docker.io/${text}, or add an alias`
          : `registries.conf enforces one answer: write ${config.searched.map((host) => `${host}/${text}`).join(" or ")}`,
    });
  }
  return config.searched.map((host) => parseReference(`${host}/${text}`));
}

/** Whether the first component can only be a registry: the rule of `parseReference`. */
function namesRegistry(text: string): boolean {
  const slash = text.indexOf("/");
  if (slash === -1) return false;
  const first = text.slice(0, slash);
  return first === "localhost" || /[.:]/.test(first) || first !== first.toLowerCase();
}
