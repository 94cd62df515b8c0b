import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { shell, writeLayout } from "./oci-layout.ts";

export interface LayerImage {
  /** The OCI layout. */
  readonly directory: string;
  readonly tag: string;
  /** The reference that `load` gives it. */
  readonly name: string;
  /** The gzip layer's file, and its size. */
  readonly blob: string;
  readonly bytes: number;
}

/** An OCI layout with one gzip layer of about `bytes`: copies of a root filesystem side by side, made by tar and gzip. */
export function makeLayerImage(work: string, rootfs: string, bytes: number): LayerImage {
  const directory = path.join(work, "layout");
  const tree = path.join(work, "big");
  fs.mkdirSync(tree);
  shell(`tar -C ${tree} -xf ${rootfs} --exclude='./dev/*'`);
  const tar = path.join(work, "big.tar");
  shell(`tar -C ${tree} --sort=name -cf ${tar} .`);
  const single = Number(shell(`gzip -6 -c ${tar} | wc -c`));
  for (let copy = 1; copy * single < bytes - single / 2; copy++) {
    shell(`tar -C ${tree} --sort=name --transform='s,^\\.,./copy${copy},' -rf ${tar} .`);
  }
  const diffID = `sha256:${shell(`sha256sum < ${tar}`).slice(0, 64)}`;
  shell(`gzip -6 -n ${tar}`);
  const tag = "localhost/big:latest";
  const [blob] = writeLayout(directory, tag, "tar+gzip", [{ file: `${tar}.gz`, diffID }]);
  spawnSync("rm", ["-rf", tree]);
  return { directory, tag, name: tag, blob: blob!.path, bytes: blob!.size };
}
