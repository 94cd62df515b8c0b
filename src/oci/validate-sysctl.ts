/** `linux.sysctl` of config.json: only kernel parameters that belong to one of the container's namespaces. */
import { type ConfigReader, type NamespaceSet, requireNamespace } from "./config-reader.ts";
import type { Field } from "./field.ts";
import type { NamespaceType, RuntimeConfig } from "./runtime-config.ts";

const ipcParameters = new Set([
  "kernel/auto_msgmni",
  "kernel/msg_next_id",
  "kernel/msgmax",
  "kernel/msgmnb",
  "kernel/msgmni",
  "kernel/sem",
  "kernel/sem_next_id",
  "kernel/shm_next_id",
  "kernel/shm_rmid_forced",
  "kernel/shmall",
  "kernel/shmmax",
  "kernel/shmmni",
]);

/**
 * The path below /proc/sys of a parameter, or undefined where the name is none. As sysctl(8): the first separator
 * found, `.` or `/`, is the one used, the other then stands for itself (`net/ipv4/conf/eth0.100/forwarding`) or is
 * swapped (`net.ipv4.conf.eth0/100.forwarding`).
 */
export function sysctlPath(name: string): string | undefined {
  const first = /[./]/.exec(name)?.[0];
  const path = first === "/" ? name : name.replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));
  const parts = path.split("/");
  const valid =
    parts.length > 1 && parts.every((part) => /^[A-Za-z0-9_.@:-]+$/.test(part) && !/^\.+$/.test(part));
  return valid ? path : undefined;
}

/** The namespace a parameter belongs to; undefined: it is the machine's. */
export function sysctlNamespace(path: string): NamespaceType | undefined {
  if (path.startsWith("net/")) return "network";
  if (path.startsWith("fs/mqueue/") || ipcParameters.has(path)) return "ipc";
  if (path.startsWith("user/")) return "user";
  return path === "kernel/domainname" || path === "kernel/hostname" ? "uts" : undefined;
}

export function readSysctl(
  reader: ConfigReader,
  field: Field,
  namespaces: NamespaceSet,
): NonNullable<RuntimeConfig["linux"]>["sysctl"] {
  const seen = new Set<string>();
  return field.record((member, name) => {
    const path = sysctlPath(name);
    if (path === undefined) {
      return member.fail("is not a name such as net.ipv4.ip_forward", {
        code: "runtime-config-sysctl-invalid",
      });
    }
    if (seen.has(path)) {
      member.fail(`sets ${path} a second time`, { code: "runtime-config-duplicate" });
    }
    seen.add(path);
    const namespace = sysctlNamespace(path);
    if (namespace === undefined) {
      return member.fail("is not of a namespace: it would change the host", {
        code: "runtime-config-sysctl-host",
        hint: "parameters that can be set are net.*, fs.mqueue.*, user.*, kernel.shm*, kernel.msg*, kernel.sem",
      });
    }
    requireNamespace(member, namespaces, namespace);
    refuseConflict(reader, member, path);
    return member.string();
  });
}

/** Two ways to set one name: the order would decide, but where both say the same. */
function refuseConflict(reader: ConfigReader, member: Field, path: string): void {
  const field =
    path === "kernel/hostname" ? "hostname" : path === "kernel/domainname" ? "domainname" : undefined;
  if (field === undefined || !reader.root.at(field).present) return;
  if (field === "hostname" || reader.root.at(field).string() !== member.string()) {
    member.fail(`and /${field} set the same name`, { code: "runtime-config-duplicate" });
  }
}
