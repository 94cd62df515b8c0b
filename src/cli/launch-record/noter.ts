/**
 * Notes what this process reads and writes, by standing in for every function of node:fs: one that is not understood,
 * like every way to another process or the network, ends the noting. So what was noted is all there is.
 *
 * It works because a module's namespace is made from the built-in object when it is first imported: this file must run
 * before anything imports node:fs, and imports nothing that does.
 */
import { type Call, FileCalls, type Fs } from "./file-calls.ts";
import { NoteBook } from "./note-book.ts";
import type { Note, Notes } from "./notes.ts";

type Functions = Record<string, Call>;
type Execve = (file: string, args: readonly string[], env: Readonly<Record<string, string>>) => never;

/** Begins; `finish` is called when the process is about to become another program, or to end well. Call it once. */
export function beginNoting(finish: (notes: Notes, program: Note) => void): void {
  new Noting(finish).begin();
}

class Noting {
  readonly #real = { ...process.getBuiltinModule("node:fs") } as unknown as Fs;
  readonly #book = new NoteBook();
  readonly #calls = new FileCalls(this.#real, this.#book);
  readonly #finish: (notes: Notes, program: Note) => void;
  /** Our own calls. */
  #inside = false;

  constructor(finish: (notes: Notes, program: Note) => void) {
    this.#finish = finish;
  }

  begin(): void {
    const fs = process.getBuiltinModule("node:fs") as unknown as Functions;
    const understood = this.#calls.understood();
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
    this.#watchExit();
    (globalThis as Record<symbol, unknown>)[Symbol.for("vitrine.noter")] = this.#book.hooks();
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
      if (!noting.#inside) noting.#book.giveUp(`${name} was called`);
      return call.apply(this, args);
    }, call);
  }

  /** Our own calls of the real functions may call each other. */
  #guarded(name: string, call: Call, understood: Call): Call {
    return Object.assign(
      (...args: unknown[]) => {
        if (this.#inside || this.#book.problem !== undefined) return call(...args);
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
      this.#end(program);
      return execve.call(process, file, args, env);
    };
  }

  /** Of a command that only asked a registry, and has nothing to do. */
  #watchExit(): void {
    const exit = process.exit;
    process.exit = (status) => {
      this.#inside = true;
      if (status === 0 && this.#book.notes.some(({ kind }) => kind === "answer")) this.#end({ kind: "exit" });
      return exit.call(process, status);
    };
  }

  #end(last: Note): void {
    if (this.#calls.openCount > 0) this.#book.giveUp("a file is still open");
    this.#finish({ notes: this.#book.notes, problem: this.#book.problem }, last);
  }

  /** The runtime raised it; whoever repeats this start does the same. */
  #openFiles(): number {
    const soft = /^Max open files +(\d+)/m.exec(this.#real.readFileSync("/proc/self/limits", "latin1"))?.[1];
    if (soft === undefined) this.#book.giveUp("the limit of open files is not known");
    return Number(soft ?? 0);
  }
}
