/** `linux` of config.json (config-linux.md); its larger parts have files of their own. */
import { VitrineError } from "../base/mod.ts";
import {
  type ConfigReader,
  idMappings,
  type NamespaceSet,
  numberList,
  requireNamespace,
  withoutNewline,
} from "./config-reader.ts";
import { compact, type Field } from "./field.ts";
import {
  deviceTypes,
  type Linux,
  type LinuxDevice,
  type LinuxIntelRdt,
  type LinuxMemoryPolicy,
  type LinuxNamespace,
  type LinuxNetDevice,
  type LinuxPersonality,
  type LinuxTimeOffset,
  memoryPolicyFlags,
  memoryPolicyModes,
  namespaceTypes,
  personalityDomains,
  rootfsPropagations,
  timeOffsetClocks,
} from "./runtime-config.ts";
import { readResources } from "./validate-resources.ts";
import { readSeccomp } from "./validate-seccomp.ts";
import { readSysctl } from "./validate-sysctl.ts";

export function readNamespaces(field: Field): NamespaceSet {
  const set = new Map<LinuxNamespace["type"], { readonly path: string | undefined }>();
  for (const entry of field.elements()) {
    const type = entry.at("type").oneOf(namespaceTypes);
    if (set.has(type)) {
      entry.at("type").fail(`is ${type} a second time`, { code: "runtime-config-duplicate" });
    }
    set.set(type, { path: entry.at("path").optional(namespacePath) });
  }
  return set;
}

/** Go writes an empty path for a new namespace. */
function namespacePath(field: Field): string | undefined {
  return field.string() === "" ? undefined : field.absolutePath();
}

export function readLinux(reader: ConfigReader, field: Field, namespaces: NamespaceSet): Linux {
  const linux: Linux = compact({
    namespaces: field
      .at("namespaces")
      .optional(() => [...namespaces].map(([type, { path }]) => compact({ type, path }))),
    uidMappings: field.at("uidMappings").optional(idMappings),
    gidMappings: field.at("gidMappings").optional(idMappings),
    timeOffsets: field.at("timeOffsets").optional((offsets) => readTimeOffsets(offsets, namespaces)),
    devices: field.at("devices").optional((devices) => readDevices(reader, devices)),
    netDevices: field.at("netDevices").optional((devices) => readNetDevices(devices, namespaces)),
    cgroupsPath: field.at("cgroupsPath").optional(cgroupsPath),
    resources: field.at("resources").optional(readResources),
    rootfsPropagation: field.at("rootfsPropagation").optional((word) => word.oneOf(rootfsPropagations)),
    seccomp: field.at("seccomp").optional(readSeccomp),
    sysctl: field.at("sysctl").optional((sysctl) => readSysctl(reader, sysctl, namespaces)),
    maskedPaths: field.at("maskedPaths").optional((paths) => containerPaths(paths, namespaces)),
    readonlyPaths: field.at("readonlyPaths").optional((paths) => containerPaths(paths, namespaces)),
    mountLabel: field.at("mountLabel").optional((label) => label.string()),
    intelRdt: field.at("intelRdt").optional((rdt) => readIntelRdt(reader, rdt)),
    memoryPolicy: field.at("memoryPolicy").optional(readMemoryPolicy),
    personality: field.at("personality").optional(readPersonality),
  });
  checkUserNamespace(field, linux, namespaces);
  return linux;
}

/** Maps are of no use without a user namespace. The other way round they are OPTIONAL: who compiles chooses them. */
function checkUserNamespace(field: Field, linux: Linux, namespaces: NamespaceSet): void {
  const user = namespaces.get("user");
  for (const name of ["uidMappings", "gidMappings"] as const) {
    if ((linux[name]?.length ?? 0) > 0 && user === undefined) {
      field.at(name).fail("needs a user namespace in /linux/namespaces", {
        code: "runtime-config-namespace-missing",
      });
    }
  }
}

function readTimeOffsets(field: Field, namespaces: NamespaceSet): Linux["timeOffsets"] {
  const clocks = field.entries();
  const time = namespaces.get("time");
  if (clocks.length > 0 && (time === undefined || time.path !== undefined)) {
    field.fail("needs a new time namespace in /linux/namespaces", {
      code: "runtime-config-namespace-missing",
    });
  }
  const offsets = clocks.map(([name, clock]): [string, LinuxTimeOffset] => {
    if (!timeOffsetClocks.some((known) => known === name)) {
      clock.fail(`is no clock that can be offset: these are ${timeOffsetClocks.join(" and ")}`);
    }
    return [
      name,
      compact({
        secs: clock.at("secs").optional((seconds) => seconds.int64()),
        nanosecs: clock.at("nanosecs").optional((nanoseconds) => nanoseconds.integer(0, 999_999_999)),
      }),
    ];
  });
  return Object.fromEntries(offsets);
}

function readDevices(reader: ConfigReader, field: Field): readonly LinuxDevice[] {
  const seen = new Set<string>();
  return field.array((entry) => {
    const type = entry.at("type").oneOf(deviceTypes);
    const isFifo = type === "p";
    // The kernel's dev_t has 12 bits for the major and 20 for the minor number.
    const number = (name: "major" | "minor", most: number) =>
      isFifo ? undefined : entry.at(name).integer(0, most);
    const device: LinuxDevice = compact({
      type,
      path: entry.at("path").absolutePath(),
      major: number("major", 0xfff),
      minor: number("minor", 0xf_ffff),
      fileMode: entry.at("fileMode").optional((mode) => mode.uint32()),
      uid: entry.at("uid").optional((uid) => uid.uint32()),
      gid: entry.at("gid").optional((gid) => gid.uint32()),
    });
    const identity = `${type === "b" ? "b" : "c"} ${device.major}:${device.minor}`;
    if (!isFifo && seen.has(identity)) {
      reader.warn(entry, "device-duplicate", `is ${identity} a second time`);
    }
    seen.add(identity);
    return device;
  });
}

