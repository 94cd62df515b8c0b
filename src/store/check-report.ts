/** What a check has found, and the looks that the store and its artifacts share. */
import * as fs from "node:fs";
import { readFileStream, VitrineError, verified } from "../base/mod.ts";
import { expectedContent } from "../image/mod.ts";
import type { Descriptor } from "../oci/mod.ts";
import type { Finding } from "./types.ts";

export class Report {
  readonly findings: Finding[] = [];
  private readonly repair: boolean;

  constructor(repair: boolean) {
    this.repair = repair;
  }

  /** `mend` is called when repairs are asked for; without it there is none. */
  add(kind: Finding["kind"], object: string, problem: string, remedy: string, mend?: () => void): void {
    const mended = this.repair && mend !== undefined;
    if (mended) mend();
    this.findings.push({ kind, object, problem, remedy, repairable: mend !== undefined, repaired: mended });
  }
}

/** Something else than a database would make every command that takes the lock fail. */
export function checkLock(file: string, object: string, report: Report): void {
  const head = Buffer.alloc(16);
  let read = 0;
  try {
    const fd = fs.openSync(file, "r");
    read = fs.readSync(fd, head, 0, head.length, 0);
    fs.closeSync(fd);
  } catch {
    return;
  }
  if (read === 0 || head.toString("latin1") === "SQLite format 3\0") return;
  report.add("lock", object, "it is no lock file", "it is made anew", () => fs.rmSync(file));
}

/** What is wrong with the bytes of a blob; undefined where nothing is. */
export async function damageOf(file: string, descriptor: Descriptor): Promise<string | undefined> {
  try {
    for await (const _ of verified(readFileStream(file), expectedContent(descriptor)));
    return undefined;
  } catch (error) {
    if (error instanceof VitrineError) return "its bytes are others";
    return `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}
