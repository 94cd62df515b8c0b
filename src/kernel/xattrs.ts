/** Extended attributes that mean something to this machine alone: no archive brings them in or takes them out. */

/** Marks of overlayfs itself, also in their escaped form (`trusted.overlay.overlay.opaque`). */
export function isOverlayMark(name: string): boolean {
  return name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.");
}

/** Labels that a host's policy gives: those of an image would be wrong, or refused. */
export function isHostsOwn(name: string): boolean {
  return hostsOwn.has(name);
}

const hostsOwn: ReadonlySet<string> = new Set([
  "security.selinux",
  "security.apparmor",
  "security.ima",
  "security.evm",
  "security.SMACK64",
  "system.nfs4_acl",
]);
