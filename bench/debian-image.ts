import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { type LayerFile, shell, writeLayout } from "./oci-layout.ts";

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
 * is made by mmdebstrap where it is not there yet, the layout `kept` from it; undefined where that cannot be.
 */
export function makeDebianImage(tarball: string, kept: string): DebianImage | undefined {
  const description = path.join(kept, "image.json");
  if (fs.existsSync(description)) {
    const image = JSON.parse(fs.readFileSync(description, "utf8")) as DebianImage;
    if (image.directory === kept) return image;
  }
  if (!fs.existsSync(tarball) && !bootstrap(tarball)) return undefined;
  const image = buildLayout(tarball, kept);
  fs.writeFileSync(description, JSON.stringify(image));
  return image;
}

function buildLayout(tarball: string, directory: string): DebianImage {
  // Of the layout's file system: blobs are moved into it.
  const work = `${directory}.scratch`;
  for (const each of [directory, work]) fs.rmSync(each, { recursive: true, force: true });
  const tree = path.join(work, "debian-tree");
  fs.mkdirSync(tree, { recursive: true });
  shell(`tar -C ${tree} -xf ${tarball} --exclude='./dev/*'`);
  const made = [...layers].reverse().map((paths, at) => makeLayer(work, tree, paths, layers.length - 1 - at));
  const tag = "debian";
  const blobs = writeLayout(directory, tag, "tar+gzip", made);
  fs.rmSync(work, { recursive: true, force: true });
  const sorted = [...blobs].sort((a, b) => b.size - a.size);
  return {
    directory,
    tag,
    blobs: sorted.map((blob) => blob.path),
    bytes: blobs.reduce((sum, { size }) => sum + size, 0),
  };
}

/** A layer as a build makes it: the files, and the directories above them. */
function makeLayer(work: string, tree: string, paths: readonly string[], at: number): LayerFile {
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
