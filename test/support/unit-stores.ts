/** Stores for the unit tests: no privilege, no helper; layers are laid out by the test. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after } from "node:test";
import { VitrineError } from "../../src/base/mod.ts";
import type { Digest } from "../../src/oci/mod.ts";
import { type LayerRow, openStore, type Store, type StoreOptions } from "../../src/store/mod.ts";
import { makeImage, text } from "./images.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-store-"));
after(() => fs.rmSync(directory, { recursive: true, force: true }));

let stores = 0;
export function newStore(options: Partial<StoreOptions> = {}): Store {
  const base = path.join(directory, `${stores++}`);
  return openStore({
    root: path.join(base, "root"),
    runroot: path.join(base, "run"),
    driver: "overlay",
    ids: { kind: "none" },
    helperPath: "/nonexistent/vitrine-helper",
    now: () => 0,
    platform: { architecture: "amd64", os: "linux" },
    ...options,
  });
}

export function refuses(code: string, fn: () => unknown): void {
  assert.throws(fn, (error) => error instanceof VitrineError && error.code === code);
}
export async function rejects(code: string, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof VitrineError && error.code === code);
}

export function blobs(store: Store): readonly string[] {
  return fs.readdirSync(path.join(store.root, "oci/blobs/sha256")).sort();
}
export function leftovers(store: Store): readonly string[] {
  return fs.readdirSync(path.join(store.root, "tmp"));
}
export function blobFile(store: Store, digest: Digest): string {
  return path.join(store.root, "oci/blobs/sha256", digest.slice(7));
}

export function optionsOf(store: Store): StoreOptions {
  return {
    root: store.root,
    runroot: store.runroot,
    driver: "overlay",
    ids: { kind: "none" },
    helperPath: "/nonexistent/vitrine-helper",
    now: () => 0,
    platform: { architecture: "amd64", os: "linux" },
  };
}

export const app = () =>
  makeImage([[text("etc/os-release", "ID=app\n")], [text("new", "1")]], {
    names: ["app"],
    compression: "gzip",
    config: {
      created: "2024-05-06T07:08:09Z",
      config: { Labels: { team: "blue" }, Cmd: ["/bin/sh"] },
      history: [
        { created_by: "ADD rootfs", created: "2024-05-06T07:08:08Z" },
        { created_by: "ENV A=1", empty_layer: true },
        { created_by: "COPY new", comment: "why" },
      ],
    },
  });

/** Directories as `unpack` leaves them, empty; returns the roots, lowest first. */
export function fakeUnpack(
  store: Store,
  diffIDs: readonly Digest[],
  row: Partial<LayerRow> = {},
): readonly string[] {
  return diffIDs.map((diffID) => {
    const layer = path.join(store.root, "layers/host", diffID.slice(7));
    fs.mkdirSync(path.join(layer, "fs"), { recursive: true });
    const full: LayerRow = {
      diffID,
      tarBytes: 0,
      fileBytes: 1000,
      entries: 0,
      whiteouts: 0,
      opaques: 0,
      unmappedOwners: 0,
      skippedDevices: 0,
      forgeries: 0,
      ...row,
    };
    fs.writeFileSync(path.join(layer, "layer.json"), JSON.stringify(full));
    return path.join(layer, "fs");
  });
}
