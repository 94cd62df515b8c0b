/** -v, --mount and --tmpfs in docker's and podman's words, to mount requests. No file is looked at. */
import * as path from "node:path";
import type { RootfsPropagation } from "../../oci/mod.ts";
import type { MountRequest, ReadOnly } from "../options.ts";
import { badValue, unsupportedFlag } from "./bad-flag.ts";
import { splitRecord } from "./comma-separated.ts";
import { parseBytes, parseOctal } from "./sizes.ts";

const propagations: readonly string[] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/** Each row: words of one property, of which one may stand. */
const exclusive: readonly (readonly string[])[] = [
  ["exec", "noexec"],
  ["dev", "nodev"],
  ["suid", "nosuid"],
  ["atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime"],
  ["diratime", "nodiratime"],
  ["sync", "async"],
  ["ro", "rw", "rro"],
  ["bind", "rbind"],
  propagations,
];
const mountWords = new Set(exclusive.flat());

/** `-v [HOST-DIR:]CONTAINER-DIR[:OPTIONS]`; relative host paths (`./x`, `../x`) begin at `directory`. */
export function parseVolume(text: string, directory: string): MountRequest {
  const flag = "--volume";
  const fields = splitColons(text);
  if (fields.length > 3 || fields.includes("")) {
    throw badValue(flag, text, "expected [HOST:]CONTAINER[:OPTIONS]", "for example -v /srv/data:/data:ro");
  }
  if (fields.length === 1) {
    return {
      kind: "anonymous",
      target: targetPath(flag, text, fields[0]!),
      readOnly: false,
      copyUp: true,
      flag,
    };
  }
  const [source, target, options = ""] = fields as [string, string, string?];
  return bindRequest(flag, text, sourcePath(flag, source, directory), target, words(options));
}

/** `a:b\:c` has two fields: a colon after a backslash is part of its field. */
function splitColons(text: string): readonly string[] {
  return text.split(/(?<!\\):/).map((field) => field.replaceAll("\\:", ":"));
}

function words(options: string): readonly string[] {
  return options.split(",").filter((word) => word !== "");
}

function sourcePath(flag: string, source: string, directory: string): string {
  if (source.includes("\0")) throw badValue(flag, source, "a path cannot hold a NUL byte");
  if (source.startsWith("/")) return path.posix.normalize(source);
  if (/^\.{1,2}(\/|$)/.test(source)) return path.posix.resolve(directory, source);
  throw unsupportedFlag(
    flag,
    `volumes by name are not supported yet: ${JSON.stringify(source)}`,
    `give a host directory: ${flag === "--volume" ? `-v "$PWD/${source}:…"` : "source=/absolute/path"}`,
  );
}

function targetPath(flag: string, text: string, target: string): string {
  if (!target.startsWith("/") || target.includes("\0")) {
    throw badValue(flag, text, `the path in the container must be absolute: ${JSON.stringify(target)}`);
  }
  const clean = path.posix.normalize(target).replace(/(?<=.)\/$/, "");
  if (clean === "/") throw badValue(flag, text, "the container's / cannot be mounted over");
  return clean;
}

function bindRequest(
  flag: string,
  text: string,
  source: string,
  target: string,
  options: readonly string[],
): MountRequest {
  let readOnly: ReadOnly = "writable";
  let recursive = true;
  let propagation: RootfsPropagation | undefined;
  const kept: string[] = [];
  requireCompatible(flag, text, options);
  for (const word of options) {
    if (propagations.includes(word)) propagation = word as RootfsPropagation;
    else if (word === "ro" || word === "readonly") readOnly = "recursive-if-possible";
    else if (word === "rro") readOnly = "recursive";
    else if (word === "rw") readOnly = "writable";
    else if (word === "bind") recursive = false;
    else if (word === "rbind") recursive = true;
    else if (mountWords.has(word)) kept.push(word);
    else refuseVolumeWord(flag, text, word);
  }
  return {
    kind: "bind",
    source,
    target: targetPath(flag, text, target),
    readOnly,
    recursive,
    propagation,
    options: kept,
    flag,
  };
}

function requireCompatible(flag: string, text: string, options: readonly string[]): void {
  for (const row of exclusive) {
    const found = options.filter((word) => row.includes(word));
    if (found.length > 1) throw badValue(flag, text, `the options ${found.join(" and ")} exclude each other`);
  }
}

