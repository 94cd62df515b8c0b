/**
 * The option words of a mount (config.md#linux-mount-options) and what each does: an attribute of the mount, its
 * propagation, a flag of the filesystem, or an option of the filesystem itself.
 *
 * Words apply in the order given, a later one undoes an earlier one, as in mount(8).
 */
import {
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_RELATIME,
  MOUNT_ATTR_STRICTATIME,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
} from "../kernel/mod.ts";

/** MOUNT_ATTR_* bits to set and to clear. */
export interface Attributes {
  readonly set: bigint;
  readonly clear: bigint;
}

export interface MountOptions {
  readonly bind: "no" | "bind" | "rbind";
  /** Of this mount alone. */
  readonly attributes: Attributes;
  /** Of the whole tree (the words beginning with `r`: mount_setattr with AT_RECURSIVE). */
  readonly recursiveAttributes: Attributes;
  /** Any of the attribute words was there, also one that asks for what is so already. */
  readonly attributesGiven: boolean;
  /** MS_* bits, with MS_REC for the words beginning with `r`; in the order given. */
  readonly propagation: readonly number[];
  readonly idmap: "no" | "idmap" | "ridmap";
  /** After `idmap=` and `ridmap=`, as crun has it; empty: the option alone. */
  readonly idmapRanges: string;
  /** `copy-symlink`: a source that is a link is made anew at the destination. */
  readonly copySymlink: boolean;
  readonly tmpcopyup: boolean;
  readonly remount: boolean;
  /** Flags of the superblock that fsconfig knows by these words: `sync`, `dirsync`, `lazytime`, `mand`. */
  readonly superblock: readonly string[];
  readonly iversion: boolean;
  /** Everything else: `key` or `key=value` for the filesystem. */
  readonly data: readonly string[];
}

type Word =
  | { readonly kind: "set"; readonly bit: bigint }
  | { readonly kind: "clear"; readonly bit: bigint }
  /** The three access time modes exclude each other. */
  | { readonly kind: "atime"; readonly mode: bigint };

export function parseMountOptions(words: readonly string[]): MountOptions {
  const options: BuildingOptions = {
    bind: "no",
    attributes: { set: 0n, clear: 0n },
    recursiveAttributes: { set: 0n, clear: 0n },
    attributesGiven: false,
    propagation: [],
    idmap: "no",
    idmapRanges: "",
    copySymlink: false,
    tmpcopyup: false,
    remount: false,
    superblock: [],
    iversion: false,
    data: [],
  };
  for (const word of words) {
    const known =
      takeAttribute(options, word) ||
      takePropagation(options, word) ||
      takeIdMap(options, word) ||
      takeSuperblockFlag(options, word) ||
      takeOther(options, word);
    if (!known) options.data.push(word);
  }
  return options;
}

interface BuildingOptions extends MountOptions {
  bind: MountOptions["bind"];
  readonly attributes: Building;
  readonly recursiveAttributes: Building;
  attributesGiven: boolean;
  readonly propagation: number[];
  idmap: MountOptions["idmap"];
  idmapRanges: string;
  copySymlink: boolean;
  tmpcopyup: boolean;
  remount: boolean;
  superblock: readonly string[];
  iversion: boolean;
  readonly data: string[];
}

// Each takes the words that it knows: whether this is one of them.

function takeAttribute(options: BuildingOptions, word: string): boolean {
  const attribute = attributeWord(word);
  if (attribute !== undefined) {
    options.attributesGiven = true;
    if (takesBack(word)) forgetAccessTimes(options.attributes, word);
    else apply(options.attributes, attribute);
    return true;
  }
  // `ro` is to `rro` as every attribute word is to its recursive one.
  const recursive = word.startsWith("r") ? attributeWord(word.slice(1)) : undefined;
  if (recursive !== undefined) apply(options.recursiveAttributes, recursive);
  return recursive !== undefined;
}

function takePropagation(options: BuildingOptions, word: string): boolean {
  const bits = propagationWord(word);
  if (bits !== undefined) options.propagation.push(bits);
  return bits !== undefined;
}

function takeIdMap(options: BuildingOptions, word: string): boolean {
  const match = /^(r?idmap)(?:=(.*))?$/s.exec(word);
  if (match === null) return false;
  options.idmap = match[1] === "idmap" ? "idmap" : "ridmap";
  if (match[2] !== undefined) options.idmapRanges = match[2];
  return true;
}

function takeSuperblockFlag(options: BuildingOptions, word: string): boolean {
  switch (word) {
    case "sync":
    case "dirsync":
    case "lazytime":
    case "mand":
      options.superblock = [...without(options.superblock, word), word];
      return true;
    case "async":
      options.superblock = without(options.superblock, "sync");
      return true;
    case "nolazytime":
    case "nomand":
      options.superblock = without(options.superblock, word.slice("no".length));
      return true;
    default:
      return false;
  }
}

function takeOther(options: BuildingOptions, word: string): boolean {
  switch (word) {
    case "bind":
      if (options.bind !== "rbind") options.bind = "bind";
      return true;
    case "rbind":
      options.bind = "rbind";
      return true;
    case "copy-symlink":
      options.copySymlink = true;
      return true;
    case "tmpcopyup":
      options.tmpcopyup = true;
      return true;
    case "remount":
      options.remount = true;
      return true;
    case "iversion":
    case "noiversion":
      options.iversion = word === "iversion";
      return true;
    // What they ask for is the default, or (silent, loud) only how much the kernel logs.
    case "defaults":
    case "silent":
    case "loud":
    case "":
      return true;
    default:
      return false;
  }
}

