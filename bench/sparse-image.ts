import * as fs from "node:fs";
import * as path from "node:path";
import { shell, writeLayout } from "./oci-layout.ts";

/** A layout whose one layer is a plain tar of one file of zeros; the place of its image, `oci:DIRECTORY:TAG`. */
export function makeSparseImage(work: string, bytes: number): string {
  const directory = path.join(work, "sparse-layout");
  fs.mkdirSync(directory);
  const tar = path.join(work, "sparse.tar");
  // The header as tar writes it, and holes for the rest (a file of whole blocks, two blocks of zeros, in records of 20).
  const records = Math.ceil((512 + bytes + 1024) / 10240);
  shell(
    `cd ${work} && truncate -s ${bytes} zeros && tar -cf - zeros | head -c 512 >${tar} && truncate -s ${records * 10240} ${tar} && rm zeros`,
  );
  const diffID = `sha256:${shell(`sha256sum < ${tar}`).slice(0, 64)}`;
  writeLayout(directory, "sparse", "tar", [{ file: tar, diffID }]);
  return `oci:${directory}:sparse`;
}
