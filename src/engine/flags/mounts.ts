/** -v and --tmpfs in docker's and podman's words, to mount requests. No file is looked at. */
import * as path from "node:path";
import type { RootfsPropagation } from "../../oci/mod.ts";
import type { BindRequest, MountRequest, ReadOnly, VolumesFrom } from "../options.ts";
import { checkVolumeName } from "../volumes/record.ts";
import { badValue, unsupportedFlag } from "./bad-flag.ts";
import { parseBytes, parseOctal } from "./sizes.ts";

export const propagations: readonly string[] = [
  "private",
  "rprivate",
  "slave",
  "rslave",
  "shared",
  "rshared",
];

/** Each row: words of one property, of which one may stand. */
const exclusive: readonly (readonly string[])[] = [
  ["exec", "noexec"],
  ["dev", "nodev"],
  ["suid", "nosuid"],
  ["atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime"],
  ["diratime", "nodiratime"],
  ["sync", "async"],
  ["copy", "nocopy"],
  ["ro", "rw", "rro"],
  ["bind", "rbind"],
  propagations,
];
export const mountWords = new Set(exclusive.flat().filter((word) => !/copy$/.test(word)));

/** `-v [HOST-DIR|NAME:]CONTAINER-DIR[:OPTIONS]`; relative host paths (`./x`, `../x`) begin at `directory`. */
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
  const host = hostPath(flag, source, directory);
  return host === undefined
    ? namedVolume(flag, text, source, target, words(options))
    : bindRequest(flag, text, host, target, words(options));
}

/** `--volumes-from CONTAINER[:OPTIONS]` */
export function parseVolumesFrom(text: string): VolumesFrom {
  const flag = "--volumes-from";
  const [container = "", options = "", ...more] = text.split(":");
  let readOnly: boolean | undefined;
  for (const word of words(options)) {
    if (word === "ro") readOnly = true;
    else if (word === "rw") readOnly = false;
    else if (word !== "z" && word !== "Z") {
      throw badValue(flag, text, `unknown option ${JSON.stringify(word)}`, "known: ro, rw, z, Z");
    }
  }
  if (container === "" || more.length > 0) throw badValue(flag, text, "expected CONTAINER[:ro|rw]");
  return { container, readOnly };
}

/** `a:b\:c` has two fields: a colon after a backslash is part of its field. */
function splitColons(text: string): readonly string[] {
  return text.split(/(?<!\\):/).map((field) => field.replaceAll("\\:", ":"));
}

function words(options: string): readonly string[] {
  return options.split(",").filter((word) => word !== "");
}

/** undefined: not a path, so the name of a volume. */
export function hostPath(flag: string, source: string, directory: string): string | undefined {
  if (source.includes("\0")) throw badValue(flag, source, "a path cannot hold a NUL byte");
  if (source.startsWith("/")) return path.posix.normalize(source);
  if (/^\.{1,2}(\/|$)/.test(source)) return path.posix.resolve(directory, source);
  return undefined;
}

export function targetPath(flag: string, text: string, target: string): string {
  if (!target.startsWith("/") || target.includes("\0")) {
    throw badValue(flag, text, `the path in the container must be absolute: ${JSON.stringify(target)}`);
  }
  const clean = path.posix.normalize(target).replace(/(?<=.)\/$/, "");
  if (clean === "/") throw badValue(flag, text, "the container's / cannot be mounted over");
  return clean;
}

export function bindRequest(
  flag: string,
  text: string,
  source: string,
  target: string,
  options: readonly string[],
): BindRequest {
  return {
    kind: "bind",
    source,
    target: targetPath(flag, text, target),
    ...readWords(flag, text, options),
    flag,
  };
}

interface ReadWords {
  readonly readOnly: ReadOnly;
  readonly recursive: boolean;
  readonly propagation: RootfsPropagation | undefined;
  readonly options: readonly string[];
  readonly chown?: true;
}

function readWords(flag: string, text: string, options: readonly string[]): ReadWords {
  let readOnly: ReadOnly = "writable";
  let recursive = true;
  let propagation: RootfsPropagation | undefined;
  let chown = false;
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
    else if (word === "U") chown = true;
    else refuseVolumeWord(flag, text, word);
  }
  return { readOnly, recursive, propagation, options: kept, ...(chown ? { chown } : {}) };
}

/** Error: `volume-name-invalid`. */
export function namedVolume(
  flag: string,
  text: string,
  name: string,
  target: string,
  options: readonly string[],
): Extract<MountRequest, { readonly kind: "volume" }> {
  const { readOnly, propagation, options: kept, chown } = readWords(flag, text, options);
  return {
    kind: "volume",
    name: checkVolumeName(name),
    target: targetPath(flag, text, target),
    readOnly: readOnly !== "writable",
    copyUp: !options.includes("nocopy"),
    ...(kept.length + (propagation === undefined ? 0 : 1) === 0
      ? {}
      : { options: propagation === undefined ? kept : [...kept, propagation] }),
    ...(chown === undefined ? {} : { chown }),
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
        "known: ro, rw, rro, exec, noexec, suid, nosuid, dev, nodev, bind, rbind, [r]private, [r]slave, [r]shared, copy, nocopy, U, z, Z",
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

export function tmpfsRequest(
  flag: string,
  text: string,
  target: string,
  options: readonly string[],
): MountRequest {
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
