/**
 * The AppArmor profile of containers, and how it gets into the kernel. AppArmor forgets profiles at reboot and when its
 * service reloads, so that it is looked at before every start of root's. Another user cannot load it, but gets it where it is loaded.
 */
import { VitrineError } from "../base/mod.ts";
import type { HostFacts } from "../kernel/mod.ts";
import { defaults } from "./defaults.ts";

/**
 * What capabilities, namespaces and masked paths refuse already is refused here once more, for the day that one of
 * them has a hole. apparmor.d(5).
 */
export const profileText = `profile ${defaults.apparmor.value} flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  unix,
  umount,
  # Mounts are the runtime's, and are made before the profile holds.
  deny mount,
  deny pivot_root,
  # Sockets of the kernel's crypto interface: a way to its bugs, and to the page cache.
  deny network alg,

  # The monitor is unconfined; containers cannot signal or trace each other or the host.
  signal (receive) peer=unconfined,
  signal (send, receive) peer=${defaults.apparmor.value},
  ptrace (trace, read, tracedby, readby) peer=${defaults.apparmor.value},

  deny /proc/* w,
  deny /proc/{acpi,asound,bus,driver,fs,irq,scsi,sys,tty}/** wklx,
  deny /proc/{kcore,kmem,mem,sysrq-trigger} rwklx,

  # /sys is read-only but for a cgroup tree of the container's own.
  deny /sys/{block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power}/** wklx,
  deny /sys/fs/{[^c],c[^g],cg[^r]}*/** wklx,
  deny /sys/{firmware,kernel/security,kernel/debug,kernel/tracing,devices/virtual/powercap}/** rwklx,
}
`;

const parsers = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser", "/usr/bin/apparmor_parser"];

/** The program that loads profiles; a machine without it is one that does not use AppArmor, as docker sees it. */
export function findParser(exists: (path: string) => boolean): string | undefined {
  return parsers.find(exists);
}

/** What loading needs of the machine. */
export interface ProfileLoader {
  readonly host: Pick<HostFacts, "identity" | "securityModules">;
  readonly exists: (path: string) => boolean;
  /** Runs the parser with the text as its input; its complaint, or undefined when it went well. */
  readonly load: (parser: string, text: string) => string | undefined;
}

/** Loads the default profile where it is not and can be: as root, with securityfs. Error: `apparmor-profile-not-loaded`. */
export function ensureDefaultProfile(loader: ProfileLoader): void {
  const { identity, securityModules } = loader.host;
  const loaded = securityModules.apparmorProfiles;
  if (identity.euid !== 0 || loaded === undefined || loaded.includes(defaults.apparmor.value)) return;
  const parser = findParser(loader.exists);
  const complaint = parser === undefined ? undefined : loader.load(parser, profileText);
  if (complaint === undefined) return;
  throw new VitrineError("unavailable", `cannot load the AppArmor profile of containers: ${complaint}`, {
    code: "apparmor-profile-not-loaded",
    operand: defaults.apparmor.value,
    hint: "run without it: --security-opt apparmor=unconfined",
  });
}

/** `ProfileLoader.load` on this machine. */
export function loadProfile(parser: string, text: string): string | undefined {
  // Loaded where it is needed: its start costs a millisecond of every run.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const done = spawnSync(parser, ["--replace", "--skip-cache"], { input: text, env: {}, timeout: 30_000 });
  if (done.status === 0) return undefined;
  return done.error?.message ?? (done.stderr.toString("utf8").trim().split("\n").at(-1) || "it failed");
}
