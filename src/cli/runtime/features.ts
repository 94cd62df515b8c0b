/** features.md of the runtime spec: what is truly honoured (docs/runtime-coverage.md), on this machine. */
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

export function featuresOf(host: HostFacts, capabilities: readonly string[]) {
  const v2 = host.cgroup.unified !== undefined;
  const v1 = host.cgroup.hierarchies.some(({ controllers }) => controllers.length > 0);
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: runtimeSpecVersion,
    hooks: hookNames,
    mountOptions,
    linux: {
      namespaces: namespaceTypes,
      capabilities,
      cgroup: { v1, v2, systemd: false, systemdUser: false, rdma: true },
      seccomp: {
        enabled: host.seccomp.available,
        actions: seccompActions,
        operators: seccompOperators,
        archs: architectures,
        knownFlags: seccompFlags,
        supportedFlags: seccompFlags,
      },
      apparmor: { enabled: host.securityModules.apparmor },
      selinux: { enabled: host.securityModules.selinux },
      intelRdt: { enabled: false },
      memoryPolicy: {
        modes: Object.keys(memoryPolicyModeNumbers),
        flags: Object.keys(memoryPolicyFlagBits),
      },
      mountExtensions: { idmap: { enabled: kernelAtLeast(host.kernel, 5, 12) } },
      netDevices: { enabled: true },
    },
    annotations: {
      "io.github.vitrine.version": version,
      "io.github.vitrine.mount-api": String(kernelAtLeast(host.kernel, 5, 12)),
    },
    potentiallyUnsafeConfigAnnotations: [],
  };
}
