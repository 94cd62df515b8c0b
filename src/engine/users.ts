/**
 * Who a container's process is: `USER[:GROUP]` looked up in the image's /etc/passwd and /etc/group, with docker's
 * rules. Both files are an image author's: a line that is not well formed is passed over.
 */
import { quoted, VitrineError } from "../base/mod.ts";

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** The primary group first, as docker lists them. */
  readonly groups: readonly number[];
  readonly home: string;
  /** As in /etc/passwd; undefined where there is no entry. */
  readonly name: string | undefined;
}

export interface UserFiles {
  /** Text of /etc/passwd and /etc/group; empty when the image has none. */
  readonly passwd: string;
  readonly group: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const highestId = 2 ** 32 - 2;

/**
 * `text` is `user`, `uid`, `user:group`, `uid:gid` or empty for root; `extraGroups` are those of --group-add.
 * Without a group the user's own and those that list the user count; with one, only it.
 * Errors: `user-not-found`, `group-not-found`, `user-invalid`.
 */
export function resolveUser(text: string, extraGroups: readonly string[], files: UserFiles): ResolvedUser {
  const colon = text.indexOf(":");
  const userText = colon < 0 ? text : text.slice(0, colon);
  const groupText = colon < 0 ? "" : text.slice(colon + 1);
  const entry = findUser(userText, files.passwd);
  const number = idOf(userText === "" ? "0" : userText, text);
  if (entry === undefined && number === undefined) {
    throw new VitrineError("not-found", `the image has no user ${quoted(userText)} in /etc/passwd`, {
      code: "user-not-found",
      operand: userText,
      hint: "give a number, or one of the users in the image's /etc/passwd: --user UID[:GID]",
    });
  }
  const uid = entry?.uid ?? number!;
  const gid = groupText === "" ? (entry?.gid ?? 0) : groupId(groupText, files.group);
  const groups = new Set([gid]);
  if (groupText === "" && entry !== undefined) {
    for (const group of groupsIn(files.group)) if (group.members.includes(entry.name)) groups.add(group.gid);
  }
  for (const extra of extraGroups) groups.add(groupId(extra, files.group));
  return {
    uid,
    gid,
    groups: [...groups],
    home: entry?.home || (uid === 0 ? "/root" : "/"),
    name: entry?.name,
  };
}

function findUser(text: string, passwd: string): PasswdEntry | undefined {
  const wanted = text === "" ? "0" : text;
  // A name that is a number is a name first, as in docker.
  let byNumber: PasswdEntry | undefined;
  for (const line of linesOf(passwd)) {
    const [name, , uid, gid, , home] = line.split(":");
    const entry = { name: name ?? "", uid: idIn(uid), gid: idIn(gid), home: home ?? "" };
    if (entry.uid === undefined || entry.gid === undefined || entry.name === "") continue;
    const found = { ...entry, uid: entry.uid, gid: entry.gid };
    if (found.name === text && text !== "") return found;
    if (byNumber === undefined && String(found.uid) === wanted) byNumber = found;
  }
  return byNumber;
}

function groupId(text: string, group: string): number {
  const number = idOf(text, text);
  for (const entry of groupsIn(group)) {
    if (entry.name === text || entry.gid === number) return entry.gid;
  }
  if (number !== undefined) return number;
  throw new VitrineError("not-found", `the image has no group ${quoted(text)} in /etc/group`, {
    code: "group-not-found",
    operand: text,
    hint: "give a number, or one of the groups in the image's /etc/group",
  });
}

function* groupsIn(group: string): Generator<GroupEntry> {
  for (const line of linesOf(group)) {
    const [name, , id, members] = line.split(":");
    const gid = idIn(id);
    if (gid === undefined || name === undefined || name === "") continue;
    yield { name, gid, members: (members ?? "").split(",").filter((member) => member !== "") };
  }
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

function idIn(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= highestId ? id : undefined;
}

/** A number given in place of a name; undefined when it is a name. */
function idOf(text: string, whole: string): number | undefined {
  if (!/^-?\d+$/.test(text)) return undefined;
  const id = idIn(text);
  if (id === undefined) {
    throw new VitrineError("invalid", `${quoted(whole)}: ids go from 0 to ${highestId}`, {
      code: "user-invalid",
      operand: whole,
      hint: "give --user UID[:GID] within that range",
    });
  }
  return id;
}
