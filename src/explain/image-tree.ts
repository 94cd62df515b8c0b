/**
 * The files of an image as its layers make them, one after the other: what each layer adds, changes and hides, and
 * whose bytes nobody sees in the end (image-spec layer.md, "Applying Changesets"). Pure: works on lists of entries.
 */

/** A member of a layer; the path is as in the archive. */
export interface LayerMember {
  readonly path: string;
  readonly type: "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";
  readonly mode: number;
  /** Bytes of a regular file, 0 for others. */
  readonly bytes: number;
  /** Hash of a regular file's content, `""` for others. */
  readonly content: string;
  /** It has a security.capability attribute. */
  readonly capabilities: boolean;
  /** `UID:GID` */
  readonly owner?: string;
}

export interface FileBytes {
  readonly path: string;
  readonly bytes: number;
}

/** Files and the bytes of all of them, with the largest by name. Directories are not counted. */
export interface FileSum {
  readonly files: number;
  readonly bytes: number;
  readonly largest: readonly FileBytes[];
}

export interface LayerEffect {
  /** Entries of the archive, directories and marks included. */
  readonly entries: number;
  readonly adds: FileSum;
  /** Replaced files of lower layers; bytes are those of the new ones. */
  readonly changes: FileSum;
  /** Files of lower layers that are gone; bytes are those of the old ones. */
  readonly hides: FileSum;
  /** Bytes of `changes` that are equal to what was there: only owner, mode or times are new. */
  readonly unchangedBytes: number;
  /** Whiteouts (`.wh.NAME`) and opaque directories (`.wh..wh..opq`). */
  readonly whiteouts: number;
  readonly opaques: number;
}

/** A file that is stored and not visible. */
export interface WastedFile extends FileBytes {
  /** Index of the layer that holds it, and of the one that replaced or hid it. */
  readonly layer: number;
  readonly by: number;
}

export interface DuplicateFiles {
  /** Bytes of one of them. */
  readonly bytes: number;
  readonly paths: readonly string[];
}

/** A file that gives its user more than the user had. */
export interface PrivilegedFile {
  readonly path: string;
  readonly setuid: boolean;
  readonly setgid: boolean;
  readonly capabilities: boolean;
}

interface Node {
  type: LayerMember["type"];
  mode: number;
  bytes: number;
  content: string;
  capabilities: boolean;
  owner: string | undefined;
  layer: number;
  children: Map<string, Node> | undefined;
}

const whiteoutPrefix = ".wh.";
/** aufs's own bookkeeping (`.wh..wh.plnk`, `.wh..wh.aufs`): no content. */
const metadataPrefix = ".wh..wh.";
const opaqueName = ".wh..wh..opq";
/** How many files are named. */
const named = 5;

export class ImageTree {
  readonly wasted: WastedFile[] = [];
  private readonly root = directory(0);
  private layers = 0;

  /** Lays one more layer over those before. */
  apply(members: readonly LayerMember[]): LayerEffect {
    const layer = this.layers++;
    const effect = new Effect(members.length);
    const content: { readonly parts: readonly string[]; readonly member: LayerMember }[] = [];
    // Marks speak of the layers below, wherever they stand in the archive.
    for (const member of members) {
      const parts = partsOf(member.path);
      if (parts === undefined) continue;
      const name = parts.at(-1) ?? "";
      if (parts.some((part) => part !== opaqueName && part.startsWith(metadataPrefix))) continue;
      if (!name.startsWith(whiteoutPrefix)) content.push({ parts, member });
      else if (name === opaqueName) this.hideChildren(parts.slice(0, -1), layer, effect);
      else this.hideOne([...parts.slice(0, -1), name.slice(whiteoutPrefix.length)], layer, effect);
    }
    for (const { parts, member } of content) this.put(parts, member, layer, effect);
    return effect.result();
  }

  /** Files that hold the same, those that cost most first. Hard links are one file. */
  duplicates(): DuplicateFiles[] {
    const groups = new Map<string, { bytes: number; paths: string[] }>();
    walk(this.root, "", (path, node) => {
      if (node.type !== "file" || node.bytes === 0) return;
      const group = groups.get(node.content);
      if (group === undefined) groups.set(node.content, { bytes: node.bytes, paths: [path] });
      else group.paths.push(path);
    });
    return [...groups.values()]
      .filter(({ paths }) => paths.length > 1)
      .map(({ bytes, paths }) => ({ bytes, paths: paths.sort() }))
      .sort((left, right) => right.bytes * (right.paths.length - 1) - left.bytes * (left.paths.length - 1));
  }

  /** Visible files with setuid, setgid or capabilities. */
  privileged(): PrivilegedFile[] {
    const found: PrivilegedFile[] = [];
    walk(this.root, "", (path, node) => {
      if (node.type !== "file") return;
      const setuid = (node.mode & 0o4000) !== 0;
      // Without the group's execute bit it once meant mandatory locking, and gives nobody anything.
      const setgid = (node.mode & 0o2010) === 0o2010;
      if (setuid || setgid || node.capabilities) {
        found.push({ path, setuid, setgid, capabilities: node.capabilities });
      }
    });
    return found;
  }

  /** What is visible and no directory. */
  total(): { readonly files: number; readonly bytes: number } {
    let files = 0;
    let bytes = 0;
    walk(this.root, "", (_path, node) => {
      if (node.type === "directory") return;
      files += 1;
      bytes += node.bytes;
    });
    return { files, bytes };
  }

