/**
 * The environment of a process, completed as runc and crun do: of two variables of one name the last counts, and HOME
 * is set. config.md#process says nothing of either, but programs of images rely on them.
 */
import { decodeText, readBeneath } from "../../base/mod.ts";
import type { Process, RuntimeConfig } from "../../oci/mod.ts";

/** `passwd` is asked for /etc/passwd of the container where HOME is missing or empty. */
export function completeEnvironment(process: Process, passwd: () => Uint8Array | undefined): Process {
  const { env } = process;
  if (env === undefined) return process;
  const last = new Map(env.map((one) => [one.slice(0, one.indexOf("=")), one]));
  const unique = env.filter((one, index) => {
    const name = one.slice(0, one.indexOf("="));
    return last.get(name) === one && env.lastIndexOf(one) === index;
  });
  if ((last.get("HOME") ?? "HOME=") !== "HOME=") return { ...process, env: unique };
  const home = homeOf(process.user.uid, passwd());
  return { ...process, env: [...unique.filter((one) => one !== "HOME="), `HOME=${home}`] };
}

/** /etc/passwd as the container will see it: a bind mount of the file comes before the root filesystem's own. */
export function passwdOf({ mounts }: RuntimeConfig, rootfs: string): Uint8Array | undefined {
  const bound = mounts?.findLast(({ destination }) => destination === "/etc/passwd")?.source;
  return bound?.startsWith("/") ? readBeneath("/", bound) : readBeneath(rootfs, "/etc/passwd");
}

function homeOf(uid: number, passwd: Uint8Array | undefined): string {
  for (const line of passwd === undefined ? [] : decodeText(passwd).split("\n")) {
    const [, , id, , , home] = line.split(":");
    if (id === String(uid) && home !== undefined) return home === "" || home.includes("\0") ? "/" : home;
  }
  return "/";
}
