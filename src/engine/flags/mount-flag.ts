/** --mount in docker's and podman's words, to mount requests. No file is looked at. */
import type { BindRequest, ImageRequest, MountRequest, ReadOnly, VolumeRequestMount } from "../options.ts";
import { checkVolumeDriver, checkVolumeOptions } from "../volumes/options.ts";
import { badValue, unsupportedFlag } from "./bad-flag.ts";
import { splitRecord } from "./comma-separated.ts";
import {
  bindRequest,
  hostPath,
  mountWords,
  namedVolume,
  propagations,
  targetPath,
  tmpfsRequest,
} from "./mounts.ts";

type Rest = readonly (readonly [string, string | undefined])[];

/** `--mount type=bind|tmpfs|volume|image,source=…,destination=…,…` */
export function parseMount(text: string, directory: string): MountRequest {
  const flag = "--mount";
  let type = "volume";
  let source: string | undefined;
  let target: string | undefined;
  const rest: [string, string | undefined][] = [];
  for (const field of splitRecord(flag, text)) {
    const equals = field.indexOf("=");
    const key = (equals < 0 ? field : field.slice(0, equals)).trim().toLowerCase();
    const value = equals < 0 ? undefined : field.slice(equals + 1);
    if (key === "type") type = value ?? "";
    else if (key === "source" || key === "src") source = value ?? "";
    else if (key === "destination" || key === "dst" || key === "target") target = value ?? "";
    else rest.push([key, value]);
  }
  if (target === undefined || target === "") {
    throw badValue(flag, text, "it says no target", "for example --mount type=bind,source=/srv,target=/srv");
  }
  switch (type) {
    case "bind":
      if (source === undefined || source === "") throw badValue(flag, text, "type=bind needs a source");
      return mountBind(text, requirePath(source, directory), target, rest);
    case "tmpfs":
      if (source !== undefined) throw badValue(flag, text, "type=tmpfs has no source");
      return mountTmpfs(text, target, rest);
    case "volume":
      return mountVolume(text, source ?? "", target, rest);
    case "image":
      if (source === undefined || source === "")
        throw badValue(flag, text, "type=image needs an image as its source");
      return mountImage(text, source, target, rest);
    default:
      throw unsupportedFlag(
        flag,
        `mounts of type ${JSON.stringify(type)} are not supported yet`,
        "use type=bind, type=volume, type=tmpfs or type=image",
      );
  }
}

function requirePath(source: string, directory: string): string {
  const found = hostPath("--mount", source, directory);
  if (found !== undefined) return found;
  throw badValue("--mount", source, "the source of type=bind is a path", "for a volume: type=volume");
}