/** As the kernel's dev_valid_name: at most 15 bytes, none of them a blank, a slash, a colon or NUL. */
function isDeviceName(name: string): boolean {
  return /^[^\s/:\0]+$/.test(name) && Buffer.byteLength(name) <= 15 && name !== "." && name !== "..";
}

function readNetDevices(field: Field, namespaces: NamespaceSet): Readonly<Record<string, LinuxNetDevice>> {
  const taken = new Set<string>();
  return field.record((entry, hostName) => {
    requireNamespace(field, namespaces, "network");
    const name = entry.at("name").optional((text) => text.string());
    const inside = name === undefined || name === "" ? hostName : name;
    if (!isDeviceName(hostName)) {
      entry.fail("is not a name that a network device can have");
    }
    if (!isDeviceName(inside) || /%(?!d)|%d.*%/.test(inside)) {
      entry.at("name").fail("is not a name that a network device can have");
    }
    if (!inside.includes("%d") && taken.has(inside)) {
      entry.at("name").fail("is the name of two devices", { code: "runtime-config-duplicate" });
    }
    taken.add(inside);
    return compact({ name });
  });
}

function cgroupsPath(field: Field): string {
  const path = field.string();
  return path.split("/").includes("..")
    ? field.fail("must not climb by ..", { code: "runtime-config-cgroups-path-invalid" })
    : path;
}

function containerPaths(field: Field, namespaces: NamespaceSet): readonly string[] {
  const paths = field.array((path) => path.absolutePath());
  if (paths.length > 0) {
    requireNamespace(field, namespaces, "mount");
  }
  return paths;
}

function readIntelRdt(reader: ConfigReader, field: Field): LinuxIntelRdt {
  const rdt: LinuxIntelRdt = compact({
    closID: field.at("closID").optional((id) => id.string()),
    schemata: field.at("schemata").optional((lines) => lines.array(withoutNewline)),
    l3CacheSchema: field.at("l3CacheSchema").optional(withoutNewline),
    memBwSchema: field.at("memBwSchema").optional(withoutNewline),
    enableMonitoring: field.at("enableMonitoring").optional((flag) => flag.boolean()),
  });
  const { closID = "", l3CacheSchema = "", memBwSchema = "" } = rdt;
  if (closID !== "/" && (closID.includes("/") || closID === "." || closID === "..")) {
    field.at("closID").fail("must be / or a single directory name");
  }
  if (memBwSchema !== "" && !memBwSchema.startsWith("MB:")) {
    field.at("memBwSchema").fail("must begin with MB:");
  }
  if (l3CacheSchema !== "" && !l3CacheSchema.startsWith("L3:")) {
    reader.warn(field.at("l3CacheSchema"), "intel-rdt-schema-odd", "does not begin with L3:");
  }
  return rdt;
}

/** What it is about comes first, in the words of other runtimes. */
function about<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    const { kind, message, code, operand, hint } = error;
    throw new VitrineError(kind, message.replace(/^([^:]*): /, `$1: ${what}: `), { code, operand, hint });
  }
}

/** How many numbers a list such as 0-3,7 has. */
function countOf(list: string): number {
  const ranges = list.split(",").map((range) => range.split("-").map(Number));
  return ranges.reduce((count, [first = 0, last = first]) => count + last - first + 1, 0);
}

/** set_mempolicy(2): which modes take nodes, which flags go together. */
function readMemoryPolicy(field: Field): LinuxMemoryPolicy {
  const policy: LinuxMemoryPolicy = compact({
    mode: about("invalid memory policy mode", () => field.at("mode").oneOf(memoryPolicyModes)),
    nodes: about("invalid memory policy nodes", () => field.at("nodes").optional(numberList)),
    flags: about("invalid memory policy flag", () =>
      field.at("flags").optional((flags) => flags.array((flag) => flag.oneOf(memoryPolicyFlags))),
    ),
  });
  const { mode, nodes = "", flags = [] } = policy;
  if (nodes !== "" && (mode === "MPOL_DEFAULT" || mode === "MPOL_LOCAL")) {
    const count = countOf(nodes);
    field.at("nodes").fail(`must be empty: the ${mode} mode requires 0 nodes but got ${count}`);
  }
  const mayBeEmpty = ["MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED"].includes(mode);
  if (nodes === "" && !mayBeEmpty) {
    field.at("nodes").fail(`is required with ${mode}`);
  }
  if (flags.includes("MPOL_F_STATIC_NODES") && flags.includes("MPOL_F_RELATIVE_NODES")) {
    field.at("flags").fail("cannot hold both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES");
  }
  return policy;
}

function readPersonality(field: Field): LinuxPersonality {
  const flags = field.at("flags").optional((list) => list.strings());
  if ((flags?.length ?? 0) > 0) {
    field.at("flags").fail("must be empty: the specification defines no flag", {
      kind: "unsupported",
      code: "runtime-config-unsupported",
    });
  }
  return compact({ domain: field.at("domain").oneOf(personalityDomains), flags });
}
