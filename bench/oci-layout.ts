import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

export interface LayerFile {
  /** A tar, plain or gzip; it becomes a blob. */
  readonly file: string;
  readonly diffID: string;
}

export interface LayoutBlob {
  readonly digest: string;
  readonly size: number;
  readonly path: string;
}

/** Makes an OCI layout with one image of the given layers, under `tag`; returns its layers' blobs. */
export function writeLayout(
  directory: string,
  tag: string,
  mediaType: "tar" | "tar+gzip",
  layers: readonly LayerFile[],
): readonly LayoutBlob[] {
  const blobs = path.join(directory, "blobs/sha256");
  fs.mkdirSync(blobs, { recursive: true });
  const write = (value: unknown): { readonly digest: string; readonly size: number } => {
    const text = JSON.stringify(value);
    const hex = createHash("sha256").update(text).digest("hex");
    fs.writeFileSync(path.join(blobs, hex), text);
    return { digest: `sha256:${hex}`, size: Buffer.byteLength(text) };
  };
  const oci = "application/vnd.oci.image";
  const config = write({
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(({ diffID }) => diffID) },
  });
  const made = layers.map(({ file }) => {
    const hex = shell(`sha256sum < ${file}`).slice(0, 64);
    const target = path.join(blobs, hex);
    fs.renameSync(file, target);
    return { digest: `sha256:${hex}`, size: fs.statSync(target).size, path: target };
  });
  const manifest = write({
    schemaVersion: 2,
    mediaType: `${oci}.manifest.v1+json`,
    config: { mediaType: `${oci}.config.v1+json`, ...config },
    layers: made.map(({ digest, size }) => ({ mediaType: `${oci}.layer.v1.${mediaType}`, digest, size })),
  });
  const annotations = { "org.opencontainers.image.ref.name": tag };
  fs.writeFileSync(path.join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  fs.writeFileSync(
    path.join(directory, "index.json"),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ mediaType: `${oci}.manifest.v1+json`, ...manifest, annotations }],
    }),
  );
  return made;
}

export function shell(command: string): string {
  const done = spawnSync("sh", ["-c", command], { encoding: "utf8", maxBuffer: 1024 * 1024 });
  if (done.status !== 0) throw new Error(`${command}: ${done.stderr}`);
  return done.stdout;
}
