/** process.user, and the entry in /etc/passwd that a user without one gets. */
import { VitrineError } from "../../base/mod.ts";
import type { User } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import { toHostId } from "../id-maps.ts";
import { type ResolvedUser, resolveUser } from "../users.ts";
import type { SpecInput } from "./input.ts";
import { byDefault, byFlag, byHost, byImage, type Notebook } from "./notebook.ts";

export interface UserPart {
  readonly user: User;
  readonly resolved: ResolvedUser;
  /** The image's /etc/passwd with a line added; undefined: the image's is good as it is. */
  readonly passwd: string | undefined;
}

const decoder = new TextDecoder();

/** Errors: `user-not-found`, `group-not-found`, `user-not-mapped`. */
export function user(input: SpecInput, notebook: Notebook): UserPart {
  const { options, idChoice } = input;
  const ofImage = input.image?.config?.User ?? "";
  const kept =
    idChoice.defaultUser === undefined ? "" : `${idChoice.defaultUser.uid}:${idChoice.defaultUser.gid}`;
  const wanted = options.user ?? (kept === "" ? ofImage : kept);
  const passwd = text(input.readRootFile("/etc/passwd"));
  const group = text(input.readRootFile("/etc/group"));
  const resolved = input.imageFilesKnown
    ? resolveUser(wanted, options.groups, { passwd: passwd ?? "", group: group ?? "" })
    : assumeUser(wanted, notebook);
  const origin =
    options.user !== undefined
      ? byFlag("--user")
      : kept !== ""
        ? byFlag("--userns")
        : ofImage === ""
          ? byDefault
          : byImage("config.User");
  notebook.note("/process/user", origin);
  requireMapped(input, wanted, resolved);
  notebook.note("/process/user/umask", options.umask === undefined ? byDefault : byFlag("--umask"));
  return {
    user: {
      uid: resolved.uid,
      gid: resolved.gid,
      umask: options.umask ?? defaults.umask.value,
      ...groupsPart(input, resolved, notebook),
    },
    resolved,
    passwd: passwdWithEntry(input, passwd, resolved),
  };
}

/** For explaining an image that was never run: numbers are what they are, a name is shown as nobody. */
function assumeUser(wanted: string, notebook: Notebook): ResolvedUser {
  const [user = "", group = ""] = wanted.split(":");
  const number = (part: string): number => (/^\d{1,9}$/.test(part) ? Number(part) : nobody);
  if (!/^\d*(:\d*)?$/.test(wanted) && wanted !== "root") {
    notebook.warn(
      `the image is not unpacked yet, so its user ${JSON.stringify(wanted)} is shown as ${nobody}`,
    );
  }
  const uid = user === "" || user === "root" ? 0 : number(user);
  const gid = group === "" ? 0 : number(group);
  return { uid, gid, groups: [gid], home: uid === 0 ? "/root" : "/", name: undefined };
}

const nobody = 65534;

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : decoder.decode(bytes);
}

function requireMapped(input: SpecInput, wanted: string, { uid, gid }: ResolvedUser): void {
  const { ids } = input.idChoice;
  if (ids.kind === "none") return;
  for (const [what, id, map] of [
    ["user", uid, ids.uids],
    ["group", gid, ids.gids],
  ] as const) {
    if (toHostId(map, id) !== undefined) continue;
    throw new VitrineError("unavailable", `${what} ${id} is not mapped into the container`, {
      code: "user-not-mapped",
      operand: wanted,
      hint:
        ids.kind === "single"
          ? "only your own id is mapped, as 0: add --user 0, or get subordinate ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
          : "give a --user within the map, or add subordinate ids in /etc/subuid and /etc/subgid",
    });
  }
}

/** Groups that the user namespace cannot name are left out: setgroups(2) would fail for all. */
function groupsPart(
  input: SpecInput,
  resolved: ResolvedUser,
  notebook: Notebook,
): { readonly additionalGids?: readonly number[] } {
  const pointer = "/process/user/additionalGids";
  const { ids } = input.idChoice;
  if (ids.kind === "single") {
    // Without privilege the kernel wants setgroups denied before such a map is written (user_namespaces(7)).
    notebook.note(pointer, byHost("setgroups is denied where only one id is mapped"));
    if (input.options.groups.length > 0) {
      notebook.warn("--group-add is not applied: supplementary groups need subordinate ids");
    }
    return {};
  }
  const mapped =
    ids.kind === "none"
      ? resolved.groups
      : resolved.groups.filter((gid) => toHostId(ids.gids, gid) !== undefined);
  const lost = resolved.groups.filter((gid) => !mapped.includes(gid));
  if (lost.length > 0) notebook.warn(`not mapped into the container, so left out: groups ${lost.join(", ")}`);
  if (input.options.groups.length > 0) notebook.note(pointer, byFlag("--group-add"));
  return { additionalGids: mapped };
}

/** podman's made-up entry, so that getpwuid(3) finds the user. Not where the image has no passwd at all. */
function passwdWithEntry(
  input: SpecInput,
  passwd: string | undefined,
  { uid, gid, name, home }: ResolvedUser,
): string | undefined {
  const wanted = input.options.passwd && defaults.madeUpPasswd.value;
  if (!wanted || passwd === undefined || name !== undefined) return undefined;
  const taken = new Set(passwd.split("\n").map((line) => line.split(":")[0]));
  const own = input.idChoice.defaultUser === undefined ? "" : input.host.identity.userName;
  const free = /^[a-z_][a-z0-9_-]*$/.test(own) && !taken.has(own) ? own : String(uid);
  const separator = passwd === "" || passwd.endsWith("\n") ? "" : "\n";
  return `${passwd}${separator}${free}:*:${uid}:${gid}:container user:${home}:/bin/sh\n`;
}
