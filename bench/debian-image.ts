import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

export interface DebianImage {
  /** The OCI layout. */
  readonly directory: string;
  readonly tag: string;
  /** The gzip layers' files, largest first. */
  readonly blobs: readonly string[];
  /** Compressed bytes of all layers. */
  readonly bytes: number;
}

/** Where a path of the image goes: its layer. The first that matches counts; the last takes the rest. */
const layers: readonly (readonly string[])[] = [
  ["./usr/lib/x86_64-linux-gnu"],
  ["./usr/lib"],
  ["./usr/bin", "./usr/share"],
  ["."],
];

/**
 * An OCI layout of a Debian system with a compiler, Java, Python and git: real files, about 290 MB in four gzip layers. `tarball`
 * is made by mmdebstrap where it is not there yet; undefined where that cannot be.
 */
export function makeDebianImage(work: string, tarball: string): DebianImage | undefined {
  if (!fs.existsSync(tarball) && !bootstrap(tarball)) return undefined;
  const directory = path.join(work, "debian");
  const blobs = path.join(directory, "blobs/sha256");
  const tree = path.join(work, "debian-tree");
  fs.mkdirSync(blobs, { recursive: true });
  fs.mkdirSync(tree);
  shell(`tar -C ${tree} -xf ${tarball} --exclude='./dev/*'`);
  const made = [...layers].reverse().map((paths, at) => makeLayer(work, tree, paths, layers.length - 1 - at));
  spawnSync("rm", ["-rf", tree]);
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
    config: { Cmd: ["bash"] },
    rootfs: { type: "layers", diff_ids: made.map(({ diffID }) => diffID) },
  });
  const descriptors = made.map(({ file }) => {
    const hex = shell(`sha256sum < ${file}`).slice(0, 64);
    fs.renameSync(file, path.join(blobs, hex));
    return {
      mediaType: `${oci}.layer.v1.tar+gzip`,
      digest: `sha256:${hex}`,
      size: fs.statSync(path.join(blobs, hex)).size,
    };
  });
  const manifest = write({
    schemaVersion: 2,
    mediaType: `${oci}.manifest.v1+json`,
    config: { mediaType: `${oci}.config.v1+json`, ...config },
    layers: descriptors,
  });
  const tag = "debian";
  fs.writeFileSync(path.join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const annotations = { "org.opencontainers.image.ref.name": tag };
  fs.writeFileSync(
    path.join(directory, "index.json"),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ mediaType: `${oci}.manifest.v1+json`, ...manifest, annotations }],
    }),
  );
  const sorted = [...descriptors].sort((a, b) => b.size - a.size);
  return {
    directory,
    tag,
    blobs: sorted.map(({ digest }) => path.join(blobs, digest.slice("sha256:".length))),
    bytes: descriptors.reduce((sum, { size }) => sum + size, 0),
  };
}

/** A layer as a build makes it: the files, and the directories above them. */
function makeLayer(
  work: string,
  tree: string,
  paths: readonly string[],
  at: number,
): { readonly file: string; readonly diffID: string } {
  const tar = path.join(work, `layer${at}.tar`);
  const above = new Set(paths.flatMap((one) => parentsOf(one)));
  const others = layers.slice(0, at).flatMap((one) => one.map((name) => `--exclude=${name}`));
  const parents = above.size === 0 ? "-T /dev/null" : `--no-recursion ${[...above].join(" ")}`;
  shell(`tar -C ${tree} --sort=name --numeric-owner -cf ${tar} ${parents}`);
  shell(`tar -C ${tree} --sort=name --numeric-owner ${others.join(" ")} -rf ${tar} ${paths.join(" ")}`);
  const diffID = `sha256:${shell(`sha256sum < ${tar}`).slice(0, 64)}`;
  shell(`gzip -6 -n ${tar}`);
  return { file: `${tar}.gz`, diffID };
}

function parentsOf(name: string): readonly string[] {
  const parts = name.split("/");
  return parts.slice(0, -1).map((_, at) => parts.slice(0, at + 1).join("/"));
}

const packages = "build-essential,git,python3-numpy,gdb,vim,openjdk-17-jre-headless";

function bootstrap(tarball: string): boolean {
  const part = `${tarball}.part`;
  const suite = shell(`. /etc/os-release && echo "\${VERSION_CODENAME:-stable}"`).trim();
  const options = ["--variant=apt", "--quiet", "--format=tar", `--include=${packages}`];
  const done = spawnSync("mmdebstrap", [...options, suite, part], { stdio: ["ignore", "ignore", "inherit"] });
  if (done.status === 0) fs.renameSync(part, tarball);
  else fs.rmSync(part, { force: true });
  return done.status === 0;
}

function shell(command: string): string {
  const done = spawnSync("sh", ["-c", command], { encoding: "utf8", maxBuffer: 1024 * 1024 });
  if (done.status !== 0) throw new Error(`${command}: ${done.stderr}`);
  return done.stdout;
}
