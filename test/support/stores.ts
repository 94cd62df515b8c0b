/** Stores of the integration tests: as root over the ids of the image, as a user over that user's own maps. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { openStore, type Store, type StoreIds, type StoreOptions } from "../../src/store/mod.ts";
import { findProgram, helper, isRoot, removeTree } from "../integration/support.ts";

export interface TestStore extends Disposable {
  readonly directory: string;
  readonly store: Store;
  readonly options: StoreOptions;
  /** A container's directory in it. */
  container(id: string): string;
}

export function makeStore(options: Partial<StoreOptions> = {}): TestStore {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-store-"));
  const all: StoreOptions = {
    root: path.join(directory, "root"),
    runroot: path.join(directory, "run"),
    driver: "auto",
    ids: isRoot ? { kind: "none" } : rangeIds(),
    helperPath: helper,
    now: Date.now,
    platform: { architecture: "amd64", os: "linux" },
    ...options,
  };
  return {
    directory,
    options: all,
    store: openStore(all),
    container: (id) => {
      const container = path.join(all.root, "containers", id);
      fs.mkdirSync(container, { recursive: true, mode: 0o711 });
      return container;
    },
    [Symbol.dispose]: () => removeTree(directory),
  };
}

export function singleIds(): StoreIds {
  return {
    kind: "single",
    uids: [{ containerID: 0, hostID: process.getuid!(), size: 1 }],
    gids: [{ containerID: 0, hostID: process.getgid!(), size: 1 }],
  };
}

/** As `unshare --map-root-user --map-auto` maps: the own id as 0, the subordinate ones from 1. */
export function rangeIds(): StoreIds {
  const uid = process.getuid!();
  const gid = process.getgid!();
  const sub = (file: string) => {
    const names = [os.userInfo().username, String(uid)];
    const line = fs
      .readFileSync(file, "utf8")
      .split("\n")
      .find((text) => names.includes(text.split(":")[0]!));
    const [, start, count] = line!.split(":");
    return { containerID: 1, hostID: Number(start), size: Number(count) };
  };
  return {
    kind: "range",
    uids: [{ containerID: 0, hostID: uid, size: 1 }, sub("/etc/subuid")],
    gids: [{ containerID: 0, hostID: gid, size: 1 }, sub("/etc/subgid")],
    newuidmap: findProgram("newuidmap")!,
    newgidmap: findProgram("newgidmap")!,
  };
}

/** Runs a command where it sees the files' owners as the container would, with mounts of its own. */
export const inside: readonly string[] = isRoot
  ? ["unshare", "--mount"]
  : ["unshare", "--map-root-user", "--map-auto", "--mount"];

export const insideSingle: readonly string[] = ["unshare", "--map-root-user", "--mount"];
