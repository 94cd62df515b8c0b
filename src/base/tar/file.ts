import type { ByteStream } from "../streams.ts";
import type { TarEntry } from "./entry.ts";

/** An uncompressed archive on disk, opened for random access. */
export declare class TarFile {
  /** Opens and lists it: reads headers, skips bodies. */
  static open(path: string): Promise<TarFile>;
  readonly entries: readonly TarEntry[];
  /** The last member of that path (a leading `./` is ignored on both sides), or undefined. */
  find(path: string): TarEntry | undefined;
  /** The data of one member. */
  read(entry: TarEntry): ByteStream;
  close(): Promise<void>;
}
