/**
 * Notes what this process reads and writes, by standing in for every function of node:fs: one that is not understood,
 * like every way to another process or the network, ends the noting. So what was noted is all there is.
 *
 * It works because a module's namespace is made from the built-in object when it is first imported: this file must run
 * before anything imports node:fs, and imports nothing itself.
 */
import type { Fact, Identity, Note, Notes } from "./notes.ts";

type Call = (...args: unknown[]) => unknown;
type Functions = Record<string, Call>;
type Fs = typeof import("node:fs");
type Execve = (file: string, args: readonly string[], env: Readonly<Record<string, string>>) => never;

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

/** Begins; `finish` is called when the process is about to become another program. Call it once. */
export function beginNoting(finish: (notes: Notes, program: Note) => void): void {
  new Noting(finish).begin();
}

class Noting {
  readonly #real = { ...process.getBuiltinModule("node:fs") } as unknown as Fs;
  readonly #notes: Note[] = [];
  readonly #open = new Map<number, Open>();
  readonly #finish: (notes: Notes, program: Note) => void;
  /** When this process started is a slot, its limits are in the key. */
  readonly #own: ReadonlySet<string> = new Set([`/proc/${process.pid}/stat`, "/proc/self/limits"]);
  #problem: string | undefined;
  #words: readonly string[] = [];
  #ended: string | undefined;
  #ofContainer = false;
  /** Above 0 what is read is told by one fact that is noted already. */
  #covered = 0;
  /** Our own calls. */
  #inside = false;

  constructor(finish: (notes: Notes, program: Note) => void) {
    this.#finish = finish;
  }

  begin(): void {
    const fs = process.getBuiltinModule("node:fs") as unknown as Functions;
    const understood = this.#understood();
    for (const [name, call] of Object.entries(fs)) {
      if (typeof call !== "function" || /^[A-Z_]/.test(name)) continue;
      fs[name] = Object.hasOwn(understood, name)
        ? this.#guarded(name, call, understood[name]!)
        : this.#ending(name, call);
    }
    this.#endWith("node:fs.promises", process.getBuiltinModule("node:fs").promises as unknown as Functions);
    // What leads to registries says so itself (src/cli/pull-missing.ts): its modules take long to load.
    for (const module of ["node:child_process", "node:net"]) {
      this.#endWith(module, process.getBuiltinModule(module) as unknown as Functions);
    }
    this.#watchExecve();
    (globalThis as Record<symbol, unknown>)[Symbol.for("vitrine.noter")] = this.#hooks();
  }

  /** The files of SQLite are read in native code. */
  giveUp(why: string): void {
    this.#problem ??= why;
  }

  #hooks() {
    return {
      linesWith: (words: readonly string[]) => {
        const before = this.#words;
        this.#words = words;
        return () => {
          this.#words = before;
        };
      },
      ofContainer: () => {
        const before = this.#ofContainer;
        this.#ofContainer = true;
        return () => {
          this.#ofContainer = before;
        };
      },
      fileKind: (path: string, follow: boolean) => {
        this.#covered += 1;
        return (errno: number, type: number) => {
          this.#covered -= 1;
          if (this.#plain(path)) this.#fact({ kind: "fileKind", path, follow, errno, type });
        };
      },
      monitors: (path: string, most: number) => this.#cover({ kind: "monitors", path, most }),
      temporaries: (path: string) => this.#cover({ kind: "temporaries", path }),
      startTime: (pid: number) => {
        this.#covered += 1;
        return (time: string | undefined) => {
          this.#covered -= 1;
          // Our own is a slot.
          if (pid !== process.pid) this.#fact({ kind: "process", path: String(pid), time: time ?? "" });
        };
      },
      namespaces: (path: string) => {
        this.#covered += 1;
        return (foreign: number) => {
          this.#covered -= 1;
          this.#fact({ kind: "namespaces", path, foreign });
        };
      },
      endedAlone: (file: string) => {
        this.#ended = file;
        return () => {
          this.#ended = undefined;
        };
      },
      ids: (path: string, prefix: string) => {
        this.#covered += 1;
        return (found: readonly string[] | undefined) => {
          this.#covered -= 1;
          if (found === undefined || found.length > 1) this.giveUp("no id or one was looked for");
          this.#fact({ kind: "ids", path, prefix, id: found?.[0] ?? "" });
        };
      },
      below: (_descriptor: number, bytes: number) => this.#note({ kind: "below", bytes }),
      giveUp: (why: string) => this.giveUp(why),
    };
  }

