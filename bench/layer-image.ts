import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

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
  const blobs = path.join(directory, "blobs/sha256");
  fs.mkdirSync(blobs, { recursive: true });
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
  const hex = shell(`sha256sum < ${tar}.gz`).slice(0, 64);
  const blob = path.join(blobs, hex);
  fs.renameSync(`${tar}.gz`, blob);
  spawnSync("rm", ["-rf", tree]);
  const write = (value: unknown) => {
    const text = JSON.stringify(value);
    const digest = createHash("sha256").update(text).digest("hex");
    fs.writeFileSync(path.join(blobs, digest), text);
    return { digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
  };
  const oci = "application/vnd.oci.image";
  const config = write({
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: [diffID] },
  });
  const size = fs.statSync(blob).size;
  const manifest = write({
    schemaVersion: 2,
    mediaType: `${oci}.manifest.v1+json`,
    config: { mediaType: `${oci}.config.v1+json`, ...config },
    layers: [{ mediaType: `${oci}.layer.v1.tar+gzip`, digest: `sha256:${hex}`, size }],
  });
  fs.writeFileSync(path.join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  fs.writeFileSync(
    path.join(directory, "index.json"),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [
        {
          mediaType: `${oci}.manifest.v1+json`,
          ...manifest,
          annotations: { "org.opencontainers.image.ref.name": "localhost/big:latest" },
        },
      ],
    }),
  );
  return { directory, tag: "localhost/big:latest", name: "localhost/big:latest", blob, bytes: size };
}

function shell(command: string): string {
  const done = spawnSync("sh", ["-c", command], { encoding: "utf8", maxBuffer: 1024 * 1024 });
  if (done.status !== 0) throw new Error(`${command}: ${done.stderr}`);
  return done.stdout;
}
