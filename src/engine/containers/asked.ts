/** What flags and the image asked for, where config.json no longer tells it: `inspect` shows it with docker's names. */
import type { ImageConfig, Rlimit } from "../../oci/mod.ts";
import type { RunOptions, SecurityOptions } from "../options.ts";

/** A field is absent where nothing was asked. */
export interface AskedFor {
  /** As it was typed, or as the image has it. */
  readonly user?: string;
  /** The first words of the command. */
  readonly entrypoint?: readonly string[];
  readonly cidFile?: string;
  readonly pidFile?: string;
  /** Seconds. */
  readonly timeout?: number;
  readonly timezone?: string;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  /** As --security-opt takes them. */
  readonly security?: readonly string[];
  readonly groups?: readonly string[];
  /** `NAME:ADDRESS` */
  readonly hosts?: readonly string[];
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
  readonly devices?: readonly { readonly source: string; readonly target: string; readonly access: string }[];
  readonly sysctls?: Readonly<Record<string, string>>;
  /** Options by the place in the container. */
  readonly tmpfs?: Readonly<Record<string, string>>;
  /** Those of them that are mounts to docker: of `--mount type=tmpfs`. */
  readonly tmpfsMounts?: readonly string[];
  /** `CONTAINER[:ro|rw]` */
  readonly volumesFrom?: readonly string[];
  /** -1: no limit. */
  readonly rlimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  /** `80/tcp`; the image's too. */
  readonly ports?: readonly string[];
}

/** Undefined where nothing was asked. */
export function askedFor(options: RunOptions, image: ImageConfig["config"]): AskedFor | undefined {
  const tmpfs = options.mounts.flatMap((mount) =>
    mount.kind === "tmpfs" ? [[mount.target, mount.options.join(",")] as const] : [],
  );
  const all: AskedFor = {
    user: options.user ?? image?.User ?? "",
    entrypoint: options.entrypoint ?? image?.Entrypoint ?? [],
    cidFile: options.cidFile ?? "",
    pidFile: options.pidFile ?? "",
    timeout: options.timeout ?? 0,
    timezone: options.timezone?.name ?? "",
    capAdd: options.capAdd,
    capDrop: options.capDrop,
    security: securityWords(options.security),
    groups: options.groups,
    hosts: options.addHosts.map(({ name, address }) => `${name}:${address}`),
    dns: options.dns,
    dnsSearch: options.dnsSearch,
    dnsOptions: options.dnsOptions,
    devices: options.devices,
    sysctls: Object.fromEntries(options.sysctls),
    tmpfs: Object.fromEntries(tmpfs),
    tmpfsMounts: options.mounts.flatMap(({ kind, target, flag }) =>
      kind === "tmpfs" && flag === "--mount" ? [target] : [],
    ),
    volumesFrom: (options.volumesFrom ?? []).map(
      ({ container, readOnly }) => `${container}${readOnly === undefined ? "" : readOnly ? ":ro" : ":rw"}`,
    ),
    rlimits: options.rlimits.map(rlimit),
    ports: [...new Set([...(options.expose ?? []), ...(image?.ExposedPorts ?? [])])],
  };
  const asked = Object.entries(all).filter(([, value]) =>
    typeof value === "number" ? value !== 0 : Object.keys(value).length > 0,
  );
  return asked.length === 0 ? undefined : Object.fromEntries(asked);
}

function securityWords({
  noNewPrivileges,
  seccomp,
  apparmor,
  label,
  mask,
  unmask,
  procOptions,
}: SecurityOptions) {
  return [
    ...(noNewPrivileges === true ? ["no-new-privileges"] : []),
    ...(seccomp === undefined || seccomp.kind === "default"
      ? []
      : [`seccomp=${seccomp.kind === "file" ? seccomp.path : seccomp.kind}`]),
    ...(apparmor === undefined ? [] : [`apparmor=${apparmor}`]),
    ...label.map((word) => `label=${word}`),
    ...(mask.length === 0 ? [] : [`mask=${mask.join(":")}`]),
    ...(unmask.length === 0 ? [] : [`unmask=${unmask.join(":")}`]),
    ...(procOptions.length === 0 ? [] : [`proc-opts=${procOptions.join(",")}`]),
  ];
}

const infinite = 2n ** 64n - 1n;

function rlimit({ type, soft, hard }: Rlimit) {
  const number = (value: bigint): number => (value === infinite ? -1 : Number(value));
  return { name: type.slice("RLIMIT_".length).toLowerCase(), soft: number(soft), hard: number(hard) };
}