function mountVolume(text: string, source: string, target: string, rest: Rest): MountRequest {
  const flag = "--mount";
  if (source !== "" && hostPath(flag, source, "/") !== undefined) {
    throw badValue(flag, text, "type=volume needs a name as its source", "for a host directory: type=bind");
  }
  const words: string[] = [];
  const volumeOptions: Record<string, string> = {};
  const labels: Record<string, string> = {};
  let subpath: string | undefined;
  for (const [key, value] of rest) {
    switch (key) {
      case "readonly":
      case "ro":
        words.push(boolean(text, key, value) ? "ro" : "rw");
        break;
      case "rw":
        words.push(boolean(text, key, value) ? "rw" : "ro");
        break;
      case "volume-nocopy":
      case "nocopy":
        if (boolean(text, key, value)) words.push("nocopy");
        break;
      case "u":
      case "chown":
        if (boolean(text, key, value)) words.push("U");
        break;
      case "volume-subpath":
      case "subpath":
        subpath = relativePath(text, value);
        break;
      case "volume-opt":
        addPair(text, key, value, volumeOptions);
        break;
      case "volume-label":
        addPair(text, key, value, labels);
        break;
      case "volume-driver":
        checkVolumeDriver(value ?? "");
        break;
      case "consistency":
        break;
      default:
        if (value !== undefined || !mountWords.has(key)) throw unknownKey(text, key);
        words.push(key);
    }
  }
  checkVolumeOptions(volumeOptions);
  const { kind, name, ...request } = namedVolume(
    flag,
    text,
    source === "" ? "anonymous" : source,
    target,
    words,
  );
  const more = {
    ...request,
    ...(Object.keys(volumeOptions).length === 0 ? {} : { volumeOptions }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  };
  if (source !== "") {
    // What is below a part of a volume is not what the image has at the target.
    return {
      kind,
      name,
      ...more,
      ...(subpath === undefined ? {} : { subpath, copyUp: false }),
    } satisfies VolumeRequestMount;
  }
  if (subpath !== undefined) throw badValue(flag, text, "volume-subpath needs a volume by name");
  return { kind: "anonymous", ...more };
}

function mountImage(text: string, image: string, target: string, rest: Rest): ImageRequest {
  const flag = "--mount";
  let writable = false;
  let subpath: string | undefined;
  for (const [key, value] of rest) {
    if (key === "rw" || key === "readwrite") writable = boolean(text, key, value);
    else if (key === "ro" || key === "readonly") writable = !boolean(text, key, value);
    else if (key === "subpath" || key === "image-subpath") subpath = relativePath(text, value);
    else throw unknownKey(text, key);
  }
  return {
    kind: "image",
    image,
    target: targetPath(flag, text, target),
    ...(subpath === undefined ? {} : { subpath }),
    writable,
    flag,
  };
}

/** Below a volume or an image: links are resolved in it when it is mounted. */
function relativePath(text: string, value: string | undefined): string | undefined {
  const parts = (value ?? "").split("/").filter((part) => part !== "" && part !== ".");
  if (value === undefined || value === "" || value.includes("\0") || parts.includes("..")) {
    throw badValue("--mount", text, "subpath is a path below, without '..'");
  }
  return parts.length === 0 ? undefined : parts.join("/");
}

function addPair(text: string, key: string, value: string | undefined, pairs: Record<string, string>): void {
  const equals = value?.indexOf("=") ?? -1;
  if (value === undefined || value === "" || equals === 0)
    throw badValue("--mount", text, `${key} is KEY=VALUE`);
  pairs[equals < 0 ? value : value.slice(0, equals)] = equals < 0 ? "" : value.slice(equals + 1);
}

function mountBind(text: string, source: string, target: string, rest: Rest): BindRequest {
  const flag = "--mount";
  const options: string[] = [];
  let recursive = true;
  let below: ReadOnly | undefined;
  for (const [key, value] of rest) {
    switch (key) {
      case "readonly":
      case "ro":
        options.push(boolean(text, key, value) ? "ro" : "rw");
        break;
      case "rw":
        options.push(boolean(text, key, value) ? "rw" : "ro");
        break;
      case "bind-propagation":
        if (value === undefined || !propagations.includes(value)) {
          throw badValue(flag, text, "unknown propagation", `one of ${propagations.join(", ")}`);
        }
        options.push(value);
        break;
      case "bind-nonrecursive":
        recursive = !boolean(text, key, value);
        break;
      case "bind-recursive":
        if (value === "disabled") recursive = false;
        else if (value === "writable") below = "top";
        else if (value === "readonly") below = "recursive";
        else if (value !== "enabled") {
          throw badValue(
            flag,
            text,
            "unknown bind-recursive",
            "one of enabled, disabled, writable, readonly",
          );
        }
        break;
      case "rro":
        if (boolean(text, key, value)) options.push("rro");
        break;
      case "u":
      case "chown":
        if (boolean(text, key, value)) options.push("U");
        break;
      case "consistency":
      case "relabel":
        break;
      default:
        if (value !== undefined || !mountWords.has(key)) throw unknownKey(text, key);
        options.push(key);
    }
  }
  const request = bindRequest(flag, text, source, target, options);
  if (below === "recursive" && request.readOnly === "writable") {
    throw badValue(flag, text, "bind-recursive=readonly needs readonly");
  }
  return {
    ...request,
    recursive: recursive && request.recursive,
    readOnly: below !== undefined && request.readOnly !== "writable" ? below : request.readOnly,
  };
}

function mountTmpfs(text: string, target: string, rest: Rest): MountRequest {
  const options: string[] = [];
  for (const [key, value] of rest) {
    if (key === "tmpfs-size" || key === "tmpfs-mode") options.push(`${key.slice(6)}=${value ?? ""}`);
    else if (key === "readonly" || key === "ro") {
      if (boolean(text, key, value)) options.push("ro");
    } else options.push(value === undefined ? key : `${key}=${value}`);
  }
  return tmpfsRequest("--mount", text, target, options);
}

function boolean(text: string, key: string, value: string | undefined): boolean {
  if (value === undefined || value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw badValue("--mount", text, `${key} is true or false`);
}

function unknownKey(text: string, key: string): Error {
  return badValue(
    "--mount",
    text,
    `unknown key ${JSON.stringify(key)}`,
    "known: type, source, target, readonly, bind-propagation, bind-recursive, tmpfs-size, tmpfs-mode, volume-nocopy, volume-subpath, volume-opt, volume-label, subpath",
  );
}
