/**
 * The functions of node:fs that are understood: what each of them found or did, as notes. Nothing here may import node:fs
 * (noter.ts says why).
 */
import type { NoteBook } from "./note-book.ts";
import type { Identity, Note } from "./notes.ts";

export type Call = (...args: unknown[]) => unknown;
export type Fs = typeof import("node:fs");

/** A file that changed so shortly before it was read may change again without its times telling. */
const freshNanoseconds = 100_000_000n;
/** Larger files are told apart by stat(2); and no record holds more of one. */
const contentBytes = 64 * 1024;
const contentBytesMost = 128 * 1024;

/** What a monitor writes at the end: src/runtime/state.ts reads it, native/launch_facts.c knows it too. */
const endedPattern = /^\d{1,3} \d{1,2} \d{1,20}(?: oom)?\n$/;

/** ENOENT */
const noEntry = 2;

/** What an open descriptor is. */
type Open =
  | {
      readonly kind: "read";
      readonly path: string;
      readonly chunks: Uint8Array[];
      readonly whole: { is: boolean };
      readonly byStat: boolean;
      readonly noFollow: boolean;
    }
  | { readonly kind: "write"; readonly path: string }
  | { readonly kind: "directory"; readonly path: string };
export class FileCalls {
  readonly #real: Fs;
  readonly #book: NoteBook;
  readonly #open = new Map<number, Open>();

  /** `real`: the functions themselves. */
  constructor(real: Fs, book: NoteBook) {
    this.#real = real;
    this.#book = book;
  }

  get openCount(): number {
    return this.#open.size;
  }

