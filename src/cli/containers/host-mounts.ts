/** HostConfig of `docker inspect` about mounts: what `-v` and `--tmpfs` ask for, and apart from it what `--mount` does. */
import type { Container, KeptMount } from "../../engine/mod.ts";
import type { Mount, RuntimeConfig } from "../../oci/mod.ts";

export function hostMounts(container: Container, { mounts = [] }: RuntimeConfig) {
  const { asked = {}, mounts: kept = [] } = container;
  const byMount = new Set(kept.flatMap(({ flag, target }) => (flag === "--mount" ? [target] : [])));
  const memory = new Set(asked.tmpfsMounts);
  const tmpfs = Object.entries(asked.tmpfs ?? {});
  const requests = [
    ...kept.filter(({ target }) => byMount.has(target)).map(mountOf),
    ...tmpfs.filter(([target]) => memory.has(target)).map(([target, options]) => tmpfsOf(target, options)),
  ];
  return {
    Binds: mounts
      .filter(
        ({ type, source, destination }) =>
          type === "bind" && source?.includes(container.id) === false && !byMount.has(destination),
      )
      .flatMap((mount) => bindText(mount, kept) ?? []),
    ...(requests.length === 0 ? {} : { Mounts: requests }),
    Tmpfs: Object.assign(
      Object.create(null),
      Object.fromEntries(tmpfs.filter(([target]) => !memory.has(target))),
    ) as Record<string, string>,
  };
}

/** `-v` as it could have been written; undefined for a volume without a name. */
function bindText({ source, destination, options }: Mount, kept: readonly KeptMount[]): string | undefined {
  const asked = kept.find(({ target }) => target === destination);
  if (asked?.kind === "volume" && asked.anonymous === true) return undefined;
  return `${asked?.kind === "volume" ? asked.name : source}:${destination}:${accessOf(options)}`;
}

export function accessOf(options: readonly string[] | undefined): "ro" | "rw" {
  return options?.some((option) => option === "ro" || option === "rro") ? "ro" : "rw";
}

/** moby's `mount.Mount`; what is empty is left out, as there. */
function mountOf(request: KeptMount) {
  switch (request.kind) {
    case "bind":
      return {
        Type: "bind",
        Source: request.source,
        Target: request.target,
        ...(request.readOnly === "writable" ? {} : { ReadOnly: true }),
        ...unlessEmpty("BindOptions", {
          ...(request.propagation === undefined ? {} : { Propagation: request.propagation }),
          ...(request.recursive ? {} : { NonRecursive: true }),
          ...(request.readOnly === "top" ? { ReadOnlyNonRecursive: true } : {}),
          ...(request.readOnly === "recursive" ? { ReadOnlyForceRecursive: true } : {}),
        }),
      };
    case "image":
      return {
        Type: "image",
        Source: request.image,
        Target: request.target,
        ...(request.writable ? {} : { ReadOnly: true }),
        ...unlessEmpty("ImageOptions", request.subpath === undefined ? {} : { Subpath: request.subpath }),
      };
    case "volume":
      return {
        Type: "volume",
        ...(request.anonymous === true ? {} : { Source: request.name }),
        Target: request.target,
        ...(request.readOnly ? { ReadOnly: true } : {}),
        ...unlessEmpty("VolumeOptions", {
          ...(request.copyUp || request.subpath !== undefined ? {} : { NoCopy: true }),
          ...(request.labels === undefined ? {} : { Labels: request.labels }),
          ...(request.subpath === undefined ? {} : { Subpath: request.subpath }),
          ...(request.volumeOptions === undefined
            ? {}
            : { DriverConfig: { Options: request.volumeOptions } }),
        }),
      };
  }
}

function tmpfsOf(target: string, text: string) {
  const options = text.split(",");
  const value = (key: string): string | undefined =>
    options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1);
  const size = value("size");
  const mode = value("mode");
  return {
    Type: "tmpfs",
    Target: target,
    ...(options.includes("ro") ? { ReadOnly: true } : {}),
    ...unlessEmpty("TmpfsOptions", {
      ...(size === undefined || !/^\d+$/.test(size) ? {} : { SizeBytes: Number(size) }),
      ...(mode === undefined ? {} : { Mode: Number.parseInt(mode, 8) }),
    }),
  };
}

function unlessEmpty(name: string, options: object): object {
  return Object.keys(options).length === 0 ? {} : { [name]: options };
}
