/** --network, --pid, --ipc, --uts, --cgroupns, --timens and --userns. */
import type { IpcMode, NamespaceMode, NetworkMode, UserNamespaceMode } from "../options.ts";
import { badValue, unsupportedFlag } from "./bad-flag.ts";

/** `private`, `host`, `ns:PATH`. */
export function parseNamespaceMode(flag: string, text: string): NamespaceMode {
  if (text === "private" || text === "") return { mode: "private" };
  if (text === "host") return { mode: "host" };
  if (text.startsWith("ns:")) return joined(flag, text);
  refuseSharing(flag, text);
  throw badValue(flag, text, "unknown mode", "one of private, host, ns:PATH");
}

export function parseIpcMode(text: string): IpcMode {
  // A shareable one is a private one that others may join: it differs only for them.
  if (text === "shareable") return { mode: "private" };
  if (text === "none") return { mode: "none" };
  return parseNamespaceMode("--ipc", text);
}

export function parseNetworkMode(text: string): NetworkMode {
  const flag = "--network";
  if (text === "none") return { mode: "none" };
  if (text === "host") return { mode: "host" };
  if (text.startsWith("ns:")) return joined(flag, text);
  refuseSharing(flag, text);
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

function refuseSharing(flag: string, text: string): void {
  if (!text.startsWith("container:") && !text.startsWith("pod")) return;
  throw unsupportedFlag(
    flag,
    `sharing a namespace with another container is not supported yet: ${JSON.stringify(text)}`,
    "join it by its path: ns:/proc/PID/ns/…",
  );
}

/** `host`, `private`, `keep-id[:uid=N,gid=N]`. */
export function parseUserNamespaceMode(text: string): UserNamespaceMode {
  const flag = "--userns";
  const [mode, arguments_] = split(text);
  switch (mode) {
    case "":
    case "private":
      return { mode: "private" };
    case "host":
      return { mode: "host" };
    case "keep-id": {
      const ids: { uid?: number; gid?: number } = {};
      for (const part of (arguments_ ?? "").split(",").filter((word) => word !== "")) {
        const match = /^(uid|gid)=(\d{1,10})$/.exec(part);
        if (match === null) throw badValue(flag, text, "expected keep-id:uid=N,gid=N");
        ids[match[1] as "uid" | "gid"] = Number(match[2]);
      }
      return { mode: "keep-id", ...ids };
    }
    case "auto":
    case "nomap":
    case "container":
    case "ns":
      throw unsupportedFlag(flag, `--userns=${text} is not supported yet`, "use keep-id, or leave it out");
    default:
      throw badValue(flag, text, "unknown mode", "one of host, private, keep-id");
  }
}

function split(text: string): readonly [string, string | undefined] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
}
