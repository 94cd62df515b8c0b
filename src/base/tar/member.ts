/** What a header, pax records and GNU long names say of a member together, checked. */
import { limits } from "../limits.ts";
import { encodeText } from "../text.ts";
import type { TarEntry, TarType } from "./entry.ts";
import { type Place, type RawHeader, tarError, typeflag } from "./header.ts";
import { noPaxRecords, type PaxRecords, parseDecimal, parseTime } from "./pax.ts";
import type { SparseMap } from "./sparse.ts";

const typesByFlag: Readonly<Record<number, TarType>> = {
  [typeflag.oldFile]: "file",
  [typeflag.file]: "file",
  [typeflag.hardlink]: "hardlink",
  [typeflag.symlink]: "symlink",
  [typeflag.char]: "char",
  [typeflag.block]: "block",
  [typeflag.directory]: "directory",
  [typeflag.fifo]: "fifo",
  [typeflag.contiguous]: "file",
  [typeflag.gnuSparse]: "file",
};

/** undefined: of a type that is not supported. */
export function typeOf({ type }: RawHeader): TarType | undefined {
  return typesByFlag[type];
}

/** (uid_t)-1 means "leave as it is" to chown: such an owner would become the unpacker's own. */
const maxId = 0xfffffffe;
const maxDevice = 0xffffffff;

const noXattrs: ReadonlyMap<string, Uint8Array> = new Map();

/** A member as the archive tells of it in parts. */
export interface Member {
  readonly raw: RawHeader;
  readonly records: PaxRecords;
  readonly longName: string | undefined;
  readonly longLink: string | undefined;
  /** Bytes stored in the archive. */
  readonly stored: number;
  readonly place: Place;
}

/**
 * `sparse`: of a sparse file; `bodyOffset`: where its body begins in the archive.
 * Errors: those of a header whose fields cannot be meant: `tar-invalid-header`, `tar-invalid-pax`, `tar-limit-path`, `tar-limit-size`.
 */
export function describeMember(member: Member, sparse: SparseMap | undefined, bodyOffset: number): TarEntry {
  const { raw, records, stored, place } = member;
  let type = typeOf(raw)!;
  let path = member.longName ?? raw.name;
  let linkTarget = member.longLink ?? raw.linkName;
  let { uid, gid } = raw;
  let mtimeSeconds = raw.mtime;
  let mtimeNanoseconds = 0;
  if (records !== noPaxRecords) {
    const { values } = records;
    path = values.get("GNU.sparse.name") ?? values.get("path") ?? path;
    linkTarget = values.get("linkpath") ?? linkTarget;
    uid = numberOr(values.get("uid"), uid, "uid", place);
    gid = numberOr(values.get("gid"), gid, "gid", place);
    const mtime = values.get("mtime");
    if (mtime !== undefined) {
      const time = parseTime(mtime, "mtime", place);
      mtimeSeconds = time.seconds;
      mtimeNanoseconds = time.nanoseconds;
    }
  }
  // Before ustar had a type for directories, a trailing slash made one.
  if (raw.type === typeflag.oldFile && path.endsWith("/")) type = "directory";
  checkName(path, "path", place);
  const isLink = type === "hardlink" || type === "symlink";
  if (isLink) checkName(linkTarget, "link target", place);
  if (uid < 0 || uid > maxId || gid < 0 || gid > maxId) {
    throw tarError("tar-invalid-header", "an owner is out of range", place);
  }
  const { devMajor, devMinor } = raw;
  if (devMajor < 0 || devMajor > maxDevice || devMinor < 0 || devMinor > maxDevice) {
    throw tarError("tar-invalid-header", "a device number is out of range", place);
  }
  const bodySize = type === "file" ? stored : 0;
  const size = sparse?.size ?? bodySize;
  if (size > limits.tarFileBytes) throw tarError("tar-limit-size", "a file is too large", place);
  return {
    path,
    type,
    mode: Math.max(raw.mode, 0),
    uid,
    gid,
    size,
    mtimeSeconds,
    mtimeNanoseconds,
    linkTarget: isLink ? linkTarget : "",
    devMajor,
    devMinor,
    xattrs: records === noPaxRecords ? noXattrs : records.xattrs,
    sparse: sparse?.runs,
    bodyOffset,
    bodySize,
  };
}

function numberOr(text: string | undefined, otherwise: number, key: string, place: Place): number {
  return text === undefined ? otherwise : parseDecimal(text, key, place);
}

function checkName(name: string, what: string, place: Place): void {
  if (name === "" || name.includes("\0")) {
    throw tarError("tar-invalid-header", `a member has an empty ${what} or one with a NUL`, place);
  }
  // A character has at most three bytes for each UTF-16 unit: most names need no exact count.
  if (name.length * 3 > limits.tarPathBytes && encodeText(name).length > limits.tarPathBytes) {
    throw tarError("tar-limit-path", `a ${what} exceeds ${limits.tarPathBytes} bytes`, place);
  }
}
