/** /etc/hosts, /etc/hostname and /etc/resolv.conf, made for the container and bound into it; and its sysctls. */
import { quoted, VitrineError } from "../../base/mod.ts";
import { type Mount, sysctlNamespace, sysctlPath } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import { conflict } from "../flags/bad-flag.ts";
import { lastContiguousId } from "../id-maps.ts";
import { inUserNamespace, type SpecInput } from "./input.ts";
import { isPrivate } from "./namespaces.ts";
import { byDefault, byFlag, byHost, type Notebook, type Sourced, sourced } from "./notebook.ts";
import { containerHostname } from "./process.ts";

/** A file to be written before the container starts. */
export interface GeneratedFile {
  /** Absolute: RUNROOT/containers/ID/etc/NAME. */
  readonly path: string;
  readonly text: string;
  /** `text` stands for bytes. */
  readonly encoding?: "base64";
}

export interface FilesPart {
  readonly files: readonly GeneratedFile[];
  readonly mounts: readonly Sourced<Mount>[];
}

/** `passwd` of user.ts comes the same way. */
export function generatedFiles(input: SpecInput, passwd: string | undefined): FilesPart {
  const { options } = input;
  const files: GeneratedFile[] = [];
  const mounts: Sourced<Mount>[] = [];
  const add = (
    name: string,
    { value, origin }: Sourced<string>,
    how: Pick<GeneratedFile, "encoding"> = {},
  ): void => {
    const path = `${input.runDirectory}/etc/${name}`;
    files.push({ path, text: value, ...how });
    const access = options.readOnly ? "ro" : "rw";
    const mount: Mount = {
      destination: `/etc/${name}`,
      type: "bind",
      source: path,
      options: ["bind", defaults.bindPropagation.value, ...defaults.bindFlags.value, "noexec", access],
    };
    mounts.push(sourced(mount, origin));
  };
  if (!options.dns.includes("none")) add("resolv.conf", resolvConf(input));
  if (options.hostnameFile) {
    const { value, origin } = containerHostname(input);
    add("hostname", sourced(`${value}\n`, origin));
  }
  if (options.hostsFile) add("hosts", hosts(input));
  if (passwd !== undefined) add("passwd", sourced(passwd, byDefault));
  const zone = timezone(input);
  if (zone !== undefined) add("localtime", sourced(zone, byFlag("--tz")), { encoding: "base64" });
  return { files, mounts };
}

/** The zone's rules as the host has them now, in base64. Error: `timezone-not-found`. */
function timezone({ options, readHostBytes }: SpecInput): string | undefined {
  if (options.timezone === undefined) return undefined;
  const { name, file } = options.timezone;
  const rules = readHostBytes(file);
  // tzfile(5)
  if (rules !== undefined && Buffer.from(rules.subarray(0, 4)).toString("latin1") === "TZif") {
    return Buffer.from(rules).toString("base64");
  }
  const why = rules === undefined ? `there is no ${file}` : `${file} holds no time zone`;
  throw new VitrineError("not-found", `unknown time zone ${quoted(name)}: ${why}`, {
    code: "timezone-not-found",
    operand: "--tz",
    hint: "a name below /usr/share/zoneinfo, as Europe/Berlin (package tzdata), or 'local' for the host's",
  });
}

function hosts(input: SpecInput): Sourced<string> {
  const { addHosts, network, hostname, domainname, uts } = input.options;
  const shared = input.options.sharedNamespaces?.networkFiles?.hosts;
  const added = addHosts.map(({ name, address }) => `${address}\t${name}\n`).join("");
  if (shared !== undefined) return sourced(shared + added, byFlag("--network"));
  if (network?.mode === "host") {
    const ofHost = input.readHostFile("/etc/hosts");
    if (ofHost !== undefined) {
      const text = ofHost === "" || ofHost.endsWith("\n") ? ofHost : `${ofHost}\n`;
      return sourced(text + added, byFlag("--network"));
    }
  }
  const { value: name } = containerHostname(input);
  // Its own name must lead somewhere: Java and others look it up at their start.
  const own =
    uts?.mode === "host"
      ? ""
      : `127.0.0.1\t${domainname === undefined ? "" : `${name}.${domainname} `}${name}\n`;
  const text = `${defaults.hosts.value.join("\n")}\n${own}${added}`;
  const flag = addHosts.length > 0 ? "--add-host" : hostname === undefined ? undefined : "--hostname";
  return sourced(text, flag === undefined ? byDefault : byFlag(flag));
}

