/**
 * Mounts over /proc, as runc's checkProcMount: what stands there decides how the kernel treats the container (LSM
 * profiles are set, paths masked and sysctls written through it), so only a procfs may cover it, and below it only files
 * that LXCFS and its like stand in for. The helper refuses in addition what reaches a procfs through a link.
 */
import { invalid } from "./draft.ts";
import { isBind, type MountEntry } from "./mount-entry.ts";

const emulated: readonly string[] = [
  "/proc/cpuinfo",
  "/proc/diskstats",
  "/proc/meminfo",
  "/proc/stat",
  "/proc/swaps",
  "/proc/uptime",
  "/proc/loadavg",
  "/proc/slabinfo",
  "/proc/sys/kernel/ns_last_pid",
  "/proc/sys/crypto/fips_enabled",
];

/** Errors: `mount-over-proc`, `mount-inside-proc`. */
export function checkProcMount(entry: MountEntry): void {
  const { destination } = entry;
  const pointer = `${entry.pointer}/destination`;
  if (destination === "/proc") {
    // The host's own procfs, where a user namespace may not mount one.
    if (entry.type === "proc" || (isBind(entry) && entry.source === "/proc")) return;
    throw invalid(
      "mount-over-proc",
      pointer,
      "/proc cannot be covered by anything but a procfs",
      "mount it elsewhere, for example at /mnt",
    );
  }
  if (!destination.startsWith("/proc/") || emulated.includes(destination)) return;
  throw invalid(
    "mount-inside-proc",
    pointer,
    `${JSON.stringify(destination)} cannot be mounted because it is inside /proc`,
    `only these may be covered: ${emulated.join(", ")}`,
  );
}
