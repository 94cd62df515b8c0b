/**
 * `volume export` and `volume import`: by a helper that resolves every path in the volume, whoever writes there meanwhile
 * (CVE-2023-0778), under the ids of a plain container of the caller.
 */
import { type ByteStream, decompress, TarParser, VitrineError, writeTar } from "../../base/mod.ts";
import { ApplySession, FileReader } from "../../kernel/mod.ts";
import { applyOptions, type StoreIds } from "../../store/mod.ts";
import type { EnginePaths } from "../containers/record.ts";
import { Extractor, membersOf, plainMember } from "../files/members.ts";
import { driverMount } from "./options.ts";
import { fillingMark, type Volume, volumeData } from "./record.ts";

export interface ArchiveDeps {
  readonly paths: EnginePaths;
  readonly helperPath: string;
  readonly ids: StoreIds;
}

/** Errors: `volume-not-a-directory`, `read-failed`, `apply-failed`. */
export async function exportVolume(
  volume: Volume,
  deps: ArchiveDeps,
  write: (stream: ByteStream) => Promise<void>,
): Promise<void> {
  const session = open(volume, deps, true);
  const reader = new FileReader(session);
  try {
    const events = reader.tree({ path: { base: "root", path: "/" }, name: "", exclude: [fillingMark] });
    await write(writeTar(membersOf(events, plainMember)));
    await session.end();
  } catch (error) {
    throw (await session.abort()) ?? error;
  } finally {
    reader.close();
  }
}

/**
 * Unpacks an archive, compressed or not, over what is there. What came before a failure stays.
 * Errors: `volume-not-a-directory`, those of `decompress` and of `TarParser`, `apply-failed`.
 */
export async function importVolume(volume: Volume, archive: ByteStream, deps: ArchiveDeps): Promise<void> {
  const { ids } = deps;
  const session = open(volume, deps, false);
  try {
    session.op({
      op: "layerOptions",
      ignoreOwner: ids.kind === "single",
      ignoreXattrs: true,
      skipDevices: ids.kind !== "none",
      keepKinds: false,
      beginFlush: false,
    });
    const parser = new TarParser(new Extractor(session, { into: "" }));
    for await (const chunk of (await decompress(archive)).stream) {
      parser.push(chunk);
      await session.drain();
    }
    parser.finish();
    session.op({ op: "layerEnd", sync: true });
    await session.end();
  } catch (error) {
    throw (await session.abort()) ?? error;
  }
}

function open(volume: Volume, { paths, helperPath, ids }: ArchiveDeps, answers: boolean): ApplySession {
  const driver = driverMount(volume.options);
  if (driver !== undefined && driver.type !== "bind") {
    throw new VitrineError("unsupported", `volume ${volume.name} is a mount of type ${driver.type}`, {
      code: "volume-not-a-directory",
      operand: volume.name,
      hint: "copy its files from a container that has it: vitrine cp CONTAINER:PATH -",
    });
  }
  const session = new ApplySession(applyOptions(helperPath, ids), answers ? { answers } : {});
  const path = { base: "host", path: driver?.device ?? volumeData(paths, volume.name) } as const;
  session.op({ op: "setRoot", path });
  session.op({ op: "setWork", path });
  return session;
}
