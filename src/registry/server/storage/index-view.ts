/**
 * index.json of the layout: a view for skopeo, umoci and friends, one descriptor for each tag. The documents of the
 * repositories are what counts. It is written whole, so writing it for every push would cost more the more tags there
 * are; instead it follows the changes after a pause that grows with its own cost.
 */
import type { Descriptor } from "../../../oci/mod.ts";
import { mediaTypes } from "../../../oci/mod.ts";

export interface IndexSource {
  /** Names of all repositories. */
  repositories(): Promise<readonly string[]>;
  /** A descriptor for each tag, annotated with its whole name. */
  descriptors(repository: string): Promise<readonly Descriptor[]>;
}

const shortestPauseMilliseconds = 1000;
/** It is written for no more than this part of the time. */
const dutyCycle = 20;

export class IndexView {
  private readonly source: IndexSource;
  private readonly write: (bytes: Uint8Array) => Promise<void>;
  private readonly byRepository = new Map<string, readonly Descriptor[]>();
  /** Repositories whose descriptors are out of date; "all" until they were read once. */
  private stale: Set<string> | "all" = "all";
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();
  private pause = shortestPauseMilliseconds;
  /** Whether the file is older than what was to be written last. */
  private failed = false;

  constructor(source: IndexSource, write: (bytes: Uint8Array) => Promise<void>) {
    this.source = source;
    this.write = write;
  }

  changed(repository: string): void {
    if (this.stale !== "all") this.stale.add(repository);
    this.schedule();
  }

  /** Brings the file up to date now. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.writing = this.writing.then(
      () => this.update(),
      () => this.update(),
    );
    return this.writing;
  }

  /** Writes what is pending, or could not be written when its time came, and ends. */
  async close(): Promise<void> {
    if (this.timer === undefined) await this.writing.catch(() => undefined);
    if (this.timer !== undefined || this.failed) await this.flush();
  }

  private schedule(): void {
    if (this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      // A full disk or the like: the view stays old, and the next change tries again.
      this.flush().catch(() => undefined);
    }, this.pause);
    this.timer.unref();
  }

  private async update(): Promise<void> {
    const started = performance.now();
    const stale = this.stale;
    this.stale = new Set();
    try {
      if (stale === "all") this.byRepository.clear();
      for (const name of stale === "all" ? await this.source.repositories() : stale) {
        const descriptors = await this.source.descriptors(name);
        if (descriptors.length > 0) this.byRepository.set(name, descriptors);
        else this.byRepository.delete(name);
      }
      await this.write(this.encode());
      this.failed = false;
    } catch (error) {
      this.stale = "all";
      this.failed = true;
      throw error;
    }
    this.pause = Math.max(shortestPauseMilliseconds, (performance.now() - started) * dutyCycle);
  }

  private encode(): Uint8Array {
    const names = [...this.byRepository.keys()].sort();
    const manifests = names.flatMap((name) => this.byRepository.get(name)!);
    return Buffer.from(`${JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests })}\n`);
  }
}