  understood(): Record<string, Call> {
    const known: Record<string, (...args: never[]) => unknown> = {
      existsSync: (path: string) => this.#exists(path),
      accessSync: (path: string, mode = 0) => this.#access(path, mode),
      statSync: (path: string, options?: object) => this.#stat(path, options, true),
      lstatSync: (path: string, options?: object) => this.#stat(path, options, false),
      fstatSync: (descriptor: number, options?: object) => this.#fstat(descriptor, options),
      readFileSync: (path: unknown, options?: unknown) => this.#readFile(path, options),
      readlinkSync: (path: string, options?: object) => this.#readlink(path, options),
      realpathSync: (path: string, options?: object) => this.#realpath(path, options),
      readdirSync: (path: string, options?: object) => this.#readdir(path, options),
      openSync: (path: string, flags?: string | number, mode?: number) => this.#openFile(path, flags, mode),
      readSync: (descriptor: number, ...rest: never[]) => this.#read(descriptor, rest),
      writeSync: (descriptor: number, data: string | Uint8Array, ...rest: never[]) =>
        this.#write(descriptor, data, rest),
      fsyncSync: (descriptor: number) => this.#sync(descriptor),
      closeSync: (descriptor: number) => this.#close(descriptor),
      mkdirSync: (path: string, options?: unknown) => this.#mkdir(path, options),
      writeFileSync: (path: unknown, data: unknown, options?: unknown) =>
        this.#writeFile(path, data, options),
      rmSync: (path: string, options?: { force?: boolean; recursive?: boolean }) =>
        this.#remove(path, options),
      renameSync: (from: string, to: string) =>
        this.#done({ kind: "rename", from, to }, () => this.#real.renameSync(from, to)),
      symlinkSync: (text: string, path: string) =>
        this.#done({ kind: "symlink", text, path }, () => this.#real.symlinkSync(text, path)),
      chmodSync: (path: string, mode: number) =>
        this.#done({ kind: "mode", path, mode }, () => this.#real.chmodSync(path, mode)),
      chownSync: (path: string, uid: number, gid: number) =>
        this.#done({ kind: "owner", path, follow: true, uid, gid }, () =>
          this.#real.chownSync(path, uid, gid),
        ),
      lchownSync: (path: string, uid: number, gid: number) =>
        this.#done({ kind: "owner", path, follow: false, uid, gid }, () =>
          this.#real.lchownSync(path, uid, gid),
        ),
      utimesSync: (path: string, atime: number, mtime: number) => this.#utimes(path, atime, mtime),
    };
    return known as unknown as Record<string, Call>;
  }

  /** Only what succeeds can be repeated. */
  #done<T>(note: Note, call: () => T): T {
    try {
      const result = call();
      this.#book.note(note);
      return result;
    } catch (error) {
      this.#book.giveUp(`${note.kind} failed`);
      throw error;
    }
  }

  #exists(path: string): boolean {
    const found = this.#real.existsSync(path);
    if (this.#book.plain(path)) this.#book.fact({ kind: "access", path, mode: 0, errno: found ? 0 : -1 });
    return found;
  }

  #access(path: string, mode: number): void {
    try {
      this.#real.accessSync(path, mode);
      if (this.#book.plain(path)) this.#book.fact({ kind: "access", path, mode, errno: 0 });
    } catch (error) {
      if (this.#book.plain(path)) this.#book.fact({ kind: "access", path, mode, errno: errnoOf(error) });
      throw error;
    }
  }

  #stat(path: string, options: object | undefined, follow: boolean): unknown {
    const call = follow ? this.#real.statSync : this.#real.lstatSync;
    if (this.#book.plain(path)) this.#noteIdentity(path, follow);
    return (call as unknown as Call)(path, options);
  }

  #noteIdentity(path: string, follow: boolean): void {
    try {
      const call = follow ? this.#real.statSync : this.#real.lstatSync;
      const identity = identityOf(path, call(path, { bigint: true }));
      this.#requireSettled(path, identity);
      this.#book.fact({ kind: "stat", path, follow, errno: 0, identity });
    } catch (error) {
      this.#book.fact({ kind: "stat", path, follow, errno: errnoOf(error) });
    }
  }

  #requireSettled(path: string, { mtime, ctime }: Identity): void {
    if (this.#book.covered > 0) return;
    const limit = BigInt(Date.now()) * 1_000_000n - freshNanoseconds;
    if (mtime > limit || ctime > limit) this.#book.giveUp(`${path} changed a moment ago`);
  }

  #fstat(descriptor: number, options: object | undefined): unknown {
    const open = this.#open.get(descriptor);
    if (open === undefined) this.#book.giveUp("fstat of an unknown descriptor");
    // Of one that is written to only its growth matters: `below` tells of that.
    else if (open.kind === "read") this.#noteIdentity(open.path, false);
    return (this.#real.fstatSync as unknown as Call)(descriptor, options);
  }

  #readFile(path: unknown, options: unknown): unknown {
    const encoding =
      typeof options === "string" ? options : (options as { encoding?: string } | undefined)?.encoding;
    if (typeof path === "number") {
      const bytes = this.#real.readFileSync(path);
      const open = this.#open.get(path);
      if (open?.kind === "read") {
        open.chunks.push(bytes);
        open.whole.is = true;
      } else this.#book.giveUp("an unknown descriptor was read");
      return encoding == null ? bytes : bytes.toString(encoding as BufferEncoding);
    }
    if (!this.#book.plain(path)) return this.#real.readFileSync(path as string, options as BufferEncoding);
    let before: Identity | undefined;
    try {
      before = identityOf(path, this.#real.statSync(path, { bigint: true }));
      const bytes = this.#real.readFileSync(path);
      this.#noteContent(path, before, bytes, false);
      return encoding == null ? bytes : bytes.toString(encoding as BufferEncoding);
    } catch (error) {
      this.#unreadable(path, error);
      throw error;
    }
  }

  /** It could not be opened, and with which error. */
  #unreadable(path: string, error: unknown): void {
    this.#book.fact({
      kind: "content",
      path,
      errno: errnoOf(error),
      bytes: new Uint8Array(),
      words: [],
      prefix: false,
      own: false,
    });
  }

  /** Small files are compared byte by byte, as is what the kernel makes up; others by what stat(2) said before. */
  #noteContent(path: string, identity: Identity, bytes: Uint8Array, prefix: boolean): void {
    if (!isMadeUp(path) && !this.#book.ofContainer && identity.size > BigInt(contentBytes)) {
      this.#requireSettled(path, identity);
      this.#book.fact({ kind: "stat", path, follow: true, errno: 0, identity });
      return;
    }
    if (path === this.#book.ended && endedPattern.test(Buffer.from(bytes).toString("latin1"))) {
      this.#book.fact({ kind: "ended", path });
      return;
    }
    const words = this.#book.words;
    const kept = words.length === 0 ? bytes : picked(bytes, words);
    if (kept.length > contentBytesMost) this.#book.giveUp(`${path} is long`);
    this.#book.fact({
      kind: "content",
      path,
      errno: 0,
      bytes: kept,
      words,
      prefix: prefix && words.length === 0,
      own: this.#book.ofContainer,
    });
  }

  #readlink(path: string, options?: object): unknown {
    try {
      const text = this.#real.readlinkSync(path, options as never) as unknown;
      if (typeof text === "string" && this.#book.plain(path))
        this.#book.fact({ kind: "link", path, errno: 0, text });
      else this.#book.giveUp("a link was read as bytes");
      return text;
    } catch (error) {
      if (this.#book.plain(path)) this.#book.fact({ kind: "link", path, errno: errnoOf(error), text: "" });
      throw error;
    }
  }

  #realpath(path: string, options?: object): unknown {
    try {
      const text = this.#real.realpathSync(path, options as never) as string;
      if (this.#book.plain(path)) this.#book.fact({ kind: "realPath", path, text });
      return text;
    } catch (error) {
      this.#book.giveUp("realpath failed");
      throw error;
    }
  }

  #readdir(path: string, options?: object): unknown {
    // Whatever is made or removed in a directory changes its times.
    if (this.#book.listing && this.#book.plain(path) && !isMadeUp(path)) this.#noteIdentity(path, true);
    else if (this.#book.covered === 0) this.#book.giveUp(`${path} was listed`);
    return (this.#real.readdirSync as unknown as Call)(path, options);
  }

  #openFile(path: string, flags: string | number = "r", mode = 0o666): number {
    const number = flagsOf(flags, this.#real.constants);
    if (number === undefined) this.#book.giveUp(`open with ${flags}`);
    const {
      O_ACCMODE = 3,
      O_RDONLY,
      O_CREAT,
      O_DIRECTORY,
      O_NOFOLLOW,
    } = this.#real.constants as Fs["constants"] & { O_ACCMODE?: number };
    const reads = number !== undefined && (number & O_ACCMODE) === O_RDONLY;
    let descriptor: number;
    try {
      descriptor = this.#real.openSync(path, flags, mode);
    } catch (error) {
      const follow = reads && (number & O_NOFOLLOW) === 0;
      const missing = errnoOf(error) === noEntry && number !== undefined && (number & O_CREAT) === 0;
      if (!this.#book.plain(path) || (!follow && !missing)) this.#book.giveUp("open failed");
      else if (!follow) this.#book.fact({ kind: "access", path, mode: 0, errno: noEntry });
      else this.#unreadable(path, error);
      throw error;
    }
    if (!this.#book.plain(path) || number === undefined) return descriptor;
    if (reads && (number & O_DIRECTORY) !== 0) this.#open.set(descriptor, { kind: "directory", path });
    else if (reads) this.#opened(descriptor, path, (number & O_NOFOLLOW) !== 0);
    else {
      if ([...this.#open.values()].some(({ kind }) => kind === "write"))
        this.#book.giveUp("two files were written at once");
      this.#open.set(descriptor, { kind: "write", path });
      this.#book.note({ kind: "open", path, flags: number, mode });
    }
    return descriptor;
  }

  #opened(descriptor: number, path: string, noFollow: boolean): void {
    const identity = identityOf(path, this.#real.fstatSync(descriptor, { bigint: true }));
    const byStat = !isMadeUp(path) && !this.#book.ofContainer && identity.size > BigInt(contentBytes);
    if (byStat) this.#noteContent(path, identity, new Uint8Array(), false);
    // With O_NOFOLLOW there was no link at the end.
    const type = Number(identity.mode) & this.#real.constants.S_IFMT;
    if (noFollow) this.#book.fact({ kind: "fileKind", path, follow: false, errno: 0, type });
    this.#open.set(descriptor, { kind: "read", path, chunks: [], whole: { is: false }, byStat, noFollow });
  }

  #read(descriptor: number, rest: never[]): number {
    const count = (this.#real.readSync as unknown as Call)(descriptor, ...rest) as number;
    const open = this.#open.get(descriptor);
    const [buffer, offset, length, position] = rest as unknown as [
      Uint8Array,
      number?,
      number?,
      (number | null)?,
    ];
    if (open?.kind !== "read" || typeof offset === "object") {
      this.#book.giveUp("an unknown descriptor was read");
      return count;
    }
    if (open.byStat) return count;
    const place = open.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (typeof position === "number" && position !== place)
      this.#book.giveUp("a file was not read from its beginning");
    const from = offset ?? 0;
    open.chunks.push(buffer.slice(from, from + count));
    open.whole.is = count < (length ?? buffer.byteLength - from);
    return count;
  }

  #write(descriptor: number, data: string | Uint8Array, rest: never[]): number {
    const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
    const open = this.#open.get(descriptor);
    if (descriptor === 1 || descriptor === 2) {
      const wrote = (this.#real.writeSync as unknown as Call)(descriptor, data, ...rest) as number;
      const from = typeof data !== "string" && typeof rest[0] === "number" ? rest[0] : 0;
      this.#book.note({
        kind: "print",
        descriptor,
        bytes: Uint8Array.from(bytes.subarray(from, from + wrote)),
      });
      return wrote;
    }
    if (open?.kind !== "write") this.#book.giveUp("an unknown descriptor was written");
    const from = typeof data !== "string" && typeof rest[0] === "number" ? rest[0] : 0;
    const most = typeof data !== "string" && typeof rest[1] === "number" ? rest[1] : bytes.length - from;
    const wrote = (this.#real.writeSync as unknown as Call)(descriptor, data, ...rest) as number;
    if (wrote !== most) this.#book.giveUp("a write was short");
    this.#book.note({ kind: "write", bytes: Uint8Array.from(bytes.subarray(from, from + most)) });
    return wrote;
  }

  #sync(descriptor: number): void {
    const open = this.#open.get(descriptor);
    if (open?.kind === "directory")
      this.#book.note({ kind: "open", path: open.path, flags: this.#real.constants.O_DIRECTORY, mode: 0 });
    else if (open?.kind !== "write") this.#book.giveUp("sync of an unknown descriptor");
    this.#done({ kind: "sync" }, () => this.#real.fsyncSync(descriptor));
    if (open?.kind === "directory") this.#book.note({ kind: "close" });
  }

  #close(descriptor: number): void {
    const open = this.#open.get(descriptor);
    this.#open.delete(descriptor);
    if (open === undefined) this.#book.giveUp("an unknown descriptor was closed");
    else if (open.kind === "write") this.#book.note({ kind: "close" });
    else if (open.kind === "read" && open.noFollow && open.chunks.length === 0)
      this.#noteIdentity(open.path, false);
    else if (open.kind === "read" && !open.byStat && open.chunks.length > 0) {
      const identity = identityOf(open.path, this.#real.fstatSync(descriptor, { bigint: true }));
      this.#noteContent(open.path, { ...identity, size: 0n }, Buffer.concat(open.chunks), !open.whole.is);
    }
    this.#real.closeSync(descriptor);
  }

  #mkdir(path: string, options: unknown): unknown {
    const { recursive = false, mode = 0o777 } =
      typeof options === "number"
        ? { mode: options }
        : ((options ?? {}) as { recursive?: boolean; mode?: number });
    try {
      const made = this.#real.mkdirSync(path, options as never) as unknown;
      if (this.#book.plain(path))
        this.#book.note({ kind: "makeDirectory", path, mode, existed: recursive && made === undefined });
      if (typeof made === "string" && made !== path) this.#book.giveUp("directories above were made");
      return made;
    } catch (error) {
      if (this.#book.plain(path) && (error as NodeJS.ErrnoException).code === "EEXIST") {
        this.#book.note({ kind: "makeDirectory", path, mode, existed: true });
      } else this.#book.giveUp("mkdir failed");
      throw error;
    }
  }

  #writeFile(path: unknown, data: unknown, options: unknown): void {
    const {
      flag = "w",
      mode = 0o666,
      encoding = "utf8",
    } = typeof options === "string"
      ? { encoding: options }
      : ((options ?? {}) as { flag?: string; mode?: number; encoding?: string });
    const replaced = typeof path === "string" && flag === "w" && this.#real.existsSync(path);
    const flags = replaced ? this.#replacing : flagsOf(flag, this.#real.constants);
    try {
      this.#real.writeFileSync(path as string, data as string, options as BufferEncoding);
    } catch (error) {
      if (this.#book.plain(path) && flag === "wx" && (error as NodeJS.ErrnoException).code === "EEXIST") {
        this.#book.fact({ kind: "access", path, mode: 0, errno: 0 });
      } else this.#book.giveUp("a file could not be written");
      throw error;
    }
    if (
      !this.#book.plain(path) ||
      flags === undefined ||
      (typeof data !== "string" && !(data instanceof Uint8Array))
    ) {
      this.#book.giveUp("a file was written in an unknown way");
      return;
    }
    const bytes =
      typeof data === "string" ? Buffer.from(data, encoding as BufferEncoding) : Uint8Array.from(data);
    this.#book.note({ kind: "open", path, flags, mode });
    if (bytes.length > 0) this.#book.note({ kind: "write", bytes });
    this.#book.note({ kind: "close" });
  }

  get #replacing(): number {
    const { O_WRONLY, O_TRUNC } = this.#real.constants;
    return O_WRONLY | O_TRUNC;
  }

  #remove(path: string, options: { force?: boolean; recursive?: boolean } = {}): void {
    if (options.force !== true || options.recursive === true) this.#book.giveUp("a tree was removed");
    if (this.#book.plain(path)) this.#done({ kind: "remove", path }, () => this.#real.rmSync(path, options));
    else this.#real.rmSync(path, options);
  }

  #utimes(path: string, atime: number, mtime: number): void {
    if (!Number.isSafeInteger(atime) || !Number.isSafeInteger(mtime))
      this.#book.giveUp("times of parts of a second");
    const nanoseconds = (seconds: number) => BigInt(Math.trunc(seconds)) * 1_000_000_000n;
    this.#done({ kind: "times", path, atime: nanoseconds(atime), mtime: nanoseconds(mtime) }, () =>
      this.#real.utimesSync(path, atime, mtime),
    );
  }
}

