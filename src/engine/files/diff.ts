/**
 * What a container changed in its image. Of an overlay its own layer tells, read beside a view of the layers below; of the copy
 * driver two trees are compared.
 */

import * as fs from "node:fs";
import { VitrineError } from "../../base/mod.ts";
import { ApplySession, FileReader, type LayerEntry, type Op, textOf } from "../../kernel/mod.ts";
import type { RuntimeConfig } from "../../oci/mod.ts";
import { applyOptions, type Store, type StoreIds } from "../../store/mod.ts";
import { type Container, containerDirectory, runDirectory } from "../containers/record.ts";
import { readConfig } from "../exec-container.ts";
import { typeOf } from "./members.ts";
import { requireImage } from "./require-image.ts";
import type { FileDeps } from "./view.ts";

export type ChangeKind = "changed" | "added" | "deleted";

export interface Change {
  /** Absolute, in the form of `decodeText`. */
  readonly path: string;
  readonly kind: ChangeKind;
}

export interface DiffDeps extends FileDeps {
  readonly openStore: (ids: StoreIds) => Promise<Store>;
}

/** A container's own layer, and how to read it again. */
export interface OwnLayer {
  /** By path. */
  readonly changes: readonly Change[];
  /** Names of `tree` that are its own: changed and added ones. */
  readonly kept: ReadonlySet<string>;
  /** Names of directories that hide what the layers below have in them. */
  readonly opaque: ReadonlySet<string>;
  /** Names that the container removed, the directories that are gone as a whole as one. */
  readonly deleted: readonly string[];
  readonly reader: FileReader;
  /** On the host: the overlay's upper directory, or the whole tree. */
  readonly tree: string;
  finish(): Promise<void>;
  abort(): Promise<unknown>;
}

/** As `docker diff`. Errors: `container-without-image`, `image-not-unpacked`, `apply-failed`. */
export async function diffContainer(container: Container, deps: DiffDeps): Promise<readonly Change[]> {
  const layer = await readOwnLayer(container, deps);
  await layer.finish();
  return layer.changes;
}

/** The caller ends it with `finish` or `abort`. Errors: see `diffContainer`. */
export async function readOwnLayer(container: Container, deps: DiffDeps): Promise<OwnLayer> {
  const { paths, helperPath } = deps;
  const below = await layersOf(container, deps);
  const directory = containerDirectory(paths, container.id);
  const copied = fs.existsSync(`${directory}/rootfs`);
  const tree = copied ? `${directory}/rootfs` : `${directory}/upper`;
  const session = new ApplySession(applyOptions(helperPath, container.ids), { answers: true });
  const reader = new FileReader(session);
  const end = async <T>(ended: Promise<T>): Promise<T> => {
    try {
      return await ended;
    } finally {
      reader.close();
    }
  };
  try {
    for (const op of viewBelow(below, container, `${directory}/merged`)) session.op(op);
    const found = copied ? await compareTrees(reader, tree) : await readUpper(reader, tree);
    const changes = withoutOurs(found, ownPlaces(readConfig(paths, container.id), paths, container));
    return {
      ...summary(changes, found),
      reader,
      tree,
      finish: async () => {
        await end(session.end());
      },
      abort: () => end(session.abort()),
    };
  } catch (error) {
    throw (await end(session.abort())) ?? error;
  }
}

async function layersOf(container: Container, { openStore }: DiffDeps): Promise<readonly string[]> {
  requireImage(container, "there is nothing to compare it with");
  const store = await openStore(container.ids);
  const trees = store.layerTrees(container.layers);
  if (trees !== undefined) return trees;
  throw new VitrineError("corrupt", `the layers of container ${container.name} are not there`, {
    code: "image-not-unpacked",
    operand: container.name,
    hint: "vitrine system check --repair",
  });
}

/** The root handle shows the layers below, read only; nothing of it is seen by anybody else. */
function viewBelow(trees: readonly string[], { ids }: Container, target: string): readonly Op[] {
  if (trees.length < 2) {
    const only = trees[0];
    return only === undefined ? [] : [{ op: "setRoot", path: { base: "host", path: only } }];
  }
  fs.mkdirSync(target, { recursive: true, mode: 0o755 });
  const newMounts = 0x00020000n;
  return [
    ...(ids.kind === "none" ? [{ op: "unshareNamespaces", flags: newMounts } as const] : []),
    { op: "mountPropagation", path: { base: "host", path: "/" }, propagation: 1 << 18, recursive: true },
    {
      op: "mountFilesystem",
      fstype: "overlay",
      source: "overlay",
      target: { base: "host", path: target },
      attributes: 0n,
      options: [...trees.map((tree) => `lowerdir+=${tree}`), ...(ids.kind === "none" ? [] : ["userxattr"])],
    },
    { op: "setRoot", path: { base: "host", path: target } },
  ];
}

