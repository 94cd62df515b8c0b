import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, VitrineError } from "./errors.ts";
import { noting } from "./noting.ts";

export interface LockOptions {
  /** How long to wait for another holder; default 60 seconds. */
  readonly timeoutMs?: number;
}

/**
 * Runs `fn` while holding the exclusive lock of the file `path` (made if missing). Between processes and within one; not
 * reentrant. The lock is a write transaction of an empty SQLite database, that is a POSIX record lock: the kernel drops it when
 * its holder dies, however it dies.
 * Errors: `lock-timeout` (unavailable, names the holder where /proc/locks tells), `lock-unusable` (the file cannot be
 * opened or locked).
 */
export async function withLock<T>(
  path: string,
  fn: () => T | Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  noting.noter?.giveUp("a lock was taken");
  // Loaded on use: it costs milliseconds, and many commands lock nothing.
  const { DatabaseSync } = await import("node:sqlite");
  const database = openDatabase(DatabaseSync, path);
  try {
    await acquire(database, path, options.timeoutMs ?? 60_000);
    return await fn();
  } finally {
    // Closing ends the transaction.
    database.close();
  }
}

interface Database {
  exec(sql: string): void;
  close(): void;
}

function openDatabase(DatabaseSync: new (path: string) => Database, path: string): Database {
  try {
    const database = new DatabaseSync(path);
    // Nothing is ever written; a journal beside the file would make the lock fail on a full disk, where it is needed to remove things.
    database.exec("PRAGMA journal_mode = MEMORY");
    return database;
  } catch (cause) {
    throw unusable(path, cause);
  }
}

function unusable(path: string, cause: unknown): VitrineError {
  let reason = cause instanceof Error ? cause.message : String(cause);
  try {
    fs.closeSync(fs.openSync(path, "a"));
  } catch (error) {
    // SQLite says only "unable to open": the system's own error tells why.
    reason = errnoOf(error) ?? reason;
  }
  return new VitrineError("unavailable", `cannot use lock file ${path}: ${reason}`, {
    code: "lock-unusable",
    operand: path,
    hint: "check that its directory exists, is writable and is not full",
    cause,
  });
}

/**
 * Polls without blocking the thread: the holder may be another task of this very process, which a blocking wait would
 * keep from ever finishing.
 */
async function acquire(database: Database, path: string, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let pauseMs = 1;
  while (true) {
    try {
      database.exec("BEGIN IMMEDIATE");
      return;
    } catch (cause) {
      if (!isBusy(cause)) throw unusable(path, cause);
      if (performance.now() >= deadline) throw timedOut(path, timeoutMs);
    }
    await sleep(Math.min(pauseMs, Math.max(deadline - performance.now(), 0)));
    pauseMs = Math.min(pauseMs * 2, 25);
  }
}

/** SQLITE_BUSY (5) or SQLITE_LOCKED (6), in the low byte of the extended code. */
function isBusy(error: unknown): boolean {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return false;
  const code = error.errcode & 0xff;
  return code === 5 || code === 6;
}

function timedOut(path: string, timeoutMs: number): VitrineError {
  const pid = holderOf(path);
  const holder = pid === undefined ? "another process" : `process ${pid}${describeProcess(pid)}`;
  return new VitrineError("unavailable", `${holder} has held the lock ${path} for ${timeoutMs / 1000} s`, {
    code: "lock-timeout",
    operand: path,
    hint: pid === undefined ? "try again when it is done" : `wait for it, or end it: kill ${pid}`,
  });
}

/** The process that holds a write lock on a file, as far as /proc/locks shows it. */
function holderOf(path: string): number | undefined {
  try {
    const inode = fs.statSync(path).ino;
    for (const line of fs.readFileSync("/proc/locks", "latin1").split("\n")) {
      // "1: POSIX  ADVISORY  WRITE 4711 08:01:131203 1073741825 1073741825"
      const [, kind, , access, pid, file] = line.trim().split(/\s+/);
      if (kind === "POSIX" && access === "WRITE" && file?.endsWith(`:${inode}`) && Number(pid) > 0) {
        return Number(pid);
      }
    }
  } catch {
    // Only for the message.
  }
  return undefined;
}

function describeProcess(pid: number): string {
  try {
    return ` (${fs.readFileSync(`/proc/${pid}/comm`, "latin1").trim()})`;
  } catch {
    return "";
  }
}
