/**
 * One layer's tar (image-spec layer.md) as ops for the helper. Whiteouts become what the driver understands; nothing in a tar
 * can pretend to be one of the overlay's own marks.
 */
import {
  encodeText,
  quoted,
  type TarEntry,
  type TarHandler,
  typeflagOf,
  VitrineError,
} from "../../base/mod.ts";
import { isHostsOwn, isOverlayMark, type Op } from "../../kernel/mod.ts";
import type { RootEntry } from "../types.ts";
import { type BelowNode, DirectoryNode, LayerTree, type Node, type Place, pathError } from "./tree.ts";

/** Where the ops go: an apply session, or a list in tests. */
export interface LayerOps {
  op(op: Op): void;
  /** layerData of the last entry. `chunk` is only valid during the call. */
  data(offset: number, chunk: Uint8Array): void;
}

/**
 * How hidden names are marked: `trusted` and `user` as overlayfs reads them (0:0 devices and an opaque attribute),
 * `remove` really removes them (the layers below are in the same tree).
 */
export type WhiteoutStyle = "trusted" | "user" | "remove";

export interface LayerWriterOptions {
  readonly style: WhiteoutStyle;
  /** Whether an id can be owner of a file here. */
  readonly maps: (id: number, kind: "uid" | "gid") => boolean;
  /** Go on where an id is not mapped (the single-id map), counting such entries. */
  readonly ignoreOwner: boolean;
  /** `trusted.*` attributes cannot be set here (a user namespace): leave them out. */
  readonly dropTrusted: boolean;
}

/** What was seen, for layer.json and warnings. */
export interface LayerCounts {
  entries: number;
  fileBytes: number;
  whiteouts: number;
  opaques: number;
  unmappedOwners: number;
  /** Entries and attributes that would have forged marks of the overlay. */
  forgeries: number;
  rootEntry?: RootEntry;
}

const whiteoutPrefix = ".wh.";
/** Names of aufs's own bookkeeping (`.wh..wh.plnk`, `.wh..wh.aufs`): no content. */
const metadataPrefix = ".wh..wh.";
const opaqueName = ".wh..wh..opq";

const styleCodes: Readonly<Record<WhiteoutStyle, number>> = { remove: 0, trusted: 1, user: 2 };

const noBytes = new Uint8Array(0);

export class LayerWriter implements TarHandler {
  readonly counts: LayerCounts = {
    entries: 0,
    fileBytes: 0,
    whiteouts: 0,
    opaques: 0,
    unmappedOwners: 0,
    forgeries: 0,
  };
  private readonly out: LayerOps;
  private readonly options: LayerWriterOptions;
  private readonly tree: LayerTree;
  private readonly implied: DirectoryNode[] = [];
  private readonly opaque: DirectoryNode[] = [];
  private readonly belowLinks: { readonly place: Place; readonly node: BelowNode }[] = [];
  private readonly copied = new Set<string>();
  private acceptsData = false;

  constructor(out: LayerOps, options: LayerWriterOptions) {
    this.out = out;
    this.options = options;
    this.tree = new LayerTree((node, path) => this.implyDirectory(node, path));
  }

  onEntry(entry: TarEntry): void {
    this.acceptsData = false;
    this.counts.entries += 1;
    if (entry.path.includes(".wh.") && this.takeMark(entry)) return;
    if (entry.type === "char" && entry.devMajor === 0 && entry.devMinor === 0) {
      // overlayfs takes this very device for a whiteout.
      this.counts.forgeries += 1;
      return;
    }
    this.create(entry);
  }

  onData(offset: number, chunk: Uint8Array): void {
    if (this.acceptsData) this.out.data(offset, chunk);
  }

  /** The same, of bytes that the helper has at `position` of what it inflates; undefined where nobody wants them. */
  inflatedOp(offset: number, position: number, length: number): Op | undefined {
    if (!this.acceptsData) return undefined;
    return {
      op: "layerInflated",
      offset: BigInt(offset),
      position: BigInt(position),
      length: BigInt(length),
    };
  }

  onEnd(): void {}

  /** The directories that only a path below them named: their attributes are those of the layers below. */
  impliedDirectories(): readonly string[] {
    return this.implied
      .filter((node) => node.implied && !node.coversLower() && isAttached(node))
      .map((node) => node.path());
  }

  /** The directories in which nothing of the layers below is seen. */
  opaqueDirectories(): readonly string[] {
    return this.opaque.filter(isAttached).map((node) => node.path());
  }

  /** Hard links to files that only layers below have, in the order of the tar. */
  linksBelow(): readonly { readonly path: string; readonly target: string }[] {
    return this.belowLinks
      .filter(({ place, node }) => place.parent.entries.get(place.name) === node && isAttached(place.parent))
      .map(({ place, node }) => ({ path: place.path, target: node.below }));
  }

