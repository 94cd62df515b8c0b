/** Compares file trees entry by entry: types, modes, owners, times, links, devices, extended attributes, contents. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { type ByteStream, type TarEntry, TarParser } from "../../src/base/mod.ts";

/** Path → everything that is compared, as one line. */
export type Tree = ReadonlyMap<string, string>;

interface Seen {
  readonly entry: TarEntry;
  readonly hash: string;
}

/** What a tar stream holds. Hard links are compared as sets of names, since archives choose another first one. */
export async function treeOfTar(stream: ByteStream | Iterable<Uint8Array>): Promise<Tree> {
  const seen = new Map<string, Seen>();
  const links = new Map<string, string>();
  let current: TarEntry | undefined;
  let hash = createHash("sha256");
  let hashed = 0;
  const zeros = Buffer.alloc(1 << 20);
  const fill = (to: number): void => {
    for (; hashed < to; hashed += Math.min(zeros.length, to - hashed)) {
      hash.update(zeros.subarray(0, Math.min(zeros.length, to - hashed)));
    }
  };
  const parser = new TarParser({
    onEntry: (entry) => {
      current = entry;
      hash = createHash("sha256");
      hashed = 0;
    },
    onData: (offset, chunk) => {
      fill(offset);
      hash.update(chunk);
      hashed = offset + chunk.length;
    },
    onEnd: () => {
      const entry = current!;
      const name = clean(entry.path);
      if (entry.type === "hardlink") {
        seen.delete(name);
        links.set(name, clean(entry.linkTarget));
        return;
      }
      fill(entry.size);
      links.delete(name);
      seen.set(name, { entry, hash: hash.digest("hex") });
    },
  });
  for await (const chunk of stream) parser.push(chunk);
  parser.finish();
  return describeAll(seen, links);
}

function clean(name: string): string {
  return name
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}

function describeAll(seen: ReadonlyMap<string, Seen>, links: ReadonlyMap<string, string>): Tree {
  const groups = new Map<string, string[]>();
  for (const name of seen.keys()) groups.set(name, [name]);
  for (const name of links.keys()) {
    let target = name;
    while (links.has(target)) target = links.get(target)!;
    groups.get(target)?.push(name);
  }
  const tree = new Map<string, string>();
  for (const [first, names] of groups) {
    const { entry, hash } = seen.get(first)!;
    for (const name of names) tree.set(name, describe(entry, hash, names.toSorted()));
  }
  return tree;
}

function describe(entry: TarEntry, hash: string, names: readonly string[]): string {
  const xattrs = [...entry.xattrs]
    .filter(([name]) => !name.startsWith("security.selinux") && !name.includes(".overlay."))
    .map(([name, value]) => `${name}=${Buffer.from(value).toString("hex")}`)
    .sort();
  return [
    entry.type,
    entry.type === "symlink" ? "-" : entry.mode.toString(8),
    `${entry.uid}:${entry.gid}`,
    entry.type === "file" ? `${entry.size} ${hash.slice(0, 16)}` : "",
    `${entry.mtimeSeconds}.${entry.mtimeNanoseconds}`,
    entry.type === "symlink" ? `-> ${entry.linkTarget}` : "",
    entry.type === "char" || entry.type === "block" ? `${entry.devMajor},${entry.devMinor}` : "",
    names.length > 1 ? `= ${names.join(" ")}` : "",
    xattrs.join(" "),
  ]
    .filter((part) => part !== "")
    .join(" ");
}

const tarCommand =
  "tar --sort=name --numeric-owner --xattrs --xattrs-include='*' --format=posix " +
  "--pax-option=delete=atime,delete=ctime --ignore-failed-read -cf - .";

/** The tree in a directory as the kernel shows it, read by GNU tar inside `wrap` (a user namespace, say). */
export async function treeOfDirectory(directory: string, wrap: readonly string[] = []): Promise<Tree> {
  return treeOfCommand([...wrap, "sh", "-c", `cd "$1" && ${tarCommand}`, "sh", directory]);
}

/** The same of an overlay, mounted in a mount namespace of its own. `wrap` must begin with unshare. */
export async function treeOfOverlay(
  mount: {
    readonly lowers: readonly string[];
    readonly upper: string;
    readonly work: string;
    readonly userxattr: boolean;
  },
  scratch: string,
  wrap: readonly string[],
): Promise<Tree> {
  const options = [
    `lowerdir=${mount.lowers.join(":")}`,
    `upperdir=${mount.upper}`,
    `workdir=${mount.work}`,
    ...(mount.userxattr ? ["userxattr"] : []),
  ].join(",");
  const script = `mkdir -p "$2" && mount -t overlay overlay -o "$1" "$2" && cd "$2" && ${tarCommand}`;
  return treeOfCommand([...wrap, "sh", "-c", script, "sh", options, scratch]);
}

async function treeOfCommand([program, ...args]: readonly string[]): Promise<Tree> {
  const done = spawnSync(program!, args, { maxBuffer: 2 ** 31 - 1 });
  if (done.status !== 0) throw new Error(`${program} ${args.join(" ")}: ${done.stderr}`);
  return treeOfTar([done.stdout]);
}

/** Lines that differ, `-` only in or of `expected`, `+` of `actual`; at most 40. */
export function differences(actual: Tree, expected: Tree): readonly string[] {
  const lines: string[] = [];
  for (const name of [...new Set([...expected.keys(), ...actual.keys()])].sort()) {
    const left = expected.get(name);
    const right = actual.get(name);
    if (left === right) continue;
    if (left !== undefined) lines.push(`- /${name} ${left}`);
    if (right !== undefined) lines.push(`+ /${name} ${right}`);
  }
  return lines.slice(0, 40);
}
