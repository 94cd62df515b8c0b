import type { HostFacts } from "../../kernel/mod.ts";
import type { ImageConfig } from "../../oci/mod.ts";
import type { CgroupDecision } from "../../runtime/mod.ts";
import type { IdChoice } from "../id-maps.ts";
import type { RunOptions } from "../options.ts";
import type { KeptMount } from "./user-mounts.ts";

/** A device node of the host. */
export interface HostDevice {
  readonly path: string;
  readonly type: "c" | "b";
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What the specification is made from. Everything that reads arrives as a function, so that tests need no machine. */
export interface SpecInput {
  readonly id: string;
  readonly name: string;
  readonly options: RunOptions;
  /** undefined with --rootfs */
  readonly image: ImageConfig | undefined;
  /** False where its layers are not unpacked: `readRootFile` then finds nothing, and names cannot be looked up. */
  readonly imageFilesKnown: boolean;
  readonly host: HostFacts;
  readonly idChoice: IdChoice;
  /** The cgroup the container will get when nothing in its config decides otherwise. */
  readonly cgroup: CgroupDecision;
  /** Absolute path of the root filesystem as config.json names it. */
  readonly rootPath: string;
  /** ROOT/containers/ID */
  readonly directory: string;
  /** ROOT/volumes */
  readonly volumesDirectory: string;
  /** Options of the driver, of the volumes that are there. */
  readonly volumeOptions?: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** What `--volumes-from` takes over; a mount of the container's own at the same place goes before. */
  readonly inherited?: readonly KeptMount[];
  /** RUNROOT/containers/ID */
  readonly runDirectory: string;
  /** The caller's environment variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly hostname: string;
  /** A file of the container's root filesystem, its links resolved inside it; undefined: not there. */
  readonly readRootFile: (path: string) => Uint8Array | undefined;
  /** A small text file of the host; undefined: not there. */
  readonly readHostFile: (path: string) => string | undefined;
  /** The same as bytes, of at most `limits.timezoneBytes`. */
  readonly readHostBytes: (path: string) => Uint8Array | undefined;
  readonly hostExists: (path: string) => boolean;
  /** The device node at a path, or all below a directory; empty: none there. */
  readonly hostDevices: (path: string) => readonly HostDevice[];
  /** The caller's soft limit of open files; undefined: not known. The JavaScript runtime raised our own at its start. */
  readonly callerOpenFiles: bigint | undefined;
}

/** The container's ids are not the host's. */
export function inUserNamespace(input: SpecInput): boolean {
  return input.idChoice.ids.kind !== "none";
}