  /**
   * Makes one of them, `file` being the target in its layer: it is copied up first, as an overlay does at link(2). What this
   * layer itself has by the target's name came after the link, and is another file.
   */
  linkBelow(link: { readonly path: string; readonly target: string }, file: string): void {
    const target = this.tree.place(link.target)!;
    const from = { base: "host", path: file } as const;
    const there = target.parent.entries.get(target.name);
    if (there !== undefined && !this.copied.has(link.target)) {
      this.out.op({ op: "layerCopy", from, path: raw(link.path) });
      return;
    }
    if (there === undefined) {
      this.out.op({ op: "layerCopy", from, path: raw(link.target) });
      this.tree.put(target, "other");
      this.copied.add(link.target);
    }
    const type = typeflagOf.hardlink;
    this.out.op({ ...emptyEntry, path: raw(link.path), type, linkTarget: raw(link.target) });
  }

  /** Gives an implied directory its attributes. */
  setDirectory(path: string, attributes: DirectoryAttributes): void {
    this.out.op({ ...emptyEntry, ...attributes, path: raw(path), type: typeflagOf.directory });
  }

  /** Whiteouts, opaque marks and aufs's files: true when the entry is none of the layer's content. */
  private takeMark(entry: TarEntry): boolean {
    const parts = entry.path.split("/").filter((part) => part !== "" && part !== ".");
    const name = parts.at(-1) ?? "";
    if (name === opaqueName) {
      this.markOpaque(this.directoryOf(entry.path));
      return true;
    }
    if (parts.some((part) => part.startsWith(metadataPrefix))) return true;
    if (name.startsWith(whiteoutPrefix)) {
      this.whiteout(entry.path, name.slice(whiteoutPrefix.length));
      return true;
    }
    if (parts.some((part) => part.startsWith(whiteoutPrefix))) {
      throw pathError("layer-whiteout-invalid", entry.path, "a whiteout has nothing below it");
    }
    return false;
  }

  private directoryOf(path: string): DirectoryNode {
    const place = this.tree.place(path);
    if (place === undefined) throw pathError("layer-whiteout-invalid", path, "it names nothing");
    return place.parent;
  }

  private whiteout(path: string, name: string): void {
    if (name === "" || name === "." || name === "..") {
      throw pathError("layer-whiteout-invalid", path, "it names nothing that can be hidden");
    }
    const parent = this.directoryOf(path);
    this.counts.whiteouts += 1;
    if (parent.hidden?.has(name) || parent.coversLower()) return;
    parent.hidden ??= new Set();
    parent.hidden.add(name);
    // A whiteout speaks of the layers below, wherever in the tar it stands (layer.md#whiteouts): what this layer has stays.
    const own = parent.entries.get(name);
    if (own instanceof DirectoryNode) this.markOpaque(own);
    else if (own === undefined) this.hide(parent, name);
  }

  private hide(parent: DirectoryNode, name: string): void {
    const above = parent.path();
    const path = above === "" ? name : `${above}/${name}`;
    const style = this.options.style === "remove" ? 0 : 1;
    this.out.op({ op: "layerWhiteout", path: raw(path), style });
  }

  private markOpaque(node: DirectoryNode): void {
    if (node.coversLower()) return;
    node.opaque = true;
    this.opaque.push(node);
    this.counts.opaques += 1;
    const path = node.path();
    this.out.op({ op: "layerOpaque", path: raw(path), style: styleCodes[this.options.style] });
  }

  private implyDirectory(node: DirectoryNode, path: string): void {
    this.implied.push(node);
    if (this.options.style !== "remove") {
      this.out.op({ ...emptyEntry, path: raw(path), type: typeflagOf.directory, mode: 0o755 });
    }
    this.coverHidden(node.parent!, node.name, node);
  }

  /** A directory in place of one that this layer hid: what the layers below have in it stays hidden. */
  private coverHidden(parent: DirectoryNode, name: string, node: Node): void {
    if (node instanceof DirectoryNode && parent.hidden?.has(name)) this.markOpaque(node);
  }

  private create(entry: TarEntry): void {
    this.checkOwner(entry);
    const place = this.tree.place(entry.path);
    if (place === undefined) {
      this.createRoot(entry);
      return;
    }
    const known = this.nodeOf(entry, place);
    if (typeof known === "object" && "below" in known) {
      this.tree.put(place, known);
      this.belowLinks.push({ place, node: known });
      return;
    }
    const { names, values } = this.xattrsOf(entry);
    this.out.op({
      op: "layerEntry",
      path: raw(place.path),
      type: typeflagOf[entry.type],
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      size: entry.type === "file" ? BigInt(entry.size) : 0n,
      mtimeSeconds: BigInt(entry.mtimeSeconds),
      mtimeNanoseconds: entry.mtimeNanoseconds,
      linkTarget: raw(this.linkTarget(entry, place)),
      major: entry.devMajor,
      minor: entry.devMinor,
      xattrNames: names,
      xattrValues: values,
    });
    this.counts.fileBytes += entry.size;
    this.acceptsData = entry.type === "file";
    const before = place.parent.entries.get(place.name);
    const node = this.tree.put(place, known);
    if (node !== before) this.coverHidden(place.parent, place.name, node);
  }

