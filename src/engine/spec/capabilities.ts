/** process.capabilities (config.md#linux-process, capabilities(7)). */
import { allCapabilities, capabilityNames, namesOfCapabilities } from "../../kernel/mod.ts";
import type { LinuxCapabilities } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import { conflict } from "../flags/bad-flag.ts";
import { inUserNamespace, type SpecInput } from "./input.ts";
import { byDefault, byFlag, type Notebook, type Sourced, sourced } from "./notebook.ts";

/**
 * Root's sets are equal but for the inheritable and ambient ones, which are empty. Another user gets only what
 * --cap-add names, ambient too, so that it lives through execve; the bounding set is root's.
 */
export function capabilities(input: SpecInput, uid: number, notebook: Notebook): LinuxCapabilities {
  const bounding = boundingSet(input);
  const asked = new Set(expandAll(input, input.options.capAdd));
  const held =
    uid === 0
      ? bounding
      : bounding
          .filter(({ value }) => asked.has(value))
          .map(({ value }) => sourced(value, byFlag("--cap-add")));
  const pointer = "/process/capabilities";
  const others = uid === 0 ? [] : held;
  const all = setOrigin(input);
  const now = uid === 0 ? all : held.length > 0 ? byFlag("--cap-add") : byDefault;
  // For the one call that sets what the program has now.
  notebook.note(pointer, now);
  notebook.note(`${pointer}/bounding`, all);
  for (const set of ["effective", "permitted"]) notebook.note(`${pointer}/${set}`, now);
  for (const set of ["inheritable", "ambient"]) {
    notebook.note(`${pointer}/${set}`, uid === 0 ? byDefault : now);
  }
  return {
    bounding: notebook.list(`${pointer}/bounding`, bounding),
    effective: notebook.list(`${pointer}/effective`, held),
    permitted: notebook.list(`${pointer}/permitted`, held),
    inheritable: notebook.list(`${pointer}/inheritable`, others),
    ambient: notebook.list(`${pointer}/ambient`, others),
  };
}

function setOrigin({ options }: SpecInput) {
  if (options.privileged) return byFlag("--privileged");
  if (options.capDrop.length > 0) return byFlag("--cap-drop");
  return options.capAdd.length > 0 ? byFlag("--cap-add") : byDefault;
}

/** In the order of their numbers. */
function boundingSet(input: SpecInput): readonly Sourced<string>[] {
  const { options } = input;
  const dropAll = options.capDrop.includes("ALL");
  if (dropAll && options.capAdd.includes("ALL")) {
    throw conflict(
      "--cap-add",
      "--cap-add=ALL and --cap-drop=ALL exclude each other",
      "leave one of them out",
    );
  }
  const both = options.capAdd.find((name) => name !== "ALL" && options.capDrop.includes(name));
  if (both !== undefined) {
    throw conflict("--cap-add", `${both} is both added and dropped`, "leave one of the two flags out");
  }
  const set = new Map<string, Sourced<string>>();
  const add = (name: string, item: Sourced<string>): void => {
    if (!set.has(name)) set.set(name, item);
  };
  if (!dropAll) {
    const all = new Set(obtainable(input));
    for (const name of options.privileged ? all : defaults.capabilities.value) {
      // Where the machine holds a default back (a container in a container), the rest still works.
      if (all.has(name)) add(name, sourced(name, options.privileged ? byFlag("--privileged") : byDefault));
    }
  }
  for (const name of expandAll(input, options.capAdd)) add(name, sourced(name, byFlag("--cap-add")));
  for (const name of options.capDrop) set.delete(name);
  return capabilityNames.flatMap((name) => set.get(name) ?? []);
}

function expandAll(input: SpecInput, names: readonly string[]): readonly string[] {
  return names.includes("ALL") ? [...obtainable(input), ...names.filter((name) => name !== "ALL")] : names;
}

/** All that the kernel knows, in a user namespace; else those of them that vitrine itself may hand on. */
function obtainable(input: SpecInput): readonly string[] {
  const { permitted, bounding } = input.host.capabilities;
  const held = inUserNamespace(input) ? allCapabilities(input.host.lastCapability) : permitted & bounding;
  return namesOfCapabilities(held & allCapabilities(input.host.lastCapability));
}
