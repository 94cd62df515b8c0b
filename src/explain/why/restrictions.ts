/** What a container may not do, as a list of things that can be lifted one at a time from its config.json. */
import { capabilityNames } from "../../kernel/mod.ts";
import type { LinuxCapabilities, LinuxSeccomp, Mount, RuntimeConfig } from "../../oci/mod.ts";
import { capabilityCost, costs } from "./costs.ts";

const restrictionKinds = [
  "capability",
  "no-new-privileges",
  "seccomp",
  "read-only",
  "masked-path",
  "mount-option",
  "limit",
  "device",
  "network",
  "lsm",
  "user",
] as const;
export type RestrictionKind = (typeof restrictionKinds)[number];

/** One thing that can be lifted. */
export interface Restriction {
  readonly kind: RestrictionKind;
  /** `CAP_NET_ADMIN`, `mount`, `/proc/sys`, `RLIMIT_NOFILE`. */
  readonly item: string;
  /** What lifts it on the command line of `run`. */
  readonly flag: string;
  /** What that costs, in one line. */
  readonly cost: string;
}

export interface RestrictionGroup {
  readonly kind: RestrictionKind;
  readonly items: readonly Restriction[];
  /** The config without these of its items. */
  readonly lift: (config: RuntimeConfig, items: readonly Restriction[]) => RuntimeConfig;
}

export interface LiftFacts {
  /** All that can be given here. */
  readonly capabilities: readonly string[];
  /** The default profile for a bounding set; undefined: the container has a profile of its own. */
  readonly profileFor: ((capabilities: readonly string[]) => LinuxSeccomp) | undefined;
  /** Names of the machine's system calls. */
  readonly systemCalls: readonly string[];
  /** Device nodes of the host that the container lacks. */
  readonly devices: readonly {
    readonly path: string;
    readonly type: "c" | "b";
    readonly major: number;
    readonly minor: number;
  }[];
  /** Mounts of the user's own files: theirs are left as they are unless writes are allowed. */
  readonly isUsers: (mount: Mount) => boolean;
  readonly allowWrites: boolean;
}

/** Only groups that have an item. The order is that of the least cost first. */
export function restrictionsOf(config: RuntimeConfig, facts: LiftFacts): readonly RestrictionGroup[] {
  return [
    mountOptions(config),
    readOnly(config, facts),
    limits(config),
    user(config),
    capabilities(config, facts),
    seccomp(config, facts),
    maskedPaths(config),
    devices(config, facts),
    network(config),
    noNewPrivileges(config),
    securityModules(config),
  ].filter(({ items }) => items.length > 0);
}

const has = (items: readonly Restriction[], item: string): boolean => items.some((one) => one.item === item);

function withLinux(
  config: RuntimeConfig,
  linux: Partial<NonNullable<RuntimeConfig["linux"]>>,
): RuntimeConfig {
  return { ...config, linux: { ...config.linux, ...linux } };
}

function withProcess(
  config: RuntimeConfig,
  process: Partial<NonNullable<RuntimeConfig["process"]>>,
): RuntimeConfig {
  return { ...config, process: { ...config.process!, ...process } };
}

function capabilities(config: RuntimeConfig, { capabilities: all, profileFor }: LiftFacts): RestrictionGroup {
  const sets = config.process?.capabilities ?? {};
  const root = config.process?.user.uid === 0;
  const held = new Set(root ? (sets.bounding ?? []) : (sets.effective ?? []));
  return {
    kind: "capability",
    items: all
      .filter((name) => !held.has(name))
      .map((name) => ({
        kind: "capability",
        item: name,
        flag: `--cap-add ${name.slice(4)}`,
        cost: capabilityCost(name),
      })),
    lift: (from, items) => {
      const given = items.map(({ item }) => item);
      const now = from.process?.capabilities ?? {};
      const add = (list: readonly string[] = []): readonly string[] =>
        capabilityNames.filter((name) => list.includes(name) || given.includes(name));
      const bounding = add(now.bounding);
      // As --cap-add does: who is not root keeps them through execve by the ambient set.
      const lifted: LinuxCapabilities = {
        bounding,
        effective: add(now.effective),
        permitted: add(now.permitted),
        ...(from.process?.user.uid === 0
          ? { inheritable: now.inheritable ?? [], ambient: now.ambient ?? [] }
          : { inheritable: add(now.inheritable), ambient: add(now.ambient) }),
      };
      const changed = withProcess(from, { capabilities: lifted });
      const filtered = from.linux?.seccomp !== undefined && profileFor !== undefined;
      return filtered ? withLinux(changed, { seccomp: profileFor(bounding) }) : changed;
    },
  };
}