  private nodeOf(entry: TarEntry, place: Place): Node | "directory" {
    if (entry.type === "directory") return "directory";
    if (entry.type === "symlink") return { link: entry.linkTarget };
    if (entry.type !== "hardlink") return "other";
    // A hard link to a symbolic link is one as well.
    const target = this.tree.place(entry.linkTarget);
    const node = target?.parent.entries.get(target.name);
    if (node instanceof DirectoryNode) {
      throw pathError("layer-link-invalid", place.path, "a hard link to a directory");
    }
    if (node === undefined && target !== undefined && this.options.style !== "remove") {
      if (target.parent.coversLower() || target.parent.hidden?.has(target.name)) {
        throw missingLink(place.path, entry.linkTarget);
      }
      return { below: target.path };
    }
    return node ?? "other";
  }

  private createRoot(entry: TarEntry): void {
    if (entry.type !== "directory") {
      throw pathError("layer-path-invalid", entry.path, "the root of a layer is a directory");
    }
    const { names, values } = this.xattrsOf(entry);
    this.tree.root.implied = false;
    const mtime = entry.mtimeSeconds + entry.mtimeNanoseconds / 1e9;
    this.counts.rootEntry = { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime };
    this.out.op({
      ...emptyEntry,
      path: raw("."),
      type: typeflagOf.directory,
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      mtimeSeconds: BigInt(entry.mtimeSeconds),
      mtimeNanoseconds: entry.mtimeNanoseconds,
      xattrNames: names,
      xattrValues: values,
    });
  }

  /** A symlink's text is kept as it is. A hard link's target is a path of the layer, resolved here like any other. */
  private linkTarget(entry: TarEntry, place: Place): string {
    if (entry.type === "symlink") return entry.linkTarget;
    if (entry.type !== "hardlink") return "";
    const target = this.tree.place(entry.linkTarget);
    if (target === undefined) throw pathError("layer-link-invalid", place.path, "a hard link to the root");
    return target.path;
  }

  private checkOwner(entry: TarEntry): void {
    const { maps, ignoreOwner } = this.options;
    if (maps(entry.uid, "uid") && maps(entry.gid, "gid")) return;
    this.counts.unmappedOwners += 1;
    if (ignoreOwner) return;
    const [what, id] = maps(entry.uid, "uid") ? ["group", entry.gid] : ["user", entry.uid];
    throw new VitrineError(
      "unsupported",
      `a file of the image belongs to ${what} ${id}, which is not mapped in the user namespace`,
      {
        code: "layer-id-unmapped",
        operand: entry.path,
        hint: "ask for more ids (--userns=auto:size=65536), or give your user a larger range in /etc/subuid and /etc/subgid: usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER",
      },
    );
  }

  private xattrsOf(entry: TarEntry): { readonly names: readonly string[]; readonly values: Uint8Array } {
    if (entry.xattrs.size === 0) return noXattrs;
    const names: string[] = [];
    const values: Uint8Array[] = [];
    for (const [name, value] of entry.xattrs) {
      if (isOverlayMark(name)) {
        this.counts.forgeries += 1;
        continue;
      }
      if (isHostsOwn(name) || (this.options.dropTrusted && name.startsWith("trusted."))) continue;
      names.push(name);
      values.push(value);
    }
    return { names, values: packValues(values) };
  }
}

export interface DirectoryAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: bigint;
  readonly mtimeNanoseconds: number;
}

const emptyEntry = {
  op: "layerEntry",
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0n,
  mtimeSeconds: 0n,
  mtimeNanoseconds: 0,
  linkTarget: "",
  major: 0,
  minor: 0,
  xattrNames: [],
  xattrValues: noBytes,
} as const;

export function missingLink(path: string, target: string): VitrineError {
  return pathError("layer-link-missing", path, `there is no ${quoted(target)} to link to`);
}

const noXattrs = { names: [], values: noBytes } as const;

/** For each value u32 length, little endian, and its bytes. */
function packValues(values: readonly Uint8Array[]): Uint8Array {
  const packed = new Uint8Array(values.reduce((sum, value) => sum + 4 + value.length, 0));
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const value of values) {
    view.setUint32(at, value.length, true);
    packed.set(value, at + 4);
    at += 4 + value.length;
  }
  return packed;
}

/** Names are bytes on disk: those that are no UTF-8 travel as such. */
function raw(text: string): string | Uint8Array {
  return text.isWellFormed() ? text : encodeText(text);
}

/** Not replaced by something else since. */
function isAttached(node: DirectoryNode): boolean {
  for (let at = node; at.parent !== undefined; at = at.parent) {
    if (at.parent.entries.get(at.name) !== at) return false;
  }
  return true;
}
