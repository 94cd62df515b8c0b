/** `--replace` of run and create: whoever has the name goes first. */
import { VitrineError } from "../../base/mod.ts";
import { findContainer, removeContainer } from "../../engine/mod.ts";
import { treeRemover } from "../container-trees.ts";
import type { Context } from "../framework/context.ts";

/** Errors: `name-missing`, those of `removeContainer`. */
export async function replaceNamed(context: Context, name: string | undefined): Promise<void> {
  if (name === undefined) {
    throw new VitrineError("invalid", "--replace needs a name", {
      code: "name-missing",
      operand: "--replace",
      hint: "give the container one: --name NAME",
    });
  }
  const paths = context.paths();
  let holder: ReturnType<typeof findContainer>;
  try {
    holder = findContainer(paths, name);
  } catch (error) {
    if (error instanceof VitrineError && error.code === "container-not-found") return;
    throw error;
  }
  // A name, not the beginning of an id.
  if (holder.name === name) await removeContainer(paths, holder, { force: true }, treeRemover(context));
}