function noNewPrivileges(config: RuntimeConfig): RestrictionGroup {
  return single(
    config.process?.noNewPrivileges === true,
    {
      kind: "no-new-privileges",
      item: "no_new_privs",
      flag: "--security-opt no-new-privileges=false",
      cost: costs.noNewPrivileges,
    },
    (from) => withProcess(from, { noNewPrivileges: false }),
  );
}

function single(
  there: boolean,
  restriction: Restriction,
  lift: (config: RuntimeConfig) => RuntimeConfig,
): RestrictionGroup {
  return {
    kind: restriction.kind,
    items: there ? [restriction] : [],
    lift: (from, items) => (items.length > 0 ? lift(from) : from),
  };
}

function seccomp(config: RuntimeConfig, { systemCalls }: LiftFacts): RestrictionGroup {
  const profile = config.linux?.seccomp;
  const allowed = new Set(
    (profile?.syscalls ?? []).flatMap(({ action, names, args }) =>
      action === "SCMP_ACT_ALLOW" && (args ?? []).length === 0 ? names : [],
    ),
  );
  const filters = profile !== undefined && profile.defaultAction !== "SCMP_ACT_ALLOW";
  const denied = new Set(
    (profile?.syscalls ?? []).flatMap(({ action, names }) => (action === "SCMP_ACT_ALLOW" ? [] : names)),
  );
  const items =
    profile === undefined
      ? []
      : systemCalls.filter((name) => (filters && !allowed.has(name)) || denied.has(name));
  return {
    kind: "seccomp",
    items: items.map((name) => ({
      kind: "seccomp",
      item: name,
      flag: `--security-opt seccomp=PROFILE.json with ${name} allowed (=unconfined allows all)`,
      cost: costs.systemCall,
    })),
    lift: (from, lifted) => {
      const now = from.linux?.seccomp;
      if (now === undefined || lifted.length === 0) return from;
      const names = lifted.map(({ item }) => item);
      const others = (now.syscalls ?? []).flatMap((rule) => {
        const kept = rule.names.filter((name) => !names.includes(name));
        return kept.length === 0 ? [] : [{ ...rule, names: kept }];
      });
      const syscalls = [{ names, action: "SCMP_ACT_ALLOW" as const }, ...others];
      return withLinux(from, { seccomp: { ...now, syscalls } });
    },
  };
}

/** The root filesystem, and mounts that are read-only. */
function readOnly(config: RuntimeConfig, { isUsers, allowWrites }: LiftFacts): RestrictionGroup {
  const mounts = (config.mounts ?? []).filter(
    (mount) =>
      isReadOnly(mount) &&
      (allowWrites || !isUsers(mount)) &&
      mount.type !== "sysfs" &&
      mount.type !== "cgroup",
  );
  return {
    kind: "read-only",
    items: [
      ...(config.root.readonly === true
        ? [
            {
              kind: "read-only" as const,
              item: "/",
              flag: "without --read-only, or --tmpfs DIR where it writes",
              cost: costs.writableRoot,
            },
          ]
        : []),
      ...mounts.map(({ destination }) => ({
        kind: "read-only" as const,
        item: destination,
        flag: `-v …:${destination}:rw`,
        cost: costs.writableMount,
      })),
      ...(config.linux?.readonlyPaths ?? []).map((path) => ({
        kind: "read-only" as const,
        item: path,
        flag: `--security-opt unmask=${path}`,
        cost: costs.readonlyPath,
      })),
    ],
    lift: (from, items) => ({
      ...withLinux(from, {
        readonlyPaths: (from.linux?.readonlyPaths ?? []).filter((path) => !has(items, path)),
      }),
      root: { ...from.root, readonly: from.root.readonly === true && !has(items, "/") },
      mounts: (from.mounts ?? []).map((mount) =>
        has(items, mount.destination) ? withoutOptions(mount, ["ro", "rro"]) : mount,
      ),
    }),
  };
}

const isReadOnly = ({ options = [] }: Mount): boolean => options.includes("ro") || options.includes("rro");

