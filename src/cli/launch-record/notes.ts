/** What a start did, in order: docs/launch-record.md has what each means, native/launch_walk.c does it again. */

/** A file as stat(2) tells it; times in nanoseconds. */
export interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly size: bigint;
  readonly mtime: bigint;
  readonly ctime: bigint;
}

/** What was found: compared before anything is repeated, and after it where it was looked at again. */
export type Fact =
  /** `errno` 0: access(2) allowed it; -1: any error. */
  | { readonly kind: "access"; readonly path: string; readonly mode: number; readonly errno: number }
  | {
      readonly kind: "stat";
      readonly path: string;
      readonly follow: boolean;
      readonly errno: number;
      readonly identity?: Identity;
    }
  | {
      readonly kind: "content";
      readonly path: string;
      readonly errno: number;
      readonly bytes: Uint8Array;
      /** Only the lines with one of these words; none: all. */
      readonly words: readonly string[];
      /** The file may go on after these bytes. */
      readonly prefix: boolean;
      /** The file is one of the container's own: what may be captured of it is told by the reader to decide nothing. */
      readonly own: boolean;
    }
  | { readonly kind: "link"; readonly path: string; readonly errno: number; readonly text: string }
  | { readonly kind: "realPath"; readonly path: string; readonly text: string }
  | { readonly kind: "monitors"; readonly path: string; readonly most: number }
  | { readonly kind: "temporaries"; readonly path: string }
  /** Nothing else of it was asked for. `type`: as in stat(2). */
  | {
      readonly kind: "fileKind";
      readonly path: string;
      readonly follow: boolean;
      readonly errno: number;
      readonly type: number;
    }
  /** `time` empty: there is none that has not ended. */
  | { readonly kind: "process"; readonly path: string; readonly time: string }
  /** Which of the namespaces that are named in a directory `/proc/PID/ns` are not ours: a bit for each (`Noter.namespaces`). */
  | { readonly kind: "namespaces"; readonly path: string; readonly foreign: number }
  /** The file holds how a container ended, in the words of a monitor; which, and when, was not asked. */
  | { readonly kind: "ended"; readonly path: string }
  /** Which containers have directories whose names begin so: the one, or none where `id` is empty. */
  | { readonly kind: "ids"; readonly path: string; readonly prefix: string; readonly id: string }
  /** `path`: host and port of a registry on this machine, which answers 200 with these headers (`Noter.answer`). */
  | {
      readonly kind: "answer";
      readonly path: string;
      readonly request: string;
      readonly headers: readonly (readonly [name: string, value: string])[];
    };

/** What was done. */
export type Step =
  | {
      readonly kind: "makeDirectory";
      readonly path: string;
      readonly mode: number;
      /** It was there. */
      readonly existed: boolean;
    }
  /** Until `close` there is one open file. O_TRUNC without O_CREAT: it was there. */
  | { readonly kind: "open"; readonly path: string; readonly flags: number; readonly mode: number }
  | { readonly kind: "below"; readonly bytes: number }
  | { readonly kind: "write"; readonly bytes: Uint8Array }
  | { readonly kind: "sync" }
  | { readonly kind: "close" }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "symlink"; readonly text: string; readonly path: string }
  | { readonly kind: "mode"; readonly path: string; readonly mode: number }
  | {
      readonly kind: "owner";
      readonly path: string;
      /** A link at the end of the path. */
      readonly follow: boolean;
      readonly uid: number;
      readonly gid: number;
    }
  /** Nanoseconds since the epoch. */
  | { readonly kind: "times"; readonly path: string; readonly atime: bigint; readonly mtime: bigint }
  /** A file, if it was there. */
  | { readonly kind: "remove"; readonly path: string }
  | { readonly kind: "print"; readonly descriptor: number; readonly bytes: Uint8Array }
  | {
      readonly kind: "execute";
      readonly path: string;
      readonly argv: readonly string[];
      readonly env: readonly string[];
      /** Soft limit of open files. */
      readonly openFiles: number;
    }
  /** It ended, with 0. */
  | { readonly kind: "exit" };

export type Note = Fact | Step;

export interface Notes {
  readonly notes: Note[];
  /** Why this start cannot be repeated; undefined: it can. */
  readonly problem: string | undefined;
}
