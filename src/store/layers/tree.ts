/**
 * What a layer has created so far, as names: where its symbolic links lead, which directories it only implied, what it hides.
 * With it every path that goes to the helper has been resolved here, and no link of a layer is ever followed on disk.
 */
import { limits, quoted, VitrineError } from "../../base/mod.ts";

/** A directory of the layer. */
export class DirectoryNode {
  readonly parent: DirectoryNode | undefined;
  readonly name: string;
  readonly entries = new Map<string, Node>();
  /** Names that whiteouts of this layer hide in the layers below. */
  hidden: Set<string> | undefined;
  /** Nothing of the layers below is seen in it. */
  opaque = false;
  /** Only a path below it was in the tar: the attributes are those of the layers below, if they have it. */
  implied: boolean;

  constructor(parent: DirectoryNode | undefined, name: string, implied: boolean) {
    this.parent = parent;
    this.name = name;
    this.implied = implied;
  }

  /** `usr/lib`; `` for the root. */
  path(): string {
    const names: string[] = [];
    for (let node: DirectoryNode = this; node.parent !== undefined; node = node.parent) names.push(node.name);
    return names.reverse().join("/");
  }

  /** Its own opaqueness or that of a directory above: layers below then have no part in it. */
  coversLower(): boolean {
    for (let node: DirectoryNode | undefined = this; node !== undefined; node = node.parent) {
      if (node.opaque) return true;
    }
    return false;
  }
}

/** A link is known by its target; a hard link to a file of a layer below by that file; a file, device or FIFO is just there. */
export type Node = DirectoryNode | { readonly link: string } | BelowNode | "other";

export interface BelowNode {
  readonly below: string;
}

export interface Place {
  readonly parent: DirectoryNode;
  readonly name: string;
  /** Path from the root of the layer, no `.` or `..` or link in it. */
  readonly path: string;
}

/** Linux follows 40 links in one lookup. */
const mostLinks = 40;

export class LayerTree {
  readonly root = new DirectoryNode(undefined, "", true);
  private readonly onImplied: (node: DirectoryNode, path: string) => void;
  private nodes = 0;
  private lastRaw: string | undefined;
  private lastNode: DirectoryNode = this.root;
  private lastPath = "";

  /** `onImplied` hears of a directory that no entry announced, before anything is created in it. */
  constructor(onImplied: (node: DirectoryNode, path: string) => void) {
    this.onImplied = onImplied;
  }

  /**
   * The place an entry's path means, its parent directories made where only implied. Undefined for the root itself.
   * Errors: `layer-path-escape` (`..` above the root), `layer-path-not-directory`, `layer-link-loop`, `layer-path-too-long`.
   */
  place(path: string): Place | undefined {
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    // The fast path: the same parent as the entry before, spelled the same way.
    if (slash >= 0 && name !== "" && name !== "." && name !== ".." && path.slice(0, slash) === this.lastRaw) {
      return this.at(this.lastNode, this.lastPath, name);
    }
    const parts = normalize(path);
    const last = parts.pop();
    if (last === undefined) return undefined;
    const parent = this.directory(parts, path);
    this.lastNode = parent;
    this.lastPath = parent.path();
    this.lastRaw = path.endsWith(`/${last}`) ? path.slice(0, -last.length - 1) : undefined;
    return this.at(parent, this.lastPath, last);
  }

  private at(parent: DirectoryNode, parentPath: string, name: string): Place {
    return { parent, name, path: parentPath === "" ? name : `${parentPath}/${name}` };
  }

  /** Notes what an entry created. A directory stays the node it was. */
  put({ parent, name }: Place, node: Node | "directory"): Node {
    const before = parent.entries.get(name);
    if (node === "directory") {
      if (before instanceof DirectoryNode) {
        before.implied = false;
        return before;
      }
      const made = new DirectoryNode(parent, name, false);
      this.set(parent, name, made);
      return made;
    }
    this.set(parent, name, node);
    return node;
  }

  private set(parent: DirectoryNode, name: string, node: Node): void {
    if (!parent.entries.has(name)) {
      this.nodes += 1;
      if (this.nodes > limits.tarEntriesPerLayer) {
        throw new VitrineError("invalid", `layer has more than ${limits.tarEntriesPerLayer} entries`, {
          code: "bomb",
          operand: name,
        });
      }
    } else {
      // A directory may have gone, or a link changed: what was resolved before may lead elsewhere now.
      this.lastRaw = undefined;
    }
    parent.entries.set(name, node);
  }

  /** Walks down, through links of this layer as a chroot would: `..` stops at the root, absolute targets begin there. */
  private directory(parts: readonly string[], whole: string): DirectoryNode {
    let node = this.root;
    const todo = [...parts].reverse();
    let links = 0;
    for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
      if (name === "" || name === ".") continue;
      if (name === "..") {
        node = node.parent ?? this.root;
        continue;
      }
      const next = node.entries.get(name);
      if (next instanceof DirectoryNode) node = next;
      else if (next === undefined) {
        const made = new DirectoryNode(node, name, true);
        this.set(node, name, made);
        this.onImplied(made, made.path());
        node = made;
      } else if (next === "other" || "below" in next) {
        throw pathError("layer-path-not-directory", whole, `${quoted(name)} in it is not a directory`);
      } else {
        links += 1;
        if (links > mostLinks) throw pathError("layer-link-loop", whole, "too many symbolic links in it");
        if (next.link.startsWith("/")) node = this.root;
        todo.push(...next.link.split("/").reverse());
        if (todo.length > limits.tarPathBytes) throw pathError("layer-path-too-long", whole, "too long");
      }
    }
    return node;
  }
}

/** Components without `.` and empty ones, `..` taken back. Absolute paths begin at the root of the layer. */
function normalize(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) {
      throw pathError("layer-path-escape", path, "it leads out of the root filesystem");
    }
  }
  return parts;
}

export function pathError(code: string, path: string, problem: string): VitrineError {
  return new VitrineError("invalid", `bad path ${quoted(path)} in a layer: ${problem}`, {
    code,
    operand: path,
    hint: "the image is malformed or hostile: do not use it",
  });
}
