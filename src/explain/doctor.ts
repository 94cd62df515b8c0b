/**
 * `vitrine doctor`: what the machine was found to be, as a list of checks, each with what does not work because of it
 * and the command that mends it. Pure: the facts and trials arrive as values.
 */

import { formatBytes } from "../base/mod.ts";
import { type HostFacts, kernelAtLeast, type TrialResult, type UserTrials } from "../kernel/mod.ts";
import type { Check, Diagnosis, DoctorProbes, Severity, StoreProbeResult } from "./types.ts";

const order: readonly Severity[] = ["ok", "note", "warning", "error"];

/** The checks stand in the order in which a container meets what they are about. */
export function diagnose(probes: DoctorProbes): Diagnosis {
  const { host, user } = probes;
  const isRoot = host.identity.euid === 0;
  const namespaces = isRoot ? [rootNamespaces(host)] : userChecks(host, user, probes.helper);
  const blocked = probes.helper === undefined || namespaces.some(({ severity }) => severity === "error");
  const checks: Check[] = [
    kernel(host),
    helper(probes.helper),
    ...namespaces,
    blocked ? untriedOverlay(host) : overlay(probes, isRoot),
    cgroups(host, isRoot),
    seccomp(host),
    securityModules(probes),
    ...(isRoot ? [] : [runtimeDirectory(user)]),
    store(probes.store),
    space(probes.store),
  ];
  const worst = checks.reduce<Severity>(
    (most, { severity }) => (order.indexOf(severity) > order.indexOf(most) ? severity : most),
    "ok",
  );
  return { checks, worst };
}

/** A check with nothing to mend. */
function fine(
  code: string,
  title: string,
  found: string,
  severity: "ok" | "note" = "ok",
  effect = "",
): Check {
  return { code, title, severity, found, effect, command: "" };
}

function kernel({ kernel: release, arch }: HostFacts): Check {
  const title = "kernel";
  const found = `Linux ${release.text}, ${arch}`;
  if (arch === "other") {
    return {
      code: "machine-unknown",
      title,
      severity: "error",
      found,
      effect: "seccomp filters are known for x86-64 and arm64 only",
      command: "",
    };
  }
  if (!kernelAtLeast(release, 5, 6)) {
    return {
      code: "kernel-too-old",
      title,
      severity: "error",
      found,
      effect: "paths in a root filesystem need openat2 (5.6): no container starts",
      command: "sudo apt full-upgrade && sudo reboot",
    };
  }
  if (!kernelAtLeast(release, 5, 12)) {
    return {
      code: "kernel-old",
      title,
      severity: "warning",
      found,
      effect:
        "overlay without root takes 5.11; read-only binds of whole trees and id-mapped mounts take 5.12",
      command: "sudo apt full-upgrade && sudo reboot",
    };
  }
  return fine("kernel", title, found);
}

function helper(path: string | undefined): Check {
  const title = "helper";
  if (path !== undefined) return fine("helper", title, path);
  return {
    code: "helper-missing",
    title,
    severity: "error",
    found: "vitrine-helper is not there",
    effect: "no container starts",
    command: "make build && sudo make install",
  };
}

/* --- user namespaces --- */

function rootNamespaces({ userNamespace }: HostFacts): Check {
  if (userNamespace.initial)
    return fine(
      "user-namespaces",
      "user namespaces",
      "root of the machine: none needed, --userns=private and auto make them",
    );
  return fine(
    "nested",
    "user namespaces",
    "root of a user namespace, not of the machine",
    "note",
    "devices cannot be made, and mounts only of some kinds",
  );
}

function userChecks(host: HostFacts, user: UserTrials, helperPath: string | undefined): Check[] {
  // Without a helper nothing could be tried, and the helper's own check says so.
  const allowed = userNamespaces(host, helperPath === undefined ? undefined : user.singleId);
  if (allowed.severity === "error") return [allowed];
  return [allowed, idRanges(host, user), idTools(host, user), ...tried(host, user, helperPath)];
}

function userNamespaces({ userNamespace }: HostFacts, trial: TrialResult | undefined): Check {
  const title = "user namespaces";
  const broken = (code: string, found: string, command: string): Check => ({
    code,
    title,
    severity: "error",
    found,
    effect: "without root no container starts",
    command,
  });
  if (trial?.ok === true) return fine("user-namespaces", title, "one was made");
  if (!userNamespace.supported) {
    return broken("userns-unsupported", "this kernel has none (CONFIG_USER_NS)", "sudo vitrine …");
  }
  if (userNamespace.maximum === 0) {
    return broken(
      "userns-limit",
      "user.max_user_namespaces is 0",
      "echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/60-userns.conf && sudo sysctl --system",
    );
  }
  if (userNamespace.unprivilegedClone === false) {
    return broken(
      "userns-clone",
      "kernel.unprivileged_userns_clone is 0",
      "echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-userns.conf && sudo sysctl --system",
    );
  }
  if (userNamespace.apparmorRestricted) {
    return broken(
      "userns-apparmor",
      "kernel.apparmor_restrict_unprivileged_userns is 1",
      "echo kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/60-userns.conf && sudo sysctl --system",
    );
  }
  if (trial === undefined) return fine("user-namespaces", title, "allowed");
  return broken("userns-failed", `making one fails: ${failureText(trial)}`, "");
}