function refuseVolumeWord(flag: string, text: string, word: string): void {
  switch (word.split("=")[0]) {
    // Of meaning to other engines or hosts only: nothing is lost where they are passed over.
    case "nocopy":
    case "copy":
    case "consistent":
    case "cached":
    case "delegated":
    case "z":
    case "Z":
      return;
    case "U":
    case "O":
    case "idmap":
      throw unsupportedFlag(
        flag,
        `the volume option ${word} is not supported yet`,
        `leave it out: ${JSON.stringify(text)}`,
      );
    default:
      throw badValue(
        flag,
        text,
        `unknown option ${JSON.stringify(word)}`,
        "known: ro, rw, rro, exec, noexec, suid, nosuid, dev, nodev, bind, rbind, [r]private, [r]slave, [r]shared, z, Z",
      );
  }
}

/** `--tmpfs TARGET[:OPTIONS]` */
export function parseTmpfs(text: string): MountRequest {
  const flag = "--tmpfs";
  const colon = text.indexOf(":");
  const target = colon < 0 ? text : text.slice(0, colon);
  return tmpfsRequest(flag, text, target, colon < 0 ? [] : words(text.slice(colon + 1)));
}

function tmpfsRequest(flag: string, text: string, target: string, options: readonly string[]): MountRequest {
  requireCompatible(flag, text, options);
  const kept: string[] = [];
  for (const option of options) {
    const equals = option.indexOf("=");
    const name = equals < 0 ? option : option.slice(0, equals);
    const value = equals < 0 ? "" : option.slice(equals + 1);
    switch (name) {
      case "size":
        // tmpfs itself knows k, m, g and a share of the memory.
        kept.push(/^\d+%$/.test(value) ? option : `size=${parseBytes(flag, value)}`);
        break;
      case "mode":
        kept.push(`mode=${parseOctal(flag, value).toString(8).padStart(4, "0")}`);
        break;
      case "uid":
      case "gid":
      case "nr_inodes":
      case "nr_blocks":
        if (!/^\d+[kmg]?$/i.test(value)) throw badValue(flag, text, `${name} needs a number`);
        kept.push(option);
        break;
      case "tmpcopyup":
        kept.push("tmpcopyup");
        break;
      case "notmpcopyup":
        break;
      default:
        if (!mountWords.has(option) || option === "bind" || option === "rbind" || option === "rro") {
          throw badValue(
            flag,
            text,
            `unknown option ${JSON.stringify(option)}`,
            "known: size=, mode=, uid=, gid=, nr_inodes=, ro, exec, suid, dev, tmpcopyup",
          );
        }
        kept.push(option);
    }
  }
  return { kind: "tmpfs", target: targetPath(flag, text, target), options: kept, flag };
}

/** `--mount type=bind|tmpfs|volume,source=…,destination=…,…` */
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
      return mountBind(text, sourcePath(flag, source, directory), target, rest);
    case "tmpfs":
      if (source !== undefined) throw badValue(flag, text, "type=tmpfs has no source");
      return mountTmpfs(text, target, rest);
    case "volume": {
      if (source !== undefined && source !== "") sourcePath(flag, source, directory);
      if (source !== undefined && source !== "") {
        throw badValue(
          flag,
          text,
          "type=volume needs a name as its source",
          "for a host directory: type=bind",
        );
      }
      let readOnly = false;
      let copyUp = true;
      for (const [key, value] of rest) {
        if (key === "readonly" || key === "ro") readOnly = boolean(text, key, value);
        else if (key === "volume-nocopy") copyUp = !boolean(text, key, value);
        else throw unknownKey(text, key);
      }
      return { kind: "anonymous", target: targetPath(flag, text, target), readOnly, copyUp, flag };
    }
    default:
      throw unsupportedFlag(
        flag,
        `mounts of type ${JSON.stringify(type)} are not supported yet`,
        "use type=bind or type=tmpfs",
      );
  }
}

function mountBind(
  text: string,
  source: string,
  target: string,
  rest: readonly (readonly [string, string | undefined])[],
): MountRequest {
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
      case "consistency":
      case "relabel":
        break;
      default:
        if (value !== undefined || !mountWords.has(key)) throw unknownKey(text, key);
        options.push(key);
    }
  }
  const request = bindRequest(flag, text, source, target, options);
  if (request.kind !== "bind") return request;
  if (below === "recursive" && request.readOnly === "writable") {
    throw badValue(flag, text, "bind-recursive=readonly needs readonly");
  }
  return {
    ...request,
    recursive: recursive && request.recursive,
    readOnly: below !== undefined && request.readOnly !== "writable" ? below : request.readOnly,
  };
}

function mountTmpfs(
  text: string,
  target: string,
  rest: readonly (readonly [string, string | undefined])[],
): MountRequest {
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
    "known: type, source, target, readonly, bind-propagation, bind-recursive, tmpfs-size, tmpfs-mode",
  );
}
