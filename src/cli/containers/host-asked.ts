/** What was asked for of a container, with the names that `docker inspect` has for it. */
import type { AskedFor, Container } from "../../engine/mod.ts";

/** Fields of HostConfig. */
export function hostAsked(asked: AskedFor = {}) {
  return {
    CapAdd: asked.capAdd ?? null,
    CapDrop: asked.capDrop ?? null,
    Cgroup: "",
    ConsoleSize: [0, 0],
    DeviceCgroupRules: null,
    DeviceRequests: null,
    Devices: (asked.devices ?? []).map(({ source, target, access }) => ({
      PathOnHost: source,
      PathInContainer: target,
      CgroupPermissions: access,
    })),
    Dns: asked.dns ?? [],
    DnsOptions: asked.dnsOptions ?? [],
    DnsSearch: asked.dnsSearch ?? [],
    ExtraHosts: asked.hosts ?? [],
    GroupAdd: asked.groups ?? [],
    Isolation: "",
    Links: null,
    PortBindings: mapOf({}),
    PublishAllPorts: false,
    Runtime: "vitrine",
    SecurityOpt: asked.security ?? null,
    ...(asked.sysctls === undefined ? {} : { Sysctls: mapOf(asked.sysctls) }),
    Ulimits: (asked.rlimits ?? []).map(({ name, soft, hard }) => ({ Name: name, Hard: hard, Soft: soft })),
    VolumeDriver: "",
    VolumesFrom: asked.volumesFrom ?? null,
  };
}

/** Fields of Config: the command in its two parts, the user as it was named. */
export function configAsked({ asked = {}, command }: Container, user: string) {
  const { entrypoint = [], ports } = asked;
  return {
    User: asked.user ?? user,
    ...(ports === undefined
      ? {}
      : { ExposedPorts: mapOf(Object.fromEntries(ports.map((port) => [port, {}]))) }),
    Cmd: command.length === entrypoint.length ? null : command.slice(entrypoint.length),
    Entrypoint: entrypoint.length === 0 ? null : entrypoint,
  };
}

/** NetworkSettings.Networks of `--network none` and `host`; one of another container's is not told there. */
export function networksField(mode: string) {
  const networks = mode === "none" || mode === "host" ? { [mode]: noAddress } : {};
  return mapOf(networks);
}

const noAddress = {
  IPAMConfig: null,
  Links: null,
  Aliases: null,
  MacAddress: "",
  DriverOpts: null,
  GwPriority: 0,
  NetworkID: "",
  EndpointID: "",
  Gateway: "",
  IPAddress: "",
  IPPrefixLen: 0,
  IPv6Gateway: "",
  GlobalIPv6Address: "",
  GlobalIPv6PrefixLen: 0,
  DNSNames: null,
};

/** Names that came from users: none of them is a property of every object. */
function mapOf<Value>(record: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.assign(Object.create(null), record) as Record<string, Value>;
}