  /** What is visible, by path: a text that is the same for the same content, kind, mode, owner and capabilities. */
  files(): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    walk(this.root, "", (path, { type, mode, owner, capabilities, bytes, content }) => {
      found.set(path, [type, mode, owner ?? "", capabilities, bytes, content].join(" "));
    });
    return found;
  }

  private find(parts: readonly string[]): Node | undefined {
    let node: Node | undefined = this.root;
    for (const part of parts) node = node?.children?.get(part);
    return node;
  }

  private hideChildren(parts: readonly string[], layer: number, effect: Effect): void {
    effect.opaques += 1;
    const node = this.find(parts);
    for (const [name, child] of node?.children ?? []) {
      this.lose(child, `/${[...parts, name].join("/")}`, layer, effect);
      node!.children!.delete(name);
    }
  }

  private hideOne(parts: readonly string[], layer: number, effect: Effect): void {
    effect.whiteouts += 1;
    const parent = this.find(parts.slice(0, -1));
    const child = parent?.children?.get(parts.at(-1)!);
    if (parent === undefined || child === undefined) return;
    this.lose(child, `/${parts.join("/")}`, layer, effect);
    parent.children!.delete(parts.at(-1)!);
  }

  /** Everything of `node` is out of sight from `layer` on. */
  private lose(node: Node, path: string, layer: number, effect: Effect): void {
    const note = (lostPath: string, lost: Node): void => {
      if (lost.type === "directory" || lost.layer === layer) return;
      effect.hides.add(lostPath, lost.bytes);
      if (lost.bytes > 0)
        this.wasted.push({ path: lostPath, bytes: lost.bytes, layer: lost.layer, by: layer });
    };
    note(path, node);
    walk(node, path, note);
  }

  private put(parts: readonly string[], member: LayerMember, layer: number, effect: Effect): void {
    if (parts.length === 0) return;
    let parent = this.root;
    for (const part of parts.slice(0, -1)) {
      let next = parent.children?.get(part);
      if (next?.children === undefined) {
        next = directory(layer);
        parent.children?.set(part, next);
      }
      parent = next;
    }
    const name = parts.at(-1)!;
    const path = `/${parts.join("/")}`;
    const old = parent.children!.get(name);
    const isDirectory = member.type === "directory";
    if (old !== undefined && old.type === "directory" && isDirectory) {
      old.mode = member.mode;
      old.owner = member.owner;
      return;
    }
    if (!isDirectory) this.count(old, path, member, layer, effect);
    else if (old !== undefined) this.lose(old, path, layer, effect);
    parent.children!.set(name, {
      type: member.type,
      mode: member.mode,
      bytes: member.bytes,
      content: member.content,
      capabilities: member.capabilities,
      owner: member.owner,
      layer,
      children: isDirectory ? new Map() : undefined,
    });
  }

  private count(
    old: Node | undefined,
    path: string,
    member: LayerMember,
    layer: number,
    effect: Effect,
  ): void {
    if (old === undefined || old.layer === layer) {
      effect.adds.add(path, member.bytes);
    } else if (old.type === "directory") {
      this.lose(old, path, layer, effect);
      effect.adds.add(path, member.bytes);
    } else {
      effect.changes.add(path, member.bytes);
      if (old.content === member.content) effect.unchangedBytes += member.bytes;
      if (old.bytes > 0) this.wasted.push({ path, bytes: old.bytes, layer: old.layer, by: layer });
    }
  }
}

class Effect {
  readonly adds = new Sum();
  readonly changes = new Sum();
  readonly hides = new Sum();
  unchangedBytes = 0;
  whiteouts = 0;
  opaques = 0;
  private readonly entries: number;

  constructor(entries: number) {
    this.entries = entries;
  }

  result(): LayerEffect {
    const { entries, unchangedBytes, whiteouts, opaques } = this;
    return {
      entries,
      adds: this.adds.result(),
      changes: this.changes.result(),
      hides: this.hides.result(),
      unchangedBytes,
      whiteouts,
      opaques,
    };
  }
}

class Sum {
  private files = 0;
  private bytes = 0;
  private largest: FileBytes[] = [];

  add(path: string, bytes: number): void {
    this.files += 1;
    this.bytes += bytes;
    if (this.largest.length === named && bytes <= this.largest[named - 1]!.bytes) return;
    this.largest.push({ path, bytes });
    this.largest.sort((left, right) => right.bytes - left.bytes);
    this.largest.length = Math.min(this.largest.length, named);
  }

  result(): FileSum {
    return { files: this.files, bytes: this.bytes, largest: this.largest };
  }
}

function directory(layer: number): Node {
  return {
    type: "directory",
    mode: 0o755,
    bytes: 0,
    content: "",
    capabilities: false,
    owner: undefined,
    layer,
    children: new Map(),
  };
}

/** Calls `visit` for everything below `node`, without recursion: a hostile layer nests thousands deep. */
function walk(node: Node, path: string, visit: (path: string, node: Node) => void): void {
  const pending: { readonly node: Node; readonly path: string }[] = [{ node, path }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const [name, child] of next.node.children ?? []) {
      const childPath = `${next.path}/${name}`;
      visit(childPath, child);
      if (child.children !== undefined) pending.push({ node: child, path: childPath });
    }
  }
}

/** `./usr//bin/` → usr, bin; undefined for a path that leaves the root, which no unpacker takes. */
function partsOf(path: string): readonly string[] | undefined {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") ? undefined : parts;
}