/** 65536 ids are what images expect: nobody is 65534. */
const wantedIds = 65536;

function idRanges({ identity, subordinateIds }: HostFacts, { freeRangeStart }: UserTrials): Check {
  const title = "subordinate ids";
  const name = identity.userName === "" ? String(identity.uid) : identity.userName;
  const range = `${freeRangeStart}-${freeRangeStart + wantedIds - 1}`;
  const command = `sudo usermod --add-subuids ${range} --add-subgids ${range} ${name}`;
  const sum = (ranges: typeof subordinateIds.uids): number =>
    ranges.reduce((all, { count }) => all + count, 0);
  const uids = sum(subordinateIds.uids);
  const gids = sum(subordinateIds.gids);
  if (uids === 0 || gids === 0) {
    return {
      code: "subids-missing",
      title,
      severity: "warning",
      found: `none for ${name} in ${uids === 0 ? "/etc/subuid" : "/etc/subgid"}`,
      effect:
        "containers have one user only: other users, chown and most package managers do not work in them",
      command,
    };
  }
  if (uids < wantedIds - 1 || gids < wantedIds - 1) {
    return {
      code: "subids-few",
      title,
      severity: "warning",
      found: `${uids} uids, ${gids} gids`,
      effect: "files of images with higher ids cannot be unpacked",
      command,
    };
  }
  return fine("subids", title, `${uids} uids, ${gids} gids`);
}

function idTools({ subordinateIds }: HostFacts, { setuidTools, range }: UserTrials): Check {
  const title = "newuidmap, newgidmap";
  const effect = "subordinate ids cannot be used: containers have one user only";
  const { newuidmap, newgidmap } = subordinateIds;
  if (newuidmap === "" || newgidmap === "") {
    return {
      code: "idmap-tools-missing",
      title,
      severity: "warning",
      found: `${newuidmap === "" ? "newuidmap" : "newgidmap"} is not installed`,
      effect,
      command: "sudo apt install uidmap",
    };
  }
  const found = `${newuidmap}, ${newgidmap}`;
  // File capabilities do as well as setuid; the trial tells.
  if (range?.ok !== true && (setuidTools.newuidmap === false || setuidTools.newgidmap === false)) {
    return {
      code: "idmap-tools-unprivileged",
      title,
      severity: "warning",
      found: `${found}: not setuid root`,
      effect,
      command: `sudo chown root:root ${newuidmap} ${newgidmap} && sudo chmod u+s ${newuidmap} ${newgidmap}`,
    };
  }
  return fine("idmap-tools", title, found);
}

/** The ranges and the tools are there: whether they work together only a trial shows. */
function tried(
  { identity }: HostFacts,
  { range, setuidTools }: UserTrials,
  helperPath: string | undefined,
): Check[] {
  if (range === undefined || helperPath === undefined) return [];
  const title = "mapping a range";
  if (range.ok) return [fine("idmap", title, "works")];
  if (setuidTools.newuidmap === false || setuidTools.newgidmap === false) return [];
  return [
    {
      code: "idmap-refused",
      title,
      severity: "warning",
      found: failureText(range),
      effect: "containers have one user only",
      command: `getsubids ${identity.userName}; getsubids -g ${identity.userName}`,
    },
  ];
}

/* --- filesystems --- */

function untriedOverlay({ overlay: { registered } }: HostFacts): Check {
  const found = registered ? "in the kernel, not tried" : "not tried";
  return fine("overlay-untried", "overlay", found, "note", "what stands above must be mended first");
}

function overlay({ host, overlay: trial }: DoctorProbes, isRoot: boolean): Check {
  const title = "overlay";
  if (trial.works) return fine("overlay", title, trial.how);
  const problem = (code: string, command: string): Check => ({
    code,
    title,
    severity: "warning",
    found: `mounting fails: ${trial.detail}${trial.errno === "" ? "" : ` (${trial.errno})`}`,
    effect: "images are copied for each container: slower, and each takes its full size",
    command,
  });
  if (trial.errno === "ENODEV") return problem("overlay-module", "sudo modprobe overlay");
  if (!isRoot && !host.overlay.userxattr) {
    return problem("overlay-userxattr", "sudo apt full-upgrade && sudo reboot");
  }
  return problem("overlay-refused", "vitrine --root DIR … (a directory on ext4, xfs, btrfs or tmpfs)");
}

function store({ root, writable }: StoreProbeResult): Check {
  const title = "store";
  if (writable) return fine("store", title, root);
  return {
    code: "store-not-writable",
    title,
    severity: "error",
    found: `${root} cannot be written`,
    effect: "no image can be loaded, no container made",
    command: `sudo chown -R "$(id -u):$(id -g)" ${root} (or choose another place: vitrine --root DIR …)`,
  };
}

