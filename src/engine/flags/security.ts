/** --security-opt, --device, --device-cgroup-rule, --add-host, --dns. */
import * as path from "node:path";
import type { LinuxDeviceRule } from "../../oci/mod.ts";
import type { DeviceRequest, SeccompChoice, SecurityOptions } from "../options.ts";
import { badValue } from "./bad-flag.ts";

const flag = "--security-opt";

/** All values of --security-opt; relative profile paths begin at `directory`. */
export function parseSecurityOptions(values: readonly string[], directory: string): SecurityOptions {
  let seccomp: SeccompChoice | undefined;
  let noNewPrivileges: boolean | undefined;
  let apparmor: string | undefined;
  const label: string[] = [];
  const mask: string[] = [];
  const unmask: string[] = [];
  const procOptions: string[] = [];
  for (const text of values) {
    // Docker takes `:` for `=` as well: no-new-privileges:true, label:disable.
    const [name, value] = nameAndValue(text);
    switch (name) {
      case "seccomp":
        if (value === "unconfined") seccomp = { kind: "unconfined" };
        else if (value === "default" || value === "builtin") seccomp = { kind: "default" };
        else if (value === undefined || value === "") throw badValue(flag, text, "expected seccomp=FILE");
        else seccomp = { kind: "file", path: path.posix.resolve(directory, value) };
        break;
      case "no-new-privileges":
        if (value === undefined || value === "true") noNewPrivileges = true;
        else if (value === "false") noNewPrivileges = false;
        else throw badValue(flag, text, "no-new-privileges is true or false");
        break;
      case "apparmor":
        if (value === undefined || !/^[^\s\0]+$/.test(value)) {
          throw badValue(flag, text, "expected apparmor=PROFILE or apparmor=unconfined");
        }
        apparmor = value;
        break;
      case "label":
        if (value === undefined || !/^(disable|nested|(user|role|type|level|filetype):\S+)$/.test(value)) {
          throw badValue(flag, text, "expected label=disable or label=type:NAME");
        }
        label.push(value);
        break;
      case "mask":
        mask.push(...pathList(text, value, false));
        break;
      case "unmask":
        unmask.push(...pathList(text, value, true));
        break;
      case "proc-opts":
        procOptions.push(...(value ?? "").split(",").filter((option) => option !== ""));
        for (const option of procOptions) {
          if (!/^(hidepid|gid|subset)=[a-z0-9]+$/.test(option)) {
            throw badValue(flag, text, "options of proc(5): hidepid=, gid=, subset=");
          }
        }
        break;
      default:
        throw badValue(
          flag,
          text,
          `unknown option ${JSON.stringify(name)}`,
          "known: seccomp=, no-new-privileges, apparmor=, label=, mask=, unmask=, proc-opts=",
        );
    }
  }
  return {
    ...(seccomp === undefined ? {} : { seccomp }),
    ...(noNewPrivileges === undefined ? {} : { noNewPrivileges }),
    ...(apparmor === undefined ? {} : { apparmor }),
    label,
    mask,
    unmask,
    procOptions,
  };
}

function nameAndValue(text: string): readonly [string, string | undefined] {
  const at = text.search(/[=:]/);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function pathList(text: string, value: string | undefined, all: boolean): readonly string[] {
  const list = (value ?? "").split(":").filter((entry) => entry !== "");
  if (list.length === 0) throw badValue(flag, text, "expected paths, with ':' between them");
  for (const entry of list) {
    if (all && entry.toUpperCase() === "ALL") continue;
    if (!entry.startsWith("/") || entry.includes("\0")) throw badValue(flag, text, "paths must be absolute");
  }
  return list.map((entry) => (entry.startsWith("/") ? path.posix.normalize(entry) : "ALL"));
}

/** `HOST[:CONTAINER][:rwm]` */
export function parseDevice(text: string): DeviceRequest {
  const fields = text.split(":");
  const access = fields.length > 1 && /^[rwm]{1,3}$/.test(fields.at(-1)!) ? fields.pop()! : "rwm";
  const [source, target = source] = fields;
  const good =
    fields.length <= 2 && source?.startsWith("/") && target?.startsWith("/") && !text.includes("\0");
  if (!good || new Set(access).size !== access.length) {
    throw badValue(
      "--device",
      text,
      "expected HOST[:CONTAINER][:rwm]",
      "for example /dev/fuse or /dev/sda:/dev/xvda:r",
    );
  }
  return { source: path.posix.normalize(source!), target: path.posix.normalize(target!), access };
}

/** `c 10:229 rwm`, `b 8:* r`, `a *:* rwm` */
export function parseDeviceRule(text: string): LinuxDeviceRule {
  const match = /^([acb]) (\d{1,7}|\*):(\d{1,7}|\*) ([rwm]{1,3})$/.exec(text.trim());
  if (match === null) {
    throw badValue(
      "--device-cgroup-rule",
      text,
      "expected 'TYPE MAJOR:MINOR ACCESS'",
      "for example 'c 10:229 rwm'",
    );
  }
  const [, type, major, minor, access] = match as unknown as [
    string,
    "a" | "b" | "c",
    string,
    string,
    string,
  ];
  return {
    allow: true,
    type,
    ...(major === "*" ? {} : { major: Number(major) }),
    ...(minor === "*" ? {} : { minor: Number(minor) }),
    access,
  };
}

/** `NAME:ADDRESS`, `NAME=ADDRESS`, `a;b:ADDRESS` */
export function parseAddHost(text: string): readonly { readonly name: string; readonly address: string }[] {
  const at = text.search(/[:=]/);
  const names = text.slice(0, Math.max(at, 0)).split(";");
  const address = text.slice(at + 1).replace(/^\[(.*)\]$/, "$1");
  if (address === "host-gateway") {
    throw badValue("--add-host", text, "there is no gateway without a bridge network", "give an address");
  }
  if (at < 1 || isIP(address) === 0 || names.some((name) => !/^[a-zA-Z0-9_.-]+$/.test(name))) {
    throw badValue("--add-host", text, "expected NAME:ADDRESS", "for example --add-host db:10.0.0.5");
  }
  return names.map((name) => ({ name, address }));
}

/** An address, or `none`: make no resolv.conf. */
export function parseDns(text: string): string {
  if (text !== "none" && isIP(text) === 0) throw badValue("--dns", text, "not an IP address");
  return text;
}

/** `80`, `8000-8010/udp`: each port as `80/tcp`. */
export function parseExpose(text: string): readonly string[] {
  const [, first = "", last = first, protocol = "tcp"] =
    /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === "" || from < 1 || to < from || to > 65_535) {
    throw badValue("--expose", text, "expected PORT[-PORT][/tcp|udp|sctp]", "for example --expose 8080");
  }
  return Array.from({ length: to - from + 1 }, (_, at) => `${from + at}/${protocol}`);
}

export function parseDnsWord(flagName: string, text: string): string {
  if (!/^[^\s\0#;]+$/.test(text)) throw badValue(flagName, text, "spaces and comments cannot stand here");
  return text;
}

/** 0, 4 or 6. Loaded where it is needed: the module takes milliseconds of the start of a run. */
function isIP(text: string): number {
  return process.getBuiltinModule("node:net").isIP(text);
}