/** An entry of the container's own layer. */
interface Own {
  readonly name: string;
  readonly kind: ChangeKind;
  /** undefined: deleted. */
  readonly entry: LayerEntry | undefined;
  readonly opaque: boolean;
  /** A directory that is there only because of what is in it. */
  readonly passing: boolean;
}

// --- overlay ---

async function readUpper(reader: FileReader, upper: string): Promise<readonly Own[]> {
  const entries: LayerEntry[] = [];
  for await (const event of reader.tree({ path: host(upper), name: "", top: false, content: false })) {
    if (event.kind === "entry") entries.push(event.entry);
  }
  const names = new Set(entries.map(({ path }) => textOf(path)));
  const own: Own[] = [];
  for (const entry of entries) {
    const name = textOf(entry.path);
    if (isWhiteout(entry)) {
      own.push({ name, kind: "deleted", entry: undefined, opaque: false, passing: false });
      continue;
    }
    refuseRedirects(entry, name);
    const before = await reader.entry({ base: "root", path: `/${name}` }, false);
    const below = typeof before === "string" ? undefined : before.entry;
    const directory = typeOf(entry) === "directory";
    const opaque = directory && isOpaque(entry) && below !== undefined && typeOf(below) === "directory";
    const kind = below === undefined ? "added" : "changed";
    own.push({
      name,
      kind,
      entry,
      opaque,
      passing: !opaque && below !== undefined && isSameDirectory(entry, below),
    });
    if (opaque) own.push(...(await hiddenIn(reader, name, names)));
  }
  return own;
}

/** What the layers below have in a directory that the container made anew, and that it has not. */
async function hiddenIn(
  reader: FileReader,
  name: string,
  names: ReadonlySet<string>,
): Promise<readonly Own[]> {
  const hidden: Own[] = [];
  for await (const event of reader.tree({
    path: { base: "root", path: `/${name}` },
    name,
    top: false,
    content: false,
  })) {
    if (event.kind !== "entry") continue;
    const each = textOf(event.entry.path);
    const child = each.slice(name.length + 1);
    if (child.includes("/") || names.has(each)) continue;
    hidden.push({ name: each, kind: "deleted", entry: undefined, opaque: false, passing: false });
  }
  return hidden;
}

function isWhiteout(entry: LayerEntry): boolean {
  return typeOf(entry) === "char" && entry.major === 0 && entry.minor === 0;
}

function isOpaque(entry: LayerEntry): boolean {
  return entry.xattrNames.some((name) => name === "trusted.overlay.opaque" || name === "user.overlay.opaque");
}

/** Marks of features that vitrine's mounts do not ask for: without them the layer does not say what it looks like. */
function refuseRedirects({ xattrNames }: LayerEntry, name: string): void {
  const mark = xattrNames.find((each) => /^(?:trusted|user)\.overlay\.(?:redirect|metacopy)$/.test(each));
  if (mark === undefined) return;
  throw new VitrineError("unsupported", `/${name} is marked ${mark}`, {
    code: "overlay-redirect",
    operand: `/${name}`,
    hint: "this kernel has the overlay's redirect_dir or metacopy on by default: switch it off, or use --storage-driver copy",
  });
}

/** Copied up for the sake of what is in it. */
function isSameDirectory(entry: LayerEntry, below: LayerEntry): boolean {
  return (
    typeOf(entry) === "directory" &&
    sameOwner(entry, below) &&
    entry.mtimeSeconds === below.mtimeSeconds &&
    entry.mtimeNanoseconds === below.mtimeNanoseconds
  );
}

function sameOwner(a: LayerEntry, b: LayerEntry): boolean {
  return a.type === b.type && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;
}

// --- copy driver ---

async function compareTrees(reader: FileReader, tree: string): Promise<readonly Own[]> {
  const before = new Map<string, LayerEntry>();
  for await (const event of reader.tree({
    path: { base: "root", path: "/" },
    name: "",
    top: false,
    content: false,
  })) {
    if (event.kind === "entry") before.set(textOf(event.entry.path), event.entry);
  }
  const own: Own[] = [];
  const seen = new Set<string>();
  for await (const event of reader.tree({ path: host(tree), name: "", top: false, content: false })) {
    if (event.kind !== "entry") continue;
    const { entry } = event;
    const name = textOf(entry.path);
    seen.add(name);
    const below = before.get(name);
    if (below !== undefined && typeOf(entry) !== "directory" && isSame(entry, below)) continue;
    const passing = below !== undefined && typeOf(entry) === "directory" && sameOwner(entry, below);
    own.push({ name, kind: below === undefined ? "added" : "changed", entry, opaque: false, passing });
  }
  let gone: string | undefined;
  for (const name of before.keys()) {
    if (seen.has(name) || (gone !== undefined && name.startsWith(`${gone}/`))) continue;
    gone = name;
    own.push({ name, kind: "deleted", entry: undefined, opaque: false, passing: false });
  }
  return own;
}