/** MS_* bits of a propagation word (config.md, linux.rootfsPropagation), else undefined. */
export function propagationWord(word: string): number | undefined {
  switch (word) {
    case "private":
      return MS_PRIVATE;
    case "rprivate":
      return MS_PRIVATE | MS_REC;
    case "slave":
      return MS_SLAVE;
    case "rslave":
      return MS_SLAVE | MS_REC;
    case "shared":
      return MS_SHARED;
    case "rshared":
      return MS_SHARED | MS_REC;
    case "unbindable":
      return MS_UNBINDABLE;
    case "runbindable":
      return MS_UNBINDABLE | MS_REC;
    default:
      return undefined;
  }
}

function attributeWord(word: string): Word | undefined {
  switch (word) {
    case "ro":
      return { kind: "set", bit: MOUNT_ATTR_RDONLY };
    case "rw":
      return { kind: "clear", bit: MOUNT_ATTR_RDONLY };
    case "nosuid":
      return { kind: "set", bit: MOUNT_ATTR_NOSUID };
    case "suid":
      return { kind: "clear", bit: MOUNT_ATTR_NOSUID };
    case "nodev":
      return { kind: "set", bit: MOUNT_ATTR_NODEV };
    case "dev":
      return { kind: "clear", bit: MOUNT_ATTR_NODEV };
    case "noexec":
      return { kind: "set", bit: MOUNT_ATTR_NOEXEC };
    case "exec":
      return { kind: "clear", bit: MOUNT_ATTR_NOEXEC };
    case "nodiratime":
      return { kind: "set", bit: MOUNT_ATTR_NODIRATIME };
    case "diratime":
      return { kind: "clear", bit: MOUNT_ATTR_NODIRATIME };
    case "nosymfollow":
      return { kind: "set", bit: MOUNT_ATTR_NOSYMFOLLOW };
    case "symfollow":
      return { kind: "clear", bit: MOUNT_ATTR_NOSYMFOLLOW };
    case "noatime":
      return { kind: "atime", mode: MOUNT_ATTR_NOATIME };
    case "strictatime":
      return { kind: "atime", mode: MOUNT_ATTR_STRICTATIME };
    // The kernel's default is relatime: these ask for it, or for no longer asking for another.
    case "relatime":
    case "atime":
    case "nostrictatime":
      return { kind: "atime", mode: MOUNT_ATTR_RELATIME };
    case "norelatime":
      return { kind: "clear", bit: 0n };
    default:
      return undefined;
  }
}

/** Words that ask for no mode of access times: they end what an earlier word asked for (mount(8)). */
function takesBack(word: string): boolean {
  return word === "atime" || word === "nostrictatime" || word === "norelatime";
}

function forgetAccessTimes(to: Building, word: string): void {
  const mode =
    word === "atime"
      ? MOUNT_ATTR_NOATIME
      : word === "nostrictatime"
        ? MOUNT_ATTR_STRICTATIME
        : MOUNT_ATTR_RELATIME;
  if ((to.clear & MOUNT_ATTR__ATIME) !== 0n && (to.set & MOUNT_ATTR__ATIME) === mode) {
    to.set &= ~MOUNT_ATTR__ATIME;
    to.clear &= ~MOUNT_ATTR__ATIME;
  }
}

/** The flags of a mount that mount(2) sets as a whole, access times apart. */
const plainFlags =
  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;

/**
 * Of a bind mount. With any attribute word it has what was asked for and nothing else of its source's; without one it
 * keeps all. Access times are kept unless one of noatime, nodiratime, relatime and strictatime is asked for. So do mount(8)
 * and runc.
 */
export function bindAttributes({ attributes, recursiveAttributes, attributesGiven }: MountOptions): {
  readonly attributes: Attributes;
  /** Bits to clear where they are not locked. */
  readonly unasked: bigint;
} {
  const mode = (attributes.clear & MOUNT_ATTR__ATIME) !== 0n;
  const accessTimes = mode || (attributes.set & MOUNT_ATTR_NODIRATIME) !== 0n;
  const { set } = attributes;
  const clear = (attributes.clear & ~MOUNT_ATTR_NODIRATIME) | (accessTimes ? MOUNT_ATTR__ATIME : 0n);
  if (!attributesGiven) return { attributes: { set, clear }, unasked: 0n };
  const wanted = plainFlags | (accessTimes ? MOUNT_ATTR_NODIRATIME : 0n);
  const recursive = recursiveAttributes.set | recursiveAttributes.clear;
  return { attributes: { set, clear }, unasked: wanted & ~(set | clear | recursive) };
}

/** `Attributes` while the words are read. */
interface Building {
  set: bigint;
  clear: bigint;
}

function apply(to: Building, word: Word): void {
  switch (word.kind) {
    case "set":
      to.set |= word.bit;
      to.clear &= ~word.bit;
      break;
    case "clear":
      to.clear |= word.bit;
      to.set &= ~word.bit;
      break;
    case "atime":
      // mount_setattr(2) wants the whole field cleared before a mode is set.
      to.set = (to.set & ~MOUNT_ATTR__ATIME) | word.mode;
      to.clear |= MOUNT_ATTR__ATIME;
  }
}

function without(words: readonly string[], word: string): string[] {
  return words.filter((one) => one !== word);
}
