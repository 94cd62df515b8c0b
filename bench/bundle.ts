import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import type { Bench } from "./bench.ts";

export interface Bundle {
  readonly bundle: string;
  /** Its root filesystem. */
  readonly tree: string;
}

/** The config.json that vitrine itself makes for `true`, with the root filesystem unpacked beside it: made once. */
export function bundleOf({ vitrine, work, repository }: Bench): Bundle {
  const made = { bundle: `${work}/bundle`, tree: `${work}/tree` };
  if (fs.existsSync(made.bundle)) return made;
  const id = `${work}/bundle.id`;
  must(vitrine, ["create", "--cidfile", id, "--network", "none", "bench", "true"]);
  fs.mkdirSync(made.tree);
  must("tar", ["-C", made.tree, "-xf", `${repository}/build/fixtures/probe.tar`]);
  const container = fs.readFileSync(id, "utf8").trim();
  const config = JSON.parse(fs.readFileSync(`${work}/root/containers/${container}/config.json`, "utf8")) as {
    root: { path: string };
    mounts: { source?: string }[];
    ociVersion: string;
    linux: {
      cgroupsPath?: string;
      namespaces: { type: string }[];
      resources?: object;
    };
  };
  must(vitrine, ["rm", container]);
  config.root.path = made.tree;
  // The files that vitrine generates for a container live only as long as it runs.
  config.mounts = config.mounts.filter((mount) => !mount.source?.startsWith(`${work}/run`));
  config.linux.cgroupsPath = "/vitrine-bench";
  // Older ones know no later version.
  config.ociVersion = "1.0.2";
  // runc before 1.2 does not know time namespaces.
  config.linux.namespaces = config.linux.namespaces.filter((namespace) => namespace.type !== "time");
  fs.mkdirSync(made.bundle);
  fs.writeFileSync(`${made.bundle}/config.json`, JSON.stringify(config));
  return made;
}

/** A bundle with another program, and without limits for crun. */
export function bundleFor(bench: Bench, { peer, args }: { peer: string; args: readonly string[] }): string {
  const { bundle } = bundleOf(bench);
  const config = JSON.parse(fs.readFileSync(`${bundle}/config.json`, "utf8")) as {
    process: { args: readonly string[] };
    linux: { cgroupsPath?: string; resources?: object };
  };
  config.process.args = args;
  // Each container has a cgroup of its own, named after it.
  delete config.linux.cgroupsPath;
  // With device rules crun raises a resource limit, with others it wants controllers: not every machine allows that.
  if (peer === "crun") delete config.linux.resources;
  const directory = fs.mkdtempSync(`${bench.work}/bundle-`);
  fs.writeFileSync(`${directory}/config.json`, JSON.stringify(config));
  return directory;
}

/** The number of the first: all have as many digits, as those that engines make have. */
export const firstOwn = 1001;

/**
 * DIR/1001 … (`count` of them), as engines make them: each a bundle with a config.json of its own and a process.json for `exec`, and in `id` the id that its container is to
 * have. DIR/next is the number of the next one, for shells that take one after another.
 */
export function ownBundles(
  bench: Bench,
  { peer, args, count }: { peer: string; args: readonly string[]; count: number },
): string {
  const text = fs.readFileSync(`${bundleFor(bench, { peer, args })}/config.json`, "utf8");
  const directory = fs.mkdtempSync(`${bench.work}/own-`);
  for (let number = firstOwn; number < firstOwn + count; number++) {
    const bundle = `${directory}/${number}`;
    const id = randomBytes(32).toString("hex");
    const config = JSON.parse(text) as { hostname?: string; annotations?: object; process: object };
    config.hostname = id.slice(0, 12);
    config.annotations = {
      ...config.annotations,
      layer: randomBytes(32).toString("hex"),
      created: new Date(),
    };
    fs.mkdirSync(bundle);
    fs.writeFileSync(`${bundle}/id`, `${id}\n`);
    fs.writeFileSync(`${bundle}/config.json`, JSON.stringify(config));
    fs.writeFileSync(`${bundle}/process.json`, JSON.stringify({ ...config.process, args: ["true"] }));
  }
  fs.writeFileSync(`${directory}/next`, `${firstOwn}\n`);
  return directory;
}

/** Shell: `$b` is the next bundle, `$id` its id. */
export function takeNext(directory: string): string {
  return `read n <${directory}/next; echo $((n + 1)) >${directory}/next; b=${directory}/$n; read id <$b/id`;
}

function must(program: string, args: readonly string[]): void {
  const done = spawnSync(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  if (done.status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${done.status}`);
}