function isSame(a: LayerEntry, b: LayerEntry): boolean {
  return (
    sameOwner(a, b) &&
    a.size === b.size &&
    a.mtimeSeconds === b.mtimeSeconds &&
    a.mtimeNanoseconds === b.mtimeNanoseconds &&
    textOf(a.linkTarget) === textOf(b.linkTarget) &&
    a.major === b.major &&
    a.minor === b.minor &&
    a.xattrNames.join("\0") === b.xattrNames.join("\0") &&
    Buffer.compare(a.xattrValues, b.xattrValues) === 0
  );
}

// --- what is not the container's ---

/** Names of the mount points and files that every start makes. */
function ownPlaces(config: RuntimeConfig, paths: FileDeps["paths"], { id }: Container): ReadonlySet<string> {
  const kernels = ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"];
  const run = `${runDirectory(paths, id)}/`;
  const places = ["dev", "dev/console", "dev/shm", "etc/mtab", ".dockerenv", "run/.containerenv"];
  for (const { type = "", source = "", destination } of config.mounts ?? []) {
    const name = destination.replace(/^\/+|\/+$/g, "");
    if (kernels.includes(type) || source.startsWith(run) || name === "dev" || name.startsWith("dev/"))
      places.push(name);
  }
  return new Set(places);
}

/** Empty, as a mount point is made; or the link to /proc/mounts. */
function isPlaceholder({ name, kind, entry }: Own): boolean {
  if (kind !== "added" || entry === undefined) return false;
  const type = typeOf(entry);
  if (type === "symlink") return name === "etc/mtab" && textOf(entry.linkTarget) === "/proc/mounts";
  if (type === "file" && name === "run/.containerenv") return true;
  return type === "directory" || (type === "file" && entry.size === 0n);
}

function parentOf(name: string): string {
  return name.slice(0, Math.max(name.lastIndexOf("/"), 0));
}

/** Leaves out mount points, and directories that changed or came for their sake alone. */
function withoutOurs(found: readonly Own[], places: ReadonlySet<string>): readonly Own[] {
  const alive = new Map<string, number>();
  for (const { name } of found) {
    const parent = parentOf(name);
    alive.set(parent, (alive.get(parent) ?? 0) + 1);
  }
  const touched = new Set<string>();
  const leadsTo = new Set([...places].map(parentOf));
  const dropped = new Set<Own>();
  // From the leaves up: a name comes after its directory's.
  for (const own of [...found].sort((a, b) => depth(b.name) - depth(a.name))) {
    const empty = (alive.get(own.name) ?? 0) === 0;
    const directory = own.entry !== undefined && typeOf(own.entry) === "directory";
    const ours = places.has(own.name) && isPlaceholder(own) && empty;
    const onTheWay = directory && empty && leadsTo.has(own.name) && own.kind === "added";
    // A mount point was made in it: only its time is another.
    const stirred = directory && empty && !own.opaque && own.kind === "changed" && touched.has(own.name);
    if (!ours && !onTheWay && !stirred) continue;
    dropped.add(own);
    const parent = parentOf(own.name);
    alive.set(parent, (alive.get(parent) ?? 1) - 1);
    if (own.kind === "added") touched.add(parent);
  }
  return found.filter((own) => !dropped.has(own));
}

function depth(name: string): number {
  return name.split("/").length;
}

/** A directory of which nothing but its content is new is no change, unless something in it came or went (as docker). */
function summary(
  own: readonly Own[],
  found: readonly Own[],
): Pick<OwnLayer, "changes" | "kept" | "opaque" | "deleted"> {
  const stirred = new Set(own.filter(({ kind }) => kind !== "changed").map(({ name }) => parentOf(name)));
  const changes = own
    .filter(({ name, passing }) => !passing || stirred.has(name))
    .map(({ name, kind }): Change => ({ path: `/${name}`, kind }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  const above = new Set<string>();
  for (const { name } of own) for (let at = parentOf(name); at !== ""; at = parentOf(at)) above.add(at);
  const opaque = new Set(found.filter((each) => each.opaque).map(({ name }) => name));
  const kept = own.filter(({ name, entry, passing }) => entry !== undefined && (!passing || above.has(name)));
  const deleted = own.filter(({ kind, name }) => kind === "deleted" && !opaque.has(parentOf(name)));
  return {
    changes,
    kept: new Set(kept.map(({ name }) => name)),
    opaque,
    deleted: deleted.map(({ name }) => name),
  };
}

function host(path: string): { readonly base: "host"; readonly path: string } {
  return { base: "host", path };
}
