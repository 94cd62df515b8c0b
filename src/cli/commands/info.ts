import { printable } from "../../base/mod.ts";
import type { HostFacts } from "../../kernel/mod.ts";
import { humanSize } from "../format/human.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { compileTemplate } from "../template/mod.ts";
import { version } from "../version.ts";

export const command = defineCommand({
  description: "Shows what vitrine found: the host, where the store is and what is in it.",
  options: {
    format: {
      type: "string",
      short: "f",
      value: "FORMAT",
      help: "'json', or a Go template such as '{{.Store.Root}}'",
    },
  },
  positionals: [],
  async run({ options, context }) {
    const facts = await gather(context);
    if (options.format === "json") context.out(`${jsonText(facts, 2)}\n`);
    else if (options.format === undefined) context.out(outline(facts, ""));
    else context.out(`${compileTemplate(options.format)(facts, context.stdoutIsTerminal)}\n`);
  },
});

async function gather(context: Context) {
  const host = await context.host();
  const store = await context.store();
  const usage = store.diskUsage();
  const { root, runroot } = context.paths();
  return {
    Host: describeHost(host),
    Store: {
      Root: root,
      RunRoot: runroot,
      Driver: context.globals.storageDriver,
      Images: new Set(usage.images.map(({ row }) => row.id)).size,
      Containers: usage.containers.length,
      Size: humanSize(usage.blobBytes + usage.layerBytes, 4),
    },
    Version: { Version: version, Helper: context.expectedHelper() },
  };
}

function describeHost(host: HostFacts) {
  const { identity, userNamespace, subordinateIds, cgroup, securityModules, seccomp, overlay } = host;
  return {
    Kernel: host.kernel.text,
    Arch: host.arch,
    OS: process.platform,
    CPUs: host.cpus,
    MemTotal: humanSize(process.getBuiltinModule("node:os").totalmem(), 4),
    User: identity.userName === "" ? String(identity.euid) : identity.userName,
    Rootless: identity.euid !== 0,
    Cgroups: {
      Mode: cgroup.mode,
      Controllers: [
        ...new Set([
          ...cgroup.hierarchies.flatMap(({ controllers }) => controllers),
          ...(cgroup.unified?.controllers ?? []),
        ]),
      ],
      Delegated: cgroup.unified?.delegated ?? false,
    },
    UserNamespaces: {
      Allowed: userNamespace.unprivilegedAllowed,
      SubordinateUids: subordinateIds.uids.map(({ start, count }) => `${start}:${count}`),
      SubordinateGids: subordinateIds.gids.map(({ start, count }) => `${start}:${count}`),
      Newuidmap: subordinateIds.newuidmap,
      Newgidmap: subordinateIds.newgidmap,
    },
    Security: {
      Seccomp: seccomp.available,
      AppArmor: securityModules.apparmor,
      SELinux: securityModules.selinux,
    },
    Overlay: { Registered: overlay.registered, UserXattr: overlay.userxattr },
  };
}

/** Nested values as indented `Name: value` lines. */
function outline(value: object, indent: string): string {
  return Object.entries(value)
    .map(([name, inner]: [string, unknown]) => {
      if (Array.isArray(inner))
        return `${indent}${name}: ${printable(inner.length === 0 ? "none" : inner.join(" "))}\n`;
      if (inner !== null && typeof inner === "object")
        return `${indent}${name}:\n${outline(inner, `${indent}  `)}`;
      return `${indent}${name}: ${inner === "" ? "none" : printable(String(inner))}\n`;
    })
    .join("");
}