/** The positive number of an error of a system call. */
function errnoOf(error: unknown): number {
  const { errno } = error as NodeJS.ErrnoException;
  return errno === undefined ? -1 : Math.abs(errno);
}

/** Of what the kernel makes up when it is looked at only kind and owner last. */
function isMadeUp(path: string): boolean {
  return path.startsWith("/proc/") || path.startsWith("/sys/");
}

function identityOf(path: string, stat: import("node:fs").BigIntStats): Identity {
  const { dev, ino, mode, uid, gid, rdev, size, mtimeNs: mtime, ctimeNs: ctime } = stat;
  if (isMadeUp(path)) return { dev: 0n, ino: 0n, mode, uid, gid, rdev, size: 0n, mtime: 0n, ctime: 0n };
  return { dev, ino, mode, uid, gid, rdev, size, mtime, ctime };
}

function picked(bytes: Uint8Array, words: readonly string[]): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  return Buffer.from(lines.filter((line) => words.some((word) => line.includes(word))).join(""), "latin1");
}

function flagsOf(flags: string | number, constants: Fs["constants"]): number | undefined {
  const { O_RDONLY, O_WRONLY, O_CREAT, O_TRUNC, O_EXCL, O_APPEND } = constants;
  if (typeof flags === "number") return flags;
  switch (flags) {
    case "r":
      return O_RDONLY;
    case "w":
      return O_WRONLY | O_CREAT | O_TRUNC;
    case "wx":
      return O_WRONLY | O_CREAT | O_EXCL;
    case "a":
      return O_WRONLY | O_CREAT | O_APPEND;
    default:
      return undefined;
  }
}
