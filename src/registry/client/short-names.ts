/** Names without a registry (containers-registries.conf(5), "Short-Name Aliasing"). */
import * as fs from "node:fs";
import * as path from "node:path";
import { VitrineError, writeFileAtomically } from "../../base/mod.ts";
import { type ImageReference, parseReference } from "../../image/mod.ts";
import { aliasFile, type ConfigOptions, type RegistriesConfig, readAliasFile } from "./config.ts";

/** Asked which of several places is meant, `HOST/NAME:TAG` each: an index, undefined for none. */
export type ChoosePlace = (text: string, places: readonly string[]) => number | undefined;

/**
 * What a text as typed may mean, most likely first: itself when it names a registry, its alias, each searched registry, or the one
 * of them that `choose` says. Nobody saying otherwise, Docker Hub. Errors: those of `parseReference`; `short-name-unresolved`.
 */
export function shortNameCandidates(
  text: string,
  config: RegistriesConfig,
  choose?: ChoosePlace,
): readonly ImageReference[] {
  const plain = parseReference(text);
  if (namesRegistry(text)) return [plain];
  const { name, rest } = split(text);
  const alias = config.aliases.get(name);
  if (alias !== undefined) return [parseReference(alias + rest)];
  if (config.searched === undefined) return [plain];
  const places = config.searched.map((host) => `${host}/${text}`);
  if (places.length > 1 && config.mode !== "disabled" && choose !== undefined) {
    const chosen = places[choose(text, places) ?? -1];
    if (chosen === undefined) throw unresolved(text, `none was chosen: write ${places.join(" or ")}`);
    return [parseReference(chosen)];
  }
  if (places.length === 0) {
    throw unresolved(text, `registries.conf searches none: write docker.io/${text}, or add an alias`);
  }
  if (places.length > 1 && config.mode === "enforcing") {
    throw unresolved(text, `registries.conf enforces one answer: write ${places.join(" or ")}`);
  }
  return places.map(parseReference);
}

function unresolved(text: string, hint: string): VitrineError {
  return new VitrineError("invalid", `${text} names no registry`, {
    code: "short-name-unresolved",
    operand: text,
    hint,
  });
}

function split(text: string): { readonly name: string; readonly rest: string } {
  const name = text.replace(/@.*$/, "").replace(/:[^/]*$/, "");
  return { name, rest: text.slice(name.length) };
}

/**
 * Keeps what was chosen as an alias, where podman keeps its own. A cache that cannot be written is one: nothing is said.
 * Error: `registries-conf-invalid` for a file that is there and broken.
 */
export async function recordAlias(
  text: string,
  { domain, path: repository }: ImageReference,
  options: ConfigOptions,
): Promise<void> {
  const file = aliasFile(options);
  if (file === undefined) return;
  const aliases = new Map(await readAliasFile(file));
  aliases.set(split(text).name, `${domain}/${repository}`);
  const { stringify } = await import("smol-toml");
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    writeFileAtomically(file, `${stringify({ aliases: Object.fromEntries(aliases) })}\n`);
  } catch {
    // Asked again the next time.
  }
}

/** Whether the first component can only be a registry: the rule of `parseReference`. */
export function namesRegistry(text: string): boolean {
  const slash = text.indexOf("/");
  if (slash === -1) return false;
  const first = text.slice(0, slash);
  return first === "localhost" || /[.:]/.test(first) || first !== first.toLowerCase();
}