const scarce = 1024n * 1024n * 1024n;

function space({ free, root }: StoreProbeResult): Check {
  const title = "free space";
  if (free === undefined) return fine("space-unknown", title, "not known", "note");
  const found = `${formatBytes(Number(free))} for ${root}`;
  if (free >= scarce) return fine("space", title, found);
  return {
    code: "space-low",
    title,
    severity: "warning",
    found,
    effect: "images of common size do not fit",
    command: "vitrine image prune --all",
  };
}

/* --- resources and security --- */

/** Controllers that resource flags of `run` use. */
const wantedControllers = ["cpu", "cpuset", "io", "memory", "pids"];

function cgroups({ cgroup }: HostFacts, isRoot: boolean): Check {
  const title = "cgroups";
  const noLimits = "limits (--memory, --cpus, --pids-limit) cannot be set";
  if (cgroup.mode === "none") {
    return {
      code: "cgroups-missing",
      title,
      severity: "warning",
      found: "not mounted",
      effect: noLimits,
      command: "sudo mount -t cgroup2 none /sys/fs/cgroup",
    };
  }
  const names = [
    ...cgroup.hierarchies.flatMap(({ controllers }) => controllers),
    ...(cgroup.unified?.controllers ?? []),
  ];
  const found = `${cgroup.mode}${names.length === 0 ? "" : `: ${names.join(" ")}`}`;
  if (isRoot) return rootCgroups(title, found, cgroup);
  if (cgroup.mode !== "v2") {
    return {
      code: "cgroups-v1",
      title,
      severity: "warning",
      found,
      effect: `without root, v1 hierarchies cannot be divided: ${noLimits}`,
      command: `sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub && sudo update-grub && sudo reboot`,
    };
  }
  if (cgroup.unified?.delegated !== true) {
    return {
      code: "cgroups-not-delegated",
      title,
      severity: "warning",
      found: `${found}, not delegated to this user`,
      effect: noLimits,
      command: "systemd-run --user --scope -p Delegate=yes vitrine run …",
    };
  }
  const missing = wantedControllers.filter((name) => !names.includes(name));
  if (missing.length === 0) return fine("cgroups", title, `${found}, delegated`);
  return {
    code: "cgroups-controllers",
    title,
    severity: "note",
    found: `${found}, delegated without ${missing.join(" ")}`,
    effect: `limits of ${missing.join(", ")} cannot be set`,
    command:
      "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload",
  };
}

function rootCgroups(title: string, found: string, cgroup: HostFacts["cgroup"]): Check {
  const writable = cgroup.unified?.writable === true || cgroup.hierarchies.some((each) => each.writable);
  if (writable) return fine("cgroups", title, found);
  return {
    code: "cgroups-read-only",
    title,
    severity: "warning",
    found: `${found}, mounted read-only`,
    effect: "limits cannot be set",
    command: "sudo mount -o remount,rw /sys/fs/cgroup",
  };
}

function seccomp({ seccomp: facts }: HostFacts): Check {
  const title = "seccomp";
  if (!facts.available) {
    return {
      code: "seccomp-missing",
      title,
      severity: "warning",
      found: "this kernel has no filters (CONFIG_SECCOMP_FILTER)",
      effect: "containers reach every system call",
      command: "",
    };
  }
  return fine("seccomp", title, facts.actions.length === 0 ? "there" : facts.actions.join(" "));
}

function securityModules({ host, tools }: DoctorProbes): Check {
  const title = "security modules";
  const { enabled, apparmor, selinux } = host.securityModules;
  const found = enabled.length === 0 ? "none" : enabled.join(" ");
  if (!apparmor && !selinux) {
    return fine(
      "lsm-none",
      title,
      found,
      "note",
      "neither AppArmor nor SELinux stands behind namespaces, capabilities and seccomp",
    );
  }
  if (apparmor && !tools.has("apparmor_parser")) {
    return {
      code: "apparmor-parser-missing",
      title,
      severity: "note",
      found: `${found}; apparmor_parser is not installed`,
      effect: "profiles for --security-opt apparmor= cannot be loaded",
      command: "sudo apt install apparmor",
    };
  }
  return fine("lsm", title, found);
}

function runtimeDirectory({ runtimeDirectory: state }: UserTrials): Check {
  const title = "XDG_RUNTIME_DIR";
  if (state === "private") return fine("runtime-directory", title, "private");
  const found =
    state === "unset"
      ? "not set"
      : state === "missing"
        ? "does not exist"
        : "belongs to somebody else, or is open to others";
  return {
    code: `runtime-directory-${state}`,
    title,
    severity: "warning",
    found,
    effect: "what runs is kept in /run/user/UID or /tmp, and may be gone at logout",
    command: 'sudo loginctl enable-linger "$USER" && export XDG_RUNTIME_DIR=/run/user/$(id -u)',
  };
}

function failureText(trial: TrialResult): string {
  if (trial.ok) return "";
  return trial.errno === "" ? trial.detail : `${trial.detail}: ${trial.errno}`;
}