  #cover(fact: Fact): () => void {
    if (this.#covered === 0) this.#note(fact);
    this.#covered += 1;
    return () => {
      this.#covered -= 1;
    };
  }

  #note(note: Note): void {
    this.#notes.push(note);
  }

  #fact(fact: Fact): void {
    if (this.#covered === 0 && !this.#own.has(fact.path)) this.#notes.push(fact);
  }

  /** Functions of every object that lead where nothing is noted. */
  #endWith(module: string, functions: Functions): void {
    for (const [name, call] of Object.entries(functions)) {
      if (typeof call === "function" && /^[a-z]/.test(name) && !name.startsWith("isIP"))
        functions[name] = this.#ending(`${module}.${name}`, call);
    }
  }

  #ending(name: string, call: Call): Call {
    const noting = this;
    return Object.assign(function (this: unknown, ...args: unknown[]): unknown {
      if (!noting.#inside) noting.giveUp(`${name} was called`);
      return call.apply(this, args);
    }, call);
  }

  /** Our own calls of the real functions may call each other. */
  #guarded(name: string, call: Call, understood: Call): Call {
    return Object.assign(
      (...args: unknown[]) => {
        if (this.#inside || this.#problem !== undefined) return call(...args);
        this.#inside = true;
        try {
          return understood(...args);
        } finally {
          this.#inside = false;
        }
      },
      call,
      { noted: name },
    );
  }

  #watchExecve(): void {
    const holder = process as unknown as { execve?: Execve };
    const execve = holder.execve;
    if (execve === undefined) return;
    holder.execve = (file, args, env) => {
      this.#inside = true;
      const program: Note = {
        kind: "execute",
        path: file,
        argv: args,
        env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
        openFiles: this.#openFiles(),
      };
      if (this.#open.size > 0) this.giveUp("a file is still open");
      this.#finish({ notes: this.#notes, problem: this.#problem }, program);
      return execve.call(process, file, args, env);
    };
  }

  /** The runtime raised it; whoever repeats this start does the same. */
  #openFiles(): number {
    const soft = /^Max open files +(\d+)/m.exec(this.#real.readFileSync("/proc/self/limits", "latin1"))?.[1];
    if (soft === undefined) this.giveUp("the limit of open files is not known");
    return Number(soft ?? 0);
  }

  // --- what is understood ---

  #understood(): Record<string, Call> {
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
      this.#note(note);
      return result;
    } catch (error) {
      this.giveUp(`${note.kind} failed`);
      throw error;
    }
  }

  #plain(path: unknown): path is string {
    if (typeof path === "string" && path.startsWith("/")) return true;
    this.giveUp("a path that is not absolute text");
    return false;
  }

  #exists(path: string): boolean {
    const found = this.#real.existsSync(path);
    if (this.#plain(path)) this.#fact({ kind: "access", path, mode: 0, errno: found ? 0 : -1 });
    return found;
  }

  #access(path: string, mode: number): void {
    try {
      this.#real.accessSync(path, mode);
      if (this.#plain(path)) this.#fact({ kind: "access", path, mode, errno: 0 });
    } catch (error) {
      if (this.#plain(path)) this.#fact({ kind: "access", path, mode, errno: errnoOf(error) });
      throw error;
    }
  }

  #stat(path: string, options: object | undefined, follow: boolean): unknown {
    const call = follow ? this.#real.statSync : this.#real.lstatSync;
    if (this.#plain(path)) this.#noteIdentity(path, follow);
    return (call as unknown as Call)(path, options);
  }

  #noteIdentity(path: string, follow: boolean): void {
    try {
      const call = follow ? this.#real.statSync : this.#real.lstatSync;
      const identity = identityOf(path, call(path, { bigint: true }));
      this.#requireSettled(path, identity);
      this.#fact({ kind: "stat", path, follow, errno: 0, identity });
    } catch (error) {
      this.#fact({ kind: "stat", path, follow, errno: errnoOf(error) });
    }
  }

  #requireSettled(path: string, { mtime, ctime }: Identity): void {
    if (this.#covered > 0) return;
    const limit = BigInt(Date.now()) * 1_000_000n - freshNanoseconds;
    if (mtime > limit || ctime > limit) this.giveUp(`${path} changed a moment ago`);
  }

  #fstat(descriptor: number, options: object | undefined): unknown {
    const open = this.#open.get(descriptor);
    if (open === undefined) this.giveUp("fstat of an unknown descriptor");
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
      } else this.giveUp("an unknown descriptor was read");
      return encoding == null ? bytes : bytes.toString(encoding as BufferEncoding);
    }
    if (!this.#plain(path)) return this.#real.readFileSync(path as string, options as BufferEncoding);
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
    this.#fact({
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
    if (!isMadeUp(path) && !this.#ofContainer && identity.size > BigInt(contentBytes)) {
      this.#requireSettled(path, identity);
      this.#fact({ kind: "stat", path, follow: true, errno: 0, identity });
      return;
    }
    if (path === this.#ended && endedPattern.test(Buffer.from(bytes).toString("latin1"))) {
      this.#fact({ kind: "ended", path });
      return;
    }
    const words = this.#words;
    const kept = words.length === 0 ? bytes : picked(bytes, words);
    if (kept.length > contentBytesMost) this.giveUp(`${path} is long`);
    this.#fact({
      kind: "content",
      path,
      errno: 0,
      bytes: kept,
      words,
      prefix: prefix && words.length === 0,
      own: this.#ofContainer,
    });
  }

  #readlink(path: string, options?: object): unknown {
    try {
      const text = this.#real.readlinkSync(path, options as never) as unknown;
      if (typeof text === "string" && this.#plain(path)) this.#fact({ kind: "link", path, errno: 0, text });
      else this.giveUp("a link was read as bytes");
      return text;
    } catch (error) {
      if (this.#plain(path)) this.#fact({ kind: "link", path, errno: errnoOf(error), text: "" });
      throw error;
    }
  }

  #realpath(path: string, options?: object): unknown {
    try {
      const text = this.#real.realpathSync(path, options as never) as string;
      if (this.#plain(path)) this.#fact({ kind: "realPath", path, text });
      return text;
    } catch (error) {
      this.giveUp("realpath failed");
      throw error;
    }
  }

  #readdir(path: string, options?: object): unknown {
    if (this.#covered === 0) this.giveUp(`${path} was listed`);
    return (this.#real.readdirSync as unknown as Call)(path, options);
  }

  #openFile(path: string, flags: string | number = "r", mode = 0o666): number {
    const number = flagsOf(flags, this.#real.constants);
    if (number === undefined) this.giveUp(`open with ${flags}`);
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
      if (!this.#plain(path) || (!follow && !missing)) this.giveUp("open failed");
      else if (!follow) this.#fact({ kind: "access", path, mode: 0, errno: noEntry });
      else this.#unreadable(path, error);
      throw error;
    }
    if (!this.#plain(path) || number === undefined) return descriptor;
    if (reads && (number & O_DIRECTORY) !== 0) this.#open.set(descriptor, { kind: "directory", path });
    else if (reads) this.#opened(descriptor, path, (number & O_NOFOLLOW) !== 0);
    else {
      if ([...this.#open.values()].some(({ kind }) => kind === "write"))
        this.giveUp("two files were written at once");
      this.#open.set(descriptor, { kind: "write", path });
      this.#note({ kind: "open", path, flags: number, mode });
    }
    return descriptor;
  }

  #opened(descriptor: number, path: string, noFollow: boolean): void {
    const identity = identityOf(path, this.#real.fstatSync(descriptor, { bigint: true }));
    const byStat = !isMadeUp(path) && !this.#ofContainer && identity.size > BigInt(contentBytes);
    if (byStat) this.#noteContent(path, identity, new Uint8Array(), false);
    // With O_NOFOLLOW there was no link at the end.
    const type = Number(identity.mode) & this.#real.constants.S_IFMT;
    if (noFollow) this.#fact({ kind: "fileKind", path, follow: false, errno: 0, type });
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
      this.giveUp("an unknown descriptor was read");
      return count;
    }
    if (open.byStat) return count;
    const place = open.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (typeof position === "number" && position !== place)
      this.giveUp("a file was not read from its beginning");
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
      this.#note({ kind: "print", descriptor, bytes: Uint8Array.from(bytes.subarray(from, from + wrote)) });
      return wrote;
    }
    if (open?.kind !== "write") this.giveUp("an unknown descriptor was written");
    const from = typeof data !== "string" && typeof rest[0] === "number" ? rest[0] : 0;
    const most = typeof data !== "string" && typeof rest[1] === "number" ? rest[1] : bytes.length - from;
    const wrote = (this.#real.writeSync as unknown as Call)(descriptor, data, ...rest) as number;
    if (wrote !== most) this.giveUp("a write was short");
    this.#note({ kind: "write", bytes: Uint8Array.from(bytes.subarray(from, from + most)) });
    return wrote;
  }

  #sync(descriptor: number): void {
    const open = this.#open.get(descriptor);
    if (open?.kind === "directory")
      this.#note({ kind: "open", path: open.path, flags: this.#real.constants.O_DIRECTORY, mode: 0 });
    else if (open?.kind !== "write") this.giveUp("sync of an unknown descriptor");
    this.#done({ kind: "sync" }, () => this.#real.fsyncSync(descriptor));
    if (open?.kind === "directory") this.#note({ kind: "close" });
  }

  #close(descriptor: number): void {
    const open = this.#open.get(descriptor);
    this.#open.delete(descriptor);
    if (open === undefined) this.giveUp("an unknown descriptor was closed");
    else if (open.kind === "write") this.#note({ kind: "close" });
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
      if (this.#plain(path))
        this.#note({ kind: "makeDirectory", path, mode, existed: recursive && made === undefined });
      if (typeof made === "string" && made !== path) this.giveUp("directories above were made");
      return made;
    } catch (error) {
      if (this.#plain(path) && (error as NodeJS.ErrnoException).code === "EEXIST") {
        this.#note({ kind: "makeDirectory", path, mode, existed: true });
      } else this.giveUp("mkdir failed");
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
      if (this.#plain(path) && flag === "wx" && (error as NodeJS.ErrnoException).code === "EEXIST") {
        this.#fact({ kind: "access", path, mode: 0, errno: 0 });
      } else this.giveUp("a file could not be written");
      throw error;
    }
    if (
      !this.#plain(path) ||
      flags === undefined ||
      (typeof data !== "string" && !(data instanceof Uint8Array))
    ) {
      this.giveUp("a file was written in an unknown way");
      return;
    }
    const bytes =
      typeof data === "string" ? Buffer.from(data, encoding as BufferEncoding) : Uint8Array.from(data);
    this.#note({ kind: "open", path, flags, mode });
    if (bytes.length > 0) this.#note({ kind: "write", bytes });
    this.#note({ kind: "close" });
  }

  get #replacing(): number {
    const { O_WRONLY, O_TRUNC } = this.#real.constants;
    return O_WRONLY | O_TRUNC;
  }

  #remove(path: string, options: { force?: boolean; recursive?: boolean } = {}): void {
    if (options.force !== true || options.recursive === true) this.giveUp("a tree was removed");
    if (this.#plain(path)) this.#done({ kind: "remove", path }, () => this.#real.rmSync(path, options));
    else this.#real.rmSync(path, options);
  }

  #utimes(path: string, atime: number, mtime: number): void {
    if (!Number.isSafeInteger(atime) || !Number.isSafeInteger(mtime))
      this.giveUp("times of parts of a second");
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
