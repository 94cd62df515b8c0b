/** `export`: the root filesystem of a container as an archive, the same bytes for the same content. */
import { type ByteStream, writeTar } from "../../base/mod.ts";
import type { Container } from "../containers/record.ts";
import { membersOf, plainMember } from "./members.ts";
import { type FileDeps, openRoot } from "./view.ts";

/** Errors: those of `openRoot` and `read-failed`. Nothing of its volumes is in it, and none of its mounts. */
export async function exportContainer(
  container: Container,
  deps: FileDeps,
  write: (stream: ByteStream) => Promise<void>,
): Promise<void> {
  const view = await openRoot(container, { write: false, view: "layers" }, deps);
  try {
    const events = view.reader.tree({ path: { base: "root", path: "/" }, name: "", top: false });
    await write(writeTar(membersOf(events, plainMember)));
    await view.finish();
  } catch (error) {
    throw (await view.abort()) ?? error;
  }
}
