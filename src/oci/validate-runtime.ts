/**
 * config.json of the runtime spec (config.md, config-linux.md 1.3.0): everything that can be known to be wrong without
 * touching the machine, before the first side effect.
 */
import { limits, parseJson } from "../base/mod.ts";
import { type ConfigOptions, ConfigReader, type ConfigWarning, type NamespaceSet } from "./config-reader.ts";
import { compact, type Field } from "./field.ts";
import type { LinuxIdMapping, RuntimeConfig } from "./runtime-config.ts";
import { readLinux, readNamespaces } from "./validate-linux.ts";
import { readHooks, readMounts, readRoot } from "./validate-mounts.ts";
import { readProcess } from "./validate-process.ts";

export interface ValidatedConfig {
  readonly config: RuntimeConfig;
  readonly warnings: readonly ConfigWarning[];
}

/** The bytes of a config.json. Errors: those of `parseJson` and of `validateRuntimeConfig`. */
export function parseRuntimeConfig(bytes: Uint8Array, options: ConfigOptions = {}): ValidatedConfig {
  const value = parseJson(bytes, {
    maxBytes: limits.runtimeConfigBytes,
    name: "config.json",
    exactIntegers: true,
  });
  return validateRuntimeConfig(value, options);
}

/**
 * A parsed config.json of unknown origin; 64-bit integers may be `bigint` or, where exact, `number`. The result holds
 * known fields only, always in the same order.
 * Errors (invalid unless said): `runtime-config-invalid` and, more exactly, `runtime-config-version-unsupported`
 * (unsupported), `runtime-config-platform-unsupported` (unsupported), `runtime-config-unsupported` (unsupported),
 * `runtime-config-duplicate`, `runtime-config-namespace-missing`, `runtime-config-mapping-missing`,
 * `runtime-config-mapping-invalid`, `runtime-config-sysctl-invalid`, `runtime-config-sysctl-host`,
 * `runtime-config-seccomp-invalid`, `runtime-config-cgroups-path-invalid`, `runtime-config-unified-invalid`. The operand
 * is the JSON pointer of the field.
 */
export function validateRuntimeConfig(value: unknown, options: ConfigOptions = {}): ValidatedConfig {
  const reader = new ConfigReader(value, options);
  const { root } = reader;
  const ociVersion = readVersion(reader, root.at("ociVersion"));
  requireLinux(root);
  const linux = root.at("linux");
  const namespaces: NamespaceSet =
    linux.optional((present) => present.at("namespaces").optional(readNamespaces)) ?? new Map();
  const config: RuntimeConfig = compact({
    ociVersion,
    process: root.at("process").optional((process) => readProcess(reader, process)),
    root: readRoot(root.at("root")),
    hostname: root.at("hostname").optional((name) => hostName(name, namespaces)),
    domainname: root.at("domainname").optional((name) => hostName(name, namespaces)),
    mounts: root.at("mounts").optional((mounts) => readMounts(reader, mounts, namespaces)),
    hooks: root.at("hooks").optional(readHooks),
    annotations: root.at("annotations").optional(readAnnotations),
    linux: linux.optional((present) => readLinux(reader, present, namespaces)),
  });
  requireMappedUser(root, config, namespaces);
  return { config, warnings: reader.warnings };
}

/** semver.org, 2.0.0; the groups are major and minor. */
const semver =
  /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(?:0|[1-9]\d{0,8})(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;
const newestMinor = 3;

/** config.md#specification-version: compatible within the major version. A newer minor may have fields we ignore. */
function readVersion(reader: ConfigReader, field: Field): string {
  const version = field.string();
  const match = version.length > 128 ? null : semver.exec(version);
  if (match === null) {
    return field.fail("is not a version of the form 1.3.0 (semver.org)");
  }
  if (match[1] !== "1") {
    field.fail(`is ${version}; vitrine knows the runtime specification 1.0 to 1.${newestMinor}`, {
      kind: "unsupported",
      code: "runtime-config-version-unsupported",
    });
  }
  if (Number(match[2]) > newestMinor) {
    reader.warn(field, "version-newer", `is newer than 1.${newestMinor}: what that version added is ignored`);
  }
  return version;
}

function requireLinux(root: Field): void {
  const others = ["windows", "solaris", "freebsd", "zos", "vm"];
  const other = others.find((name) => root.at(name).present);
  if (other !== undefined && !root.at("linux").present) {
    root.at(other).fail("is for another platform: this is a runtime of Linux containers", {
      kind: "unsupported",
      code: "runtime-config-platform-unsupported",
    });
  }
}

/** `__NEW_UTS_LEN` of the kernel. */
const longestHostName = 64;

function hostName(field: Field, namespaces: NamespaceSet): string | undefined {
  const name = field.string();
  if (name === "") return undefined;
  if (Buffer.byteLength(name) > longestHostName) {
    field.fail(`has more than ${longestHostName} bytes`);
  }
  if (!namespaces.has("uts")) {
    field.fail("needs a uts namespace in /linux/namespaces: without one it would rename the host", {
      code: "runtime-config-namespace-missing",
    });
  }
  return name;
}

/** config.md#annotations */
function readAnnotations(field: Field): Readonly<Record<string, string>> {
  return field.record((value, name) => (name === "" ? field.fail("has an empty key") : value.text()));
}

/** An id that the new user namespace does not map cannot be taken: setresuid(2) would fail at the very end. */
function requireMappedUser(root: Field, config: RuntimeConfig, namespaces: NamespaceSet): void {
  const user = namespaces.get("user");
  const { process, linux } = config;
  if (user === undefined || user.path !== undefined || process === undefined) {
    return;
  }
  const field = root.at("process").at("user");
  const check = (id: number, mappings: readonly LinuxIdMapping[], place: Field, name: string) => {
    if (
      mappings.length > 0 &&
      !mappings.some(({ containerID, size }) => id >= containerID && id < containerID + size)
    ) {
      place.fail(`is ${id}, which /linux/${name} does not map`, { code: "runtime-config-mapping-missing" });
    }
  };
  check(process.user.uid, linux?.uidMappings ?? [], field.at("uid"), "uidMappings");
  check(process.user.gid, linux?.gidMappings ?? [], field.at("gid"), "gidMappings");
  process.user.additionalGids?.forEach((gid, index) => {
    check(gid, linux?.gidMappings ?? [], field.at("additionalGids").elements()[index]!, "gidMappings");
  });
}
