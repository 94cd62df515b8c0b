/** Between what a helper reads or writes and tar archives. */
import {
  quoted,
  type TarEntry,
  type TarHandler,
  type TarInput,
  type TarType,
  typeflagOf,
  VitrineError,
} from "../../base/mod.ts";
import {
  type ApplySession,
  isHostsOwn,
  isOverlayMark,
  type LayerEntry,
  type ReadEvent,
  rawText,
  textOf,
} from "../../kernel/mod.ts";

const types: readonly TarType[] = ["file", "hardlink", "symlink", "char", "block", "directory", "fifo"];
const zero = "0".charCodeAt(0);
const zeros = new Uint8Array(256 * 1024);

export function typeOf({ type }: LayerEntry): TarType {
  return types[type - zero] ?? "file";
}

/** What goes into an archive; undefined leaves an entry out. */
export type ToMember = (entry: LayerEntry) => Omit<TarInput, "body"> | undefined;

/** The members of an archive, in the order of the events. Bodies must be read before the next member is asked for. */
export async function* membersOf(
  events: AsyncGenerator<ReadEvent, void>,
  toMember: ToMember,
): AsyncGenerator<TarInput, void> {
  let next = await events.next();
  async function* body(size: number): AsyncGenerator<Uint8Array, void> {
    let at = 0;
    while (at < size) {
      next = await events.next();
      const event = next.done === true ? undefined : next.value;
      const data = event?.kind === "data" ? event : undefined;
      // A hole, or a file that became shorter.
      for (const end = data?.offset ?? size; at < end; ) {
        const piece = zeros.subarray(0, end - at);
        at += piece.length;
        yield piece;
      }
      if (data === undefined) return;
      at += data.bytes.length;
      // The writer gathers chunks: these bytes are gone with the next event.
      yield data.bytes.slice();
    }
    next = await events.next();
  }
  while (next.done !== true) {
    const event = next.value;
    const member = event.kind === "entry" ? toMember(event.entry) : undefined;
    const size = event.kind === "entry" ? Number(event.entry.size) : 0;
    if (member !== undefined && member.type === "file" && size > 0)
      yield { ...member, size, body: body(size) };
    else {
      if (member !== undefined) yield member;
      next = await events.next();
    }
  }
}

/** An entry as it is, less what only this host's filesystems mean by its attributes. */
export function plainMember(entry: LayerEntry): Omit<TarInput, "body"> {
  const type = typeOf(entry);
  return {
    path: textOf(entry.path),
    type,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    mtimeSeconds: Number(entry.mtimeSeconds),
    mtimeNanoseconds: entry.mtimeNanoseconds,
    linkTarget: textOf(entry.linkTarget),
    devMajor: entry.major,
    devMinor: entry.minor,
    xattrs: xattrsOf(entry),
  };
}

function xattrsOf(entry: LayerEntry): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const view = new DataView(entry.xattrValues.buffer, entry.xattrValues.byteOffset, entry.xattrValues.length);
  let at = 0;
  for (const name of entry.xattrNames) {
    const length = view.getUint32(at, true);
    if (!isHostsOwn(name) && !isOverlayMark(name)) {
      found.set(name, entry.xattrValues.slice(at + 4, at + 4 + length));
    }
    at += 4 + length;
  }
  return found;
}

// --- the other way ---

export interface ExtractOptions {
  /** Where entries go, below the session's work directory; "" for itself. */
  readonly into: string;
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** An archive's entries as ops of a session. No name leads out of `into`: `..` is taken lexically, links beneath the root. */
export class Extractor implements TarHandler {
  readonly #session: ApplySession;
  readonly #options: ExtractOptions;
  #isFile = false;

  constructor(session: ApplySession, options: ExtractOptions) {
    this.#session = session;
    this.#options = options;
  }

  onEntry(entry: TarEntry): void {
    const path = this.#place(entry.path);
    this.#isFile = entry.type === "file";
    if (path === "" && entry.type === "directory") return;
    if (path === "" || (entry.type === "hardlink" && this.#place(entry.linkTarget) === "")) {
      throw new VitrineError("invalid", `the archive has a file called ${quoted(entry.path)}`, {
        code: "archive-path-invalid",
        operand: entry.path,
      });
    }
    const { owner } = this.#options;
    const link = entry.type === "hardlink" ? this.#below(this.#place(entry.linkTarget)) : entry.linkTarget;
    const names = [...entry.xattrs.keys()].filter((name) => !isHostsOwn(name) && !isOverlayMark(name));
    this.#session.op({
      op: "layerEntry",
      path: rawText(this.#below(path)),
      type: typeflagOf[entry.type],
      mode: entry.mode,
      uid: owner?.uid ?? entry.uid,
      gid: owner?.gid ?? entry.gid,
      size: entry.type === "file" ? BigInt(entry.size) : 0n,
      mtimeSeconds: BigInt(entry.mtimeSeconds),
      mtimeNanoseconds: entry.mtimeNanoseconds,
      linkTarget: rawText(link),
      major: entry.devMajor,
      minor: entry.devMinor,
      xattrNames: names,
      xattrValues: packValues(names.map((name) => entry.xattrs.get(name)!)),
    });
  }

  onData(offset: number, chunk: Uint8Array): void {
    if (this.#isFile) this.#session.data(offset, chunk);
  }

  onEnd(): void {}

  #below(path: string): string {
    const { into } = this.#options;
    return into === "" ? path : `${into}/${path}`;
  }

  #place(path: string): string {
    const parts: string[] = [];
    for (const part of path.split("/")) {
      if (part === "" || part === ".") continue;
      if (part === "..") parts.pop();
      else parts.push(part);
    }
    return parts.join("/");
  }
}

/** For each value u32 length, little endian, and its bytes. */
function packValues(values: readonly Uint8Array[]): Uint8Array {
  const pieces = values.flatMap((value) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(value.length);
    return [length, value];
  });
  return Buffer.concat(pieces);
}
