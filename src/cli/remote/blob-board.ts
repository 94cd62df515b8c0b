/** Blobs on their way: a line with a bar for each on a terminal, one line when each is done where output is piped. */
import { canRedraw, formatBytes, writeAll } from "../../base/mod.ts";
import type { Descriptor } from "../../oci/mod.ts";
import type { BlobWatch } from "../../registry/mod.ts";
import { shortId } from "../images/names.ts";

const redrawMilliseconds = 100;
const barWidth = 30;

interface Row {
  readonly blob: Descriptor;
  bytes: number;
}

export interface BoardOptions {
  /** Nothing is written. */
  readonly quiet: boolean;
  readonly fd?: number;
  readonly terminal?: boolean;
  /** Milliseconds, any origin. */
  readonly now?: () => number;
}

export class BlobBoard {
  private readonly rows = new Map<string, Row>();
  private readonly quiet: boolean;
  private readonly fd: number;
  /** Undefined until something is drawn. */
  private terminal: boolean | undefined;
  private readonly now: () => number;
  /** Lines on the terminal that the next drawing replaces. */
  private drawn = 0;
  private drawnAt = Number.NEGATIVE_INFINITY;

  constructor(options: BoardOptions) {
    this.quiet = options.quiet;
    this.fd = options.fd ?? 2;
    this.terminal = options.quiet ? false : options.terminal;
    this.now = options.now ?? (() => performance.now());
  }

  begin(blob: Descriptor): void {
    this.rows.set(blob.digest, { blob, bytes: 0 });
    this.draw(true);
  }

  progress(blob: Descriptor, bytes: number): void {
    const row = this.rows.get(blob.digest);
    if (row === undefined) return;
    // What is sent again after a break is not counted twice.
    row.bytes = Math.min(row.bytes + bytes, blob.size);
    this.draw(false);
  }

  /** `outcome` is one of ours, not text from outside. */
  end(blob: Descriptor, outcome: string): void {
    this.rows.delete(blob.digest);
    this.say(`${shortId(blob.digest)} ${outcome} ${formatBytes(blob.size)}`);
  }

  /** A line that stays, above the bars. */
  say(line: string): void {
    if (this.quiet) return;
    this.erase();
    writeAll(this.fd, `${line}\n`);
    this.draw(true);
  }

  /** Takes the bars away: the work is over, or failed. */
  close(): void {
    this.rows.clear();
    this.erase();
  }

  private draw(atOnce: boolean): void {
    this.terminal ??= canRedraw(this.fd);
    if (!this.terminal) return;
    const now = this.now();
    if (!atOnce && now - this.drawnAt < redrawMilliseconds) return;
    this.drawnAt = now;
    const lines = [...this.rows.values()].map(bar);
    const up = this.drawn > 0 ? `\x1b[${this.drawn}A` : "";
    writeAll(this.fd, `${up}\r\x1b[J${lines.map((line) => `${line}\n`).join("")}`);
    this.drawn = lines.length;
  }

  private erase(): void {
    if (this.drawn > 0) writeAll(this.fd, `\x1b[${this.drawn}A\r\x1b[J`);
    this.drawn = 0;
  }
}

function bar({ blob, bytes }: Row): string {
  const share = blob.size === 0 ? 1 : bytes / blob.size;
  const filled = Math.round(share * barWidth);
  const drawing = "#".repeat(filled) + "-".repeat(barWidth - filled);
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `${shortId(blob.digest)} [${drawing}] ${percent}% of ${formatBytes(blob.size)}`;
}

/** The board of a push. */
export function watchOf(board: BlobBoard): BlobWatch {
  return {
    begin: (blob) => board.begin(blob),
    progress: (blob, bytes) => board.progress(blob, bytes),
    end: (blob, outcome) => board.end(blob, outcomes[outcome]),
  };
}

const outcomes = {
  present: "is there already",
  mounted: "mounted",
  uploaded: "pushed",
  "left out": "left out",
} as const;