function withoutOptions(mount: Mount, words: readonly string[]): Mount {
  return { ...mount, options: (mount.options ?? []).filter((option) => !words.includes(option)) };
}

function maskedPaths(config: RuntimeConfig): RestrictionGroup {
  return {
    kind: "masked-path",
    items: (config.linux?.maskedPaths ?? []).map((path) => ({
      kind: "masked-path",
      item: path,
      flag: `--security-opt unmask=${path}`,
      cost: costs.maskedPath,
    })),
    lift: (from, items) =>
      withLinux(from, { maskedPaths: (from.linux?.maskedPaths ?? []).filter((path) => !has(items, path)) }),
  };
}

const mountWords = ["noexec", "nosuid", "nodev"] as const;

/** Of what the kernel's own filesystems are mounted with nothing is lifted. */
function mountOptions(config: RuntimeConfig): RestrictionGroup {
  const own = new Set(["proc", "sysfs", "cgroup", "mqueue", "devpts"]);
  const items = (config.mounts ?? []).flatMap(({ destination, type, options = [] }): Restriction[] =>
    own.has(type ?? "")
      ? []
      : mountWords
          .filter((word) => options.includes(word))
          .map((word) => ({
            kind: "mount-option",
            item: `${word} of ${destination}`,
            flag:
              type === "tmpfs"
                ? `--tmpfs ${destination}:${word.slice(2)}`
                : `-v …:${destination}:${word.slice(2)}`,
            cost: costs[word],
          })),
  );
  return {
    kind: "mount-option",
    items,
    lift: (from, lifted) => ({
      ...from,
      mounts: (from.mounts ?? []).map((mount) => {
        const words = mountWords.filter((word) => has(lifted, `${word} of ${mount.destination}`));
        if (words.length === 0) return mount;
        // Some filesystems have it unless the contrary is said.
        const less = withoutOptions(mount, words);
        return { ...less, options: [...(less.options ?? []), ...words.map((word) => word.slice(2))] };
      }),
    }),
  };
}

function limits(config: RuntimeConfig): RestrictionGroup {
  const { resources } = config.linux ?? {};
  const sized = (config.mounts ?? []).filter(({ options = [] }) =>
    options.some((option) => option.startsWith("size=")),
  );
  const limit = (item: string, flag: string, cost: string): Restriction => ({
    kind: "limit",
    item,
    flag,
    cost,
  });
  return {
    kind: "limit",
    items: [
      ...(resources?.memory === undefined
        ? []
        : [limit("memory", "-m with more, or without -m", costs.memory)]),
      ...(resources?.pids === undefined ? [] : [limit("pids", "--pids-limit with more, or -1", costs.pids)]),
      ...(config.process?.rlimits ?? []).map(({ type }) =>
        limit(type, `--ulimit ${type.slice(7).toLowerCase()}=…`, costs.rlimit),
      ),
      ...sized.map(({ destination }) =>
        limit(
          `size of ${destination}`,
          destination === "/dev/shm" ? "--shm-size with more" : `--tmpfs ${destination}:size=…`,
          costs.tmpfsSize,
        ),
      ),
    ],
    lift: (from, items) => {
      const { memory, pids, ...others } = from.linux?.resources ?? {};
      const kept = {
        ...others,
        ...(memory === undefined || has(items, "memory") ? {} : { memory }),
        ...(pids === undefined || has(items, "pids") ? {} : { pids }),
      };
      const rlimits = (from.process?.rlimits ?? []).filter(({ type }) => !has(items, type));
      const changed = withLinux(
        withProcess(from, { rlimits }),
        from.linux?.resources === undefined ? {} : { resources: kept },
      );
      return {
        ...changed,
        mounts: (from.mounts ?? []).map((mount) =>
          has(items, `size of ${mount.destination}`)
            ? { ...mount, options: (mount.options ?? []).filter((option) => !option.startsWith("size=")) }
            : mount,
        ),
      };
    },
  };
}

function user(config: RuntimeConfig): RestrictionGroup {
  const { uid = 0 } = config.process?.user ?? {};
  return single(
    uid !== 0,
    { kind: "user", item: `user ${uid}`, flag: "--user root", cost: costs.root },
    (from) => {
      const { bounding = [] } = from.process?.capabilities ?? {};
      const sets = { bounding, effective: bounding, permitted: bounding, inheritable: [], ambient: [] };
      return withProcess(from, { user: { ...from.process!.user, uid: 0, gid: 0 }, capabilities: sets });
    },
  );
}

