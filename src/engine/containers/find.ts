import * as fs from "node:fs";
import { noting, quoted, VitrineError } from "../../base/mod.ts";
import { idOfName } from "./names.ts";
import {
  type Container,
  containerDirectory,
  containerIds,
  type EnginePaths,
  listContainers,
  readContainer,
} from "./record.ts";

/**
 * The container of a name, an id, or a prefix that only one id has.
 * Errors: `container-not-found`, `container-ambiguous`, `container-record-invalid`.
 */
export function findContainer(paths: EnginePaths, wanted: string): Container {
  const id = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(wanted)
    ? (idOfName(paths, wanted) ?? idOf(paths, wanted) ?? idOfRecord(paths, wanted))
    : undefined;
  const container = id === undefined ? undefined : readContainer(paths, id);
  if (container !== undefined) return container;
  // Its name goes after it: there may be one without a container.
  if (id === undefined || !fs.existsSync(containerDirectory(paths, id))) {
    throw new VitrineError("not-found", `there is no container ${quoted(wanted)}`, {
      code: "container-not-found",
      operand: wanted,
      hint: "see 'vitrine ps --all'",
    });
  }
  throw new VitrineError("corrupt", `the record of container ${id.slice(0, 12)} is missing or damaged`, {
    code: "container-record-invalid",
    operand: wanted,
    hint: `all that can be done is to remove it: vitrine rm ${id.slice(0, 12)}`,
  });
}

/** A command that was killed between the record and the name has left one without the other. */
function idOfRecord(paths: EnginePaths, wanted: string): string | undefined {
  const found = listContainers(paths).filter(({ name }) => name === wanted);
  return found.length === 1 ? found[0]!.id : undefined;
}

function idsWith(paths: EnginePaths, prefix: string): readonly string[] {
  const done = noting.noter?.ids(`${paths.root}/containers`, prefix);
  let found: readonly string[] | undefined;
  try {
    found = containerIds(paths).filter((id) => id.startsWith(prefix));
    return found;
  } finally {
    done?.(found);
  }
}

function idOf(paths: EnginePaths, wanted: string): string | undefined {
  if (!/^[0-9a-f]{1,64}$/.test(wanted)) return undefined;
  const found = idsWith(paths, wanted);
  if (found.length > 1) {
    throw new VitrineError("invalid", `${found.length} containers have ids that begin with ${wanted}`, {
      code: "container-ambiguous",
      operand: wanted,
      hint: "give more digits, or its name",
    });
  }
  return found[0];
}
