import type { SpawnSyncReturns } from "node:child_process";

/**
 * Throws what kept a program from running to its end (ENOENT, a time limit, too much output). A program that ends
 * without having read its input has run: node then reports EPIPE beside the status.
 */
export function assertRan(done: SpawnSyncReturns<string | Uint8Array>): void {
  const { error } = done;
  if (error === undefined || (error as NodeJS.ErrnoException).code === "EPIPE") return;
  throw error;
}
