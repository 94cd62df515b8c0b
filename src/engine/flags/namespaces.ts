/** --network, --pid, --ipc, --uts, --cgroupns, --timens, --userns and what else chooses ids. */
import type { IdMapRequest, IpcMode, NamespaceMode, NetworkMode, UserNamespaceMode } from "../options.ts";
import { badValue, conflict, unsupportedFlag } from "./bad-flag.ts";

/** `private`, `host`, `container:NAME`, `ns:PATH`. */
export function parseNamespaceMode(
  flag: string,
  text: string,
  known = "private, host, container:NAME, ns:PATH",
): NamespaceMode {
  if (text === "private" || text === "") return { mode: "private" };
  if (text === "host") return { mode: "host" };
  if (text.startsWith("ns:")) return joined(flag, text);
  if (text.startsWith("container:")) return ofContainer(flag, text);
  throw badValue(flag, text, "unknown mode", `one of ${known}`);
}

export function parseIpcMode(text: string): IpcMode {
  // What nobody asked for is shareable, as podman's: a private one that others may join.
  if (text === "shareable" || text === "") return { mode: "private" };
  if (text === "private") return { mode: "private", shareable: false };
  if (text === "none") return { mode: "none" };
  return parseNamespaceMode("--ipc", text, "private, shareable, host, none, container:NAME, ns:PATH");
}

export function parseNetworkMode(text: string): NetworkMode {
  const flag = "--network";
  if (text === "none") return { mode: "none" };
  if (text === "host") return { mode: "host" };
  if (text.startsWith("ns:")) return joined(flag, text);
  if (text.startsWith("container:")) return ofContainer(flag, text);
  throw unsupportedFlag(
    flag,
    `the network ${JSON.stringify(text)} is not supported yet: this release has none and host`,
    "use --network host for the host's network, or --network none",
  );
}

function joined(flag: string, text: string): { readonly mode: "path"; readonly path: string } {
  const path = text.slice("ns:".length);
  if (!path.startsWith("/") || path.includes("\0")) throw badValue(flag, text, "ns: needs an absolute path");
  return { mode: "path", path };
}

function ofContainer(flag: string, text: string): { readonly mode: "container"; readonly container: string } {
  const container = text.slice("container:".length);
  if (container === "") throw badValue(flag, text, "container: needs a name or an id");
  return { mode: "container", container };
}

/** `host`, `private`, `keep-id[:uid=N,gid=N,size=N]`, `nomap`, `auto[:size=N]`. */
export function parseUserNamespaceMode(text: string): UserNamespaceMode {
  const flag = "--userns";
  const [mode, arguments_] = split(text);
  const words = (known: readonly string[]) => numbersOf(flag, text, arguments_, known);
  switch (mode) {
    case "":
    case "private":
      words([]);
      return { mode: "private" };
    case "host":
      words([]);
      return { mode: "host" };
    case "nomap":
      words([]);
      return { mode: "nomap" };
    case "keep-id":
      return { mode: "keep-id", ...words(["uid", "gid", "size"]) };
    case "auto":
      if (/(^|,)[ug]idmapping=/.test(arguments_ ?? "")) {
        throw unsupportedFlag(
          flag,
          "auto with uidmapping= or gidmapping= is not supported",
          "use --uidmap and --gidmap",
        );
      }
      return { mode: "auto", ...words(["size"]) };
    case "container":
      return ofContainer(flag, text);
    case "ns":
      throw unsupportedFlag(flag, `--userns=${text} is not supported yet`, "use keep-id, or leave it out");
    default:
      throw badValue(flag, text, "unknown mode", "one of host, private, auto, nomap, keep-id");
  }
}

type IdNumbers = { uid?: number; gid?: number; size?: number };

function numbersOf(
  flag: string,
  text: string,
  list: string | undefined,
  known: readonly string[],
): IdNumbers {
  const numbers: IdNumbers = {};
  for (const part of (list ?? "").split(",").filter((word) => word !== "")) {
    const match = /^(uid|gid|size)=(\d{1,10})$/.exec(part);
    const key = match?.[1] as keyof IdNumbers | undefined;
    const value = Number(match?.[2]);
    if (key === undefined || !known.includes(key) || value > highestId || (key === "size" && value === 0)) {
      const expected = known.map((word) => `${word}=N`).join(",");
      throw badValue(
        flag,
        text,
        known.length === 0 ? "this mode takes no options" : `its options are ${expected}`,
      );
    }
    numbers[key] = value;
  }
  return numbers;
}

const highestId = 2 ** 32 - 2;

/** `CONTAINER:FROM[:SIZE]`, FROM with `@` before it an id of the host; several with commas between them. */
export function parseIdMaps(
  flag: "--uidmap" | "--gidmap",
  texts: readonly string[],
): readonly IdMapRequest[] {
  return texts
    .flatMap((text) => text.split(","))
    .map((text) => {
      const match = /^(\d{1,10}):(@?)(\d{1,10})(?::(\d{1,10}))?$/.exec(text);
      if (match === null) throw badValue(flag, text, "expected CONTAINER:FROM:SIZE, three numbers");
      const [containerID, from, size] = [Number(match[1]), Number(match[3]), Number(match[4] ?? 1)];
      if (size === 0 || containerID + size - 1 > highestId || from + size - 1 > highestId) {
        throw badValue(flag, text, `ids go from 0 to ${highestId}`);
      }
      return { containerID, from, host: match[2] === "@", size };
    });
}

/** All flags that choose ids: one way at a time. Error: `flag-conflict`. */
export function chooseUserNamespaceMode(flags: {
  readonly userns: string | undefined;
  readonly uidmap: readonly string[];
  readonly gidmap: readonly string[];
  readonly subuidname: string | undefined;
  readonly subgidname: string | undefined;
}): UserNamespaceMode | undefined {
  const asked = flags.userns === undefined ? undefined : parseUserNamespaceMode(flags.userns);
  const maps = flags.uidmap.length + flags.gidmap.length > 0;
  const name = flags.subuidname ?? flags.subgidname;
  if (maps && name !== undefined) {
    throw conflict("--uidmap", "--uidmap and --subuidname both say which ids are mapped", "give one of them");
  }
  if (!maps && name === undefined) return asked;
  if (asked !== undefined && asked.mode !== "private") {
    throw conflict(
      "--userns",
      `--userns=${asked.mode} chooses the ids itself`,
      "leave it out: --uidmap, --gidmap and --subuidname make a user namespace",
    );
  }
  return name === undefined
    ? {
        mode: "maps",
        uids: parseIdMaps("--uidmap", flags.uidmap),
        gids: parseIdMaps("--gidmap", flags.gidmap),
      }
    : { mode: "named", uidName: flags.subuidname ?? name, gidName: flags.subgidname ?? name };
}

function split(text: string): readonly [string, string | undefined] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
}
