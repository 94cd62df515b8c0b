import * as fs from "node:fs";
import * as path from "node:path";
import { shell, writeLayout } from "./oci-layout.ts";

/** A layout whose one layer is a plain tar of one file of zeros; the place of its image, `oci:DIRECTORY:TAG`. */
export function makeSparseImage(work: string, bytes: number): string {
  const directory = path.join(work, "sparse-layout");
  fs.mkdirSync(directory);
  const tar = path.join(work, "sparse.tar");
  shell(`cd ${work} && truncate -s ${bytes} zeros && tar -cf ${tar} zeros && rm zeros`);
  const diffID = `sha256:${shell(`sha256sum < ${tar}`).slice(0, 64)}`;
  writeLayout(directory, "sparse", "tar", [{ file: tar, diffID }]);
  return `oci:${directory}:sparse`;
}