const inUserNamespace = ({ linux }: RuntimeConfig): boolean =>
  linux?.namespaces?.some(({ type }) => type === "user") === true;

function devices(config: RuntimeConfig, { devices: all }: LiftFacts): RestrictionGroup {
  const mapped = inUserNamespace(config);
  const rules = config.linux?.resources?.devices ?? [];
  return {
    kind: "device",
    items: [
      ...all.map(({ path }) => ({
        kind: "device" as const,
        item: path,
        flag: `--device ${path}`,
        cost: costs.device,
      })),
      ...(rules.some(({ allow }) => !allow)
        ? [
            {
              kind: "device" as const,
              item: "every device number",
              flag: "--device-cgroup-rule 'a *:* rwm'",
              cost: costs.deviceRule,
            },
          ]
        : []),
    ],
    lift: (from, items) => {
      const found = all.filter(({ path }) => has(items, path));
      const everything = has(items, "every device number");
      if (found.length === 0 && !everything) return from;
      const binds = found.map(({ path }) => ({
        destination: path,
        type: "bind",
        source: path,
        options: ["bind", "nosuid"],
      }));
      if (mapped) return { ...from, mounts: [...(from.mounts ?? []), ...binds] };
      const nodes = found.map((device) => ({ ...device, fileMode: 0o666, uid: 0, gid: 0 }));
      const opened = found.map(({ type, major, minor }) => ({
        allow: true,
        type,
        major: BigInt(major),
        minor: BigInt(minor),
        access: "rwm",
      }));
      const more = everything ? [...opened, { allow: true, access: "rwm" }] : opened;
      const { resources } = from.linux ?? {};
      return withLinux(from, {
        devices: [...(from.linux?.devices ?? []), ...nodes],
        ...(resources === undefined
          ? {}
          : { resources: { ...resources, devices: [...(resources.devices ?? []), ...more] as never } }),
      });
    },
  };
}

function network(config: RuntimeConfig): RestrictionGroup {
  const own = config.linux?.namespaces?.some(({ type }) => type === "network") === true;
  const restriction: Restriction = {
    kind: "network",
    item: "a network of its own",
    flag: "--network host",
    cost: costs.network,
  };
  return single(own, restriction, (from) => {
    const namespaces = (from.linux?.namespaces ?? []).filter(({ type }) => type !== "network");
    const sysctl = Object.fromEntries(
      Object.entries(from.linux?.sysctl ?? {}).filter(([name]) => !name.startsWith("net.")),
    );
    const changed = withLinux(from, { namespaces, sysctl });
    if (!inUserNamespace(from)) return changed;
    // The sysfs of a network namespace can be mounted by its owner alone.
    const options = ["rbind", "nosuid", "noexec", "nodev", "ro"];
    return {
      ...changed,
      mounts: (from.mounts ?? []).map((mount) =>
        mount.type === "sysfs"
          ? { destination: mount.destination, type: "bind", source: "/sys", options }
          : mount,
      ),
    };
  });
}

function securityModules(config: RuntimeConfig): RestrictionGroup {
  const { apparmorProfile, selinuxLabel } = config.process ?? {};
  const items: Restriction[] = [];
  if (apparmorProfile !== undefined && apparmorProfile !== "unconfined") {
    items.push({
      kind: "lsm",
      item: `AppArmor profile ${apparmorProfile}`,
      flag: "--security-opt apparmor=unconfined",
      cost: costs.lsm,
    });
  }
  if (selinuxLabel !== undefined) {
    items.push({
      kind: "lsm",
      item: `SELinux label ${selinuxLabel}`,
      flag: "--security-opt label=disable",
      cost: costs.lsm,
    });
  }
  return {
    kind: "lsm",
    items,
    lift: (from, lifted) => {
      if (lifted.length === 0) return from;
      const { apparmorProfile: profile, selinuxLabel: label, ...others } = from.process!;
      const process = {
        ...others,
        ...(profile === undefined || lifted.some(({ item }) => item.startsWith("AppArmor"))
          ? {}
          : { apparmorProfile: profile }),
        ...(label === undefined || lifted.some(({ item }) => item.startsWith("SELinux"))
          ? {}
          : { selinuxLabel: label }),
      };
      return { ...from, process };
    },
  };
}
