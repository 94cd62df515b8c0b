/** What of a container is the host's, and cannot be in a checkpoint: bind mounts, joined namespaces, its streams. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, limits, VitrineError } from "../../base/mod.ts";
import type { RuntimeConfig } from "../../oci/mod.ts";
import { isBind, readMounts } from "../mount-entry.ts";
import type { ExternalMount, ExternalNamespace } from "./criu.ts";

/** The bind mounts of the config. Names are their destinations, as runc's. */
export function externalMounts(config: RuntimeConfig, bundle: string, rootfs: string): ExternalMount[] {
  return readMounts(config, bundle)
    .filter(isBind)
    .map(({ destination, source }) => ({
      point: resolveInside(rootfs, destination),
      name: destination,
      source,
    }));
}

/** Links on the way are followed inside the root, by their text alone: nothing is opened. */
export function resolveInside(rootfs: string, destination: string): string {
  const todo = destination.split("/").filter((part) => part !== "");
  const done: string[] = [];
  for (let links = 0; todo.length > 0; ) {
    const part = todo.shift()!;
    if (part === "." || part === "") continue;
    if (part === "..") {
      done.pop();
      continue;
    }
    const text = linkText(path.posix.join(rootfs, ...done, part));
    if (text === undefined || links > 40) {
      done.push(part);
      continue;
    }
    links += 1;
    if (text.startsWith("/")) done.length = 0;
    todo.unshift(...text.split("/"));
  }
  return `/${done.join("/")}`;
}

function linkText(file: string): string | undefined {
  try {
    return fs.readlinkSync(file);
  } catch {
    return undefined;
  }
}

/** Namespaces that the container joined by path: they live on without it. */
export function externalNamespaces(config: RuntimeConfig): ExternalNamespace[] {
  return (config.linux?.namespaces ?? []).flatMap(({ type, path: joined }) =>
    joined === undefined || (type !== "network" && type !== "pid")
      ? []
      : [{ kind: type === "network" ? ("net" as const) : ("pid" as const), path: joined }],
  );
}

/** `pipe:[N]`, `file[MOUNT:INODE]` for a file that no mount of the container leads to, or the path. */
export function streamsOf(pid: number): string[] {
  const own = new Set(
    fs
      .readFileSync(`/proc/${pid}/mountinfo`, "latin1")
      .split("\n")
      .map((line) => line.split(" ")[0]),
  );
  return [0, 1, 2].map((fd) => {
    const link = linkText(`/proc/${pid}/fd/${fd}`) ?? "";
    if (!link.startsWith("/")) return link;
    const mount = /^mnt_id:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1"))?.[1];
    if (mount === undefined || own.has(mount)) return link;
    const { ino } = fs.statSync(`/proc/${pid}/fd/${fd}`, { bigint: true });
    return `file[${Number(mount).toString(16)}:${ino.toString(16)}]`;
  });
}

/** The streams that whoever restores has to give, by their keys. */
export function inherited(streams: readonly string[]): (string | undefined)[] {
  return streams.map((key) => (key.startsWith("pipe:") || key.startsWith("file[") ? key : undefined));
}

const descriptors = "descriptors.json";

export function writeStreams(imagePath: string, streams: readonly string[]): void {
  fs.writeFileSync(`${imagePath}/${descriptors}`, JSON.stringify(streams), { mode: 0o600 });
}

/** As runc writes them. Error: `checkpoint-images-missing`. */
export function readStreams(imagePath: string): readonly string[] {
  try {
    fs.statSync(`${imagePath}/inventory.img`);
    const file = `${imagePath}/${descriptors}`;
    if (fs.statSync(file).size > limits.runtimeConfigBytes) return [];
    const found: unknown = JSON.parse(fs.readFileSync(file, "utf8"));
    return Array.isArray(found) ? found.slice(0, 3).map(String) : [];
  } catch (cause) {
    throw new VitrineError("not-found", `no checkpoint in ${imagePath}: ${errnoOf(cause) ?? String(cause)}`, {
      code: "checkpoint-images-missing",
      operand: imagePath,
      hint: "name the directory that 'checkpoint --image-path' wrote",
      cause,
    });
  }
}
