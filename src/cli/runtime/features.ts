/**
 * features.md and features-linux.md of the runtime spec: what is truly honoured (docs/runtime-coverage.md). What is
 * `enabled` does not say that this machine has it, but for what the kernel must know: capabilities and seccomp flags.
 */
import {
  type HostFacts,
  kernelAtLeast,
  memoryPolicyFlagBits,
  memoryPolicyModeNumbers,
} from "../../kernel/mod.ts";
import {
  hookNames,
  namespaceTypes,
  runtimeSpecVersion,
  seccompActions,
  seccompFlags,
  seccompOperators,
} from "../../oci/mod.ts";
import { version } from "../version.ts";

/** What the compiler of filters makes code for (src/kernel/seccomp). */
const architectures = [
  "SCMP_ARCH_AARCH64",
  "SCMP_ARCH_ARM",
  "SCMP_ARCH_X32",
  "SCMP_ARCH_X86",
  "SCMP_ARCH_X86_64",
];

/** Every word that `parseMountOptions` does not leave to the filesystem. */
export const mountOptions: readonly string[] =
  "async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime remount rexec ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable".split(
    " ",
  );

/** seccomp(2): the first kernel that takes the flag. */
const since: Readonly<Record<string, readonly [number, number]>> = {
  SECCOMP_FILTER_FLAG_LOG: [4, 14],
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: [4, 17],
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: [5, 19],
};

export function featuresOf(host: HostFacts, capabilities: readonly string[]) {
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: runtimeSpecVersion,
    hooks: hookNames,
    mountOptions,
    linux: {
      namespaces: namespaceTypes,
      capabilities,
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: true, rdma: true },
      seccomp: {
        enabled: true,
        actions: seccompActions,
        operators: seccompOperators,
        archs: architectures,
        knownFlags: seccompFlags,
        supportedFlags: seccompFlags.filter((flag) =>
          kernelAtLeast(host.kernel, ...(since[flag] ?? [3, 17])),
        ),
      },
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: true, schemata: true, monitoring: true },
      memoryPolicy: {
        modes: Object.keys(memoryPolicyModeNumbers),
        flags: Object.keys(memoryPolicyFlagBits),
      },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: true },
    },
    annotations: {
      // runc's name, which crun gives as well.
      "org.opencontainers.runc.checkpoint.enabled": "true",
      "io.github.vitrine.version": version,
      "io.github.vitrine.mount-api": String(kernelAtLeast(host.kernel, 5, 12)),
    },
    potentiallyUnsafeConfigAnnotations: [],
  };
}
