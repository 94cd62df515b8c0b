/** What was noted so far, and how what is read now is to be understood: src/base/noting.ts tells. */
import type { Fact, Note } from "./notes.ts";

export class NoteBook {
  readonly notes: Note[] = [];
  /** Why nothing is kept. */
  problem: string | undefined;
  /** Of a file only the lines with one of these count. */
  words: readonly string[] = [];
  /** The file that says how a container ended, which nobody asks. */
  ended: string | undefined;
  /** Files are the container's own. */
  ofContainer = false;
  /** Directories are listed of which it matters that no name changed. */
  listing = false;
  /** Above 0 what is read is told by one fact that is noted already. */
  covered = 0;
  /** When this process started is a slot, its limits are in the key. */
  readonly own: ReadonlySet<string> = new Set([`/proc/${process.pid}/stat`, "/proc/self/limits"]);

  /** The files of SQLite are read in native code. */
  giveUp(why: string): void {
    this.problem ??= why;
  }

  /** What `src/base/noting.ts` calls. */
  hooks() {
    return {
      linesWith: (words: readonly string[]) => {
        const before = this.words;
        this.words = words;
        return () => {
          this.words = before;
        };
      },
      ofContainer: () => {
        const before = this.ofContainer;
        this.ofContainer = true;
        return () => {
          this.ofContainer = before;
        };
      },
      fileKind: (path: string, follow: boolean) => {
        this.covered += 1;
        return (errno: number, type: number) => {
          this.covered -= 1;
          if (this.plain(path)) this.fact({ kind: "fileKind", path, follow, errno, type });
        };
      },
      monitors: (path: string, most: number) => this.cover({ kind: "monitors", path, most }),
      temporaries: (path: string) => this.cover({ kind: "temporaries", path }),
      startTime: (pid: number) => {
        this.covered += 1;
        return (time: string | undefined) => {
          this.covered -= 1;
          // Our own is a slot.
          if (pid !== process.pid) this.fact({ kind: "process", path: String(pid), time: time ?? "" });
        };
      },
      namespaces: (path: string) => {
        this.covered += 1;
        return (foreign: number) => {
          this.covered -= 1;
          this.fact({ kind: "namespaces", path, foreign });
        };
      },
      endedAlone: (file: string) => {
        this.ended = file;
        return () => {
          this.ended = undefined;
        };
      },
      ids: (path: string, prefix: string) => {
        this.covered += 1;
        return (found: readonly string[] | undefined) => {
          this.covered -= 1;
          if (found === undefined || found.length > 1) this.giveUp("no id or one was looked for");
          this.fact({ kind: "ids", path, prefix, id: found?.[0] ?? "" });
        };
      },
      listing: () => {
        const before = this.listing;
        this.listing = true;
        return () => {
          this.listing = before;
        };
      },
      answer: (path: string, request: string, headers: readonly (readonly [string, string])[]) =>
        this.fact({ kind: "answer", path, request, headers }),
      below: (_descriptor: number, bytes: number) => this.note({ kind: "below", bytes }),
      giveUp: (why: string) => this.giveUp(why),
    };
  }

  cover(fact: Fact): () => void {
    if (this.covered === 0) this.note(fact);
    this.covered += 1;
    return () => {
      this.covered -= 1;
    };
  }

  note(note: Note): void {
    this.notes.push(note);
  }

  fact(fact: Fact): void {
    if (this.covered === 0 && !this.own.has(fact.path)) this.notes.push(fact);
  }

  plain(path: unknown): path is string {
    if (typeof path === "string" && path.startsWith("/")) return true;
    this.giveUp("a path that is not absolute text");
    return false;
  }
}