function resolvConf(input: SpecInput): Sourced<string> {
  const { dns, dnsSearch, dnsOptions, network, sharedNamespaces } = input.options;
  const asked = dns.length + dnsSearch.length + dnsOptions.length > 0;
  const ofHost = network?.mode === "host" ? (input.readHostFile("/etc/resolv.conf") ?? "") : "";
  const shared = sharedNamespaces?.networkFiles?.resolvConf;
  if (!asked) {
    if (shared !== undefined) return sourced(shared, byFlag("--network"));
    if (network?.mode === "host") return sourced(ofHost, byFlag("--network"));
    return sourced("# there is no network\n", byDefault);
  }
  const lines = ofHost.split("\n").filter((line) => {
    const word = line.trim().split(/\s/)[0];
    if (word === "nameserver") return dns.length === 0;
    if (word === "search" || word === "domain") return dnsSearch.length === 0;
    return word === "options" ? dnsOptions.length === 0 : false;
  });
  lines.push(...dns.map((address) => `nameserver ${address}`));
  // `.` stands for an empty list.
  const search = dnsSearch.filter((domain) => domain !== ".");
  if (search.length > 0) lines.push(`search ${search.join(" ")}`);
  if (dnsOptions.length > 0) lines.push(`options ${dnsOptions.join(" ")}`);
  const flag = dns.length > 0 ? "--dns" : dnsSearch.length > 0 ? "--dns-search" : "--dns-option";
  return sourced(`${lines.join("\n")}\n`, byFlag(flag));
}

/** linux.sysctl. Error: `flag-conflict` for one that is not the container's own. */
export function sysctls(input: SpecInput, notebook: Notebook): Readonly<Record<string, string>> {
  const list = new Map<string, Sourced<string>>();
  if (isPrivate(input, "network")) {
    for (const [name, value] of Object.entries(defaults.sysctls.value)) {
      list.set(
        name,
        name === "net.ipv4.ping_group_range" ? pingGroups(input, value) : sourced(value, byDefault),
      );
    }
  }
  for (const [name, value] of input.options.sysctls) {
    requireOwn(input, name);
    list.set(name, sourced(value, byFlag("--sysctl")));
  }
  return notebook.record("/linux/sysctl", [...list]);
}

/** The kernel refuses a range with a gid that the user namespace cannot name. */
function pingGroups(input: SpecInput, value: string): Sourced<string> {
  const { ids } = input.idChoice;
  if (ids.kind === "none") return sourced(value, byDefault);
  const origin = byHost("the gids that are mapped");
  const last = lastContiguousId(ids.gids);
  const [first] = ids.gids;
  if (last >= 0 || first === undefined) return sourced(`0 ${Math.max(last, 0)}`, origin);
  return sourced(`${first.containerID} ${first.containerID + first.size - 1}`, origin);
}

function requireOwn(input: SpecInput, name: string): void {
  const type = sysctlNamespace(sysctlPath(name) ?? "");
  const own =
    type === "user"
      ? inUserNamespace(input)
      : (type === "network" || type === "ipc" || type === "uts") && isPrivate(input, type);
  if (own) return;
  if (type === undefined) {
    throw conflict(
      "--sysctl",
      `${name} is not of a namespace: it would change the host`,
      "set it on the host with sysctl(8)",
    );
  }
  throw conflict(
    "--sysctl",
    `${name} would change the host, whose ${type} namespace the container shares`,
    `give the container a ${type} namespace of its own`,
  );
}
