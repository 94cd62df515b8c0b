/** Every row of `defaults`: it is applied when nobody asks, it is marked as a default, and the flag switches it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Origin } from "../kernel/mod.ts";
import type { Mount } from "../oci/mod.ts";
import { decideCgroup } from "../runtime/mod.ts";
import { defaults } from "./defaults.ts";
import { bareUserHost, id, image, rootHost, seccomp, specInput, userHost } from "./fixtures.ts";
import { healthCheckOf } from "./health.ts";
import { chooseIds } from "./id-maps.ts";
import type { SpecInput } from "./spec/input.ts";
import { makeSpecification, type Specification } from "./spec.ts";

const bare = { ...image, config: {} };
const make = (input: SpecInput): Specification => makeSpecification(input, seccomp);
const plain = make(specInput({ command: ["true"] }, { image: bare }));
const { config, origins } = plain;
const { process: proc, linux } = config;

function originAt(spec: Specification, pointer: string): Origin | undefined {
  for (let at = pointer; ; at = at.slice(0, at.lastIndexOf("/"))) {
    const origin = spec.origins.get(at);
    if (origin !== undefined || at === "") return origin;
  }
}

function byDefault(pointer: string, spec = plain): void {
  assert.equal(originAt(spec, pointer)?.by, "default", pointer);
}

function mountAt(destination: string, spec = plain): Mount {
  const index = spec.config.mounts!.findIndex((mount) => mount.destination === destination);
  assert.notEqual(index, -1, `no mount at ${destination}`);
  return spec.config.mounts![index]!;
}

function mountByDefault(destination: string, options: readonly string[], spec = plain): void {
  const mount = mountAt(destination, spec);
  assert.deepEqual(mount.options, options);
  byDefault(`/mounts/${spec.config.mounts!.indexOf(mount)}`, spec);
}

const asked = (
  more: Parameters<typeof specInput>[0],
  about: Parameters<typeof specInput>[1] = {},
): Specification => make(specInput({ command: ["true"], ...more }, { image: bare, ...about }));

const rows: Readonly<Record<keyof typeof defaults, () => void>> = {
  namespaces() {
    assert.deepEqual(
      linux?.namespaces,
      ["pid", "network", "ipc", "uts", "mount", "cgroup", "time"].map((type) => ({ type })),
    );
    for (const index of linux!.namespaces!.keys()) byDefault(`/linux/namespaces/${index}`);
    const host = asked({ time: { mode: "host" }, pid: { mode: "path", path: "/proc/1/ns/pid" } });
    assert.equal(
      host.config.linux!.namespaces!.some(({ type }) => type === "time"),
      false,
    );
    assert.deepEqual(host.config.linux!.namespaces![0], { type: "pid", path: "/proc/1/ns/pid" });
    assert.deepEqual(host.origins.get("/linux/namespaces/0"), { by: "flag", flag: "--pid" });
    const old = make(
      specInput({}, { host: { ...rootHost, kernel: { text: "5.5", major: 5, minor: 5, patch: 0 } } }),
    );
    assert.equal(
      old.config.linux!.namespaces!.some(({ type }) => type === "time"),
      false,
    );
  },
  userNamespace() {
    assert.equal(linux?.uidMappings, undefined);
    const rootless = make(specInput({}, { host: userHost }));
    assert.deepEqual(rootless.config.linux!.namespaces![0], { type: "user" });
    assert.equal(originAt(rootless, "/linux/uidMappings/0")?.by, "host");
  },
  rootIds() {
    const { owner, start, count, slot } = defaults.rootIds.value;
    const of = (readHostFile: () => string) =>
      chooseIds(rootHost, { mode: "private" }, { readHostFile, taken: () => [] }).ids;
    assert.deepEqual(
      of(() => `${owner}:5:${slot}\n`),
      {
        kind: "range",
        uids: [{ containerID: 0, hostID: 5, size: slot }],
        gids: [{ containerID: 0, hostID: 5, size: slot }],
        newuidmap: "",
        newgidmap: "",
      },
    );
    const own = of(() => "");
    assert.equal(own.kind === "range" && own.uids[0]?.hostID, start);
    assert.ok(start + count < 2 ** 31);
  },
  userAutoIds() {
    const { ids } = chooseIds(userHost, { mode: "auto" });
    assert.equal(ids.kind === "range" && ids.uids[0]?.size, defaults.userAutoIds.value);
  },
  network() {
    assert.ok(linux?.namespaces?.some(({ type, path }) => type === "network" && path === undefined));
    assert.equal(
      asked({ network: { mode: "host" } }).config.linux!.namespaces!.some(({ type }) => type === "network"),
      false,
    );
  },
  capabilities() {
    assert.deepEqual([...proc!.capabilities!.bounding!].sort(), [...defaults.capabilities.value].sort());
    assert.equal(proc!.capabilities!.bounding!.length, 11);
    assert.deepEqual(proc!.capabilities!.effective, proc!.capabilities!.bounding);
    assert.deepEqual(proc!.capabilities!.permitted, proc!.capabilities!.bounding);
    assert.deepEqual(proc!.capabilities!.inheritable, []);
    assert.deepEqual(proc!.capabilities!.ambient, []);
    byDefault("/process/capabilities/bounding/0");
    assert.deepEqual(
      asked({ capDrop: ["ALL"], capAdd: ["CAP_KILL"] }).config.process!.capabilities!.effective,
      ["CAP_KILL"],
    );
    assert.equal(asked({ capAdd: ["ALL"] }).config.process!.capabilities!.bounding!.length, 41);
    assert.throws(() => asked({ capAdd: ["ALL"], capDrop: ["ALL"] }), { code: "flag-conflict" });
    assert.throws(() => asked({ capAdd: ["CAP_KILL"], capDrop: ["CAP_KILL"] }), { code: "flag-conflict" });
  },
  capabilitiesOfOtherUsers() {
    const other = asked({ user: "1000", capAdd: ["CAP_NET_RAW"] }).config.process!.capabilities!;
    assert.equal(other.bounding!.length, 12);
    for (const set of ["effective", "permitted", "inheritable", "ambient"] as const) {
      assert.deepEqual(other[set], ["CAP_NET_RAW"]);
    }
  },
  noNewPrivileges() {
    assert.equal(proc!.noNewPrivileges, false);
    byDefault("/process/noNewPrivileges");
  },
  seccomp() {
    assert.equal(plain.defaultSeccomp, true);
    assert.deepEqual(linux!.seccomp!.syscalls![0]!.names, ["standard for 11"]);
    byDefault("/linux/seccomp");
    const open = asked({ security: { ...specInput().options.security, seccomp: { kind: "unconfined" } } });
    assert.equal(open.config.linux!.seccomp, undefined);
  },
  apparmor() {
    const host = (base: typeof rootHost, apparmorProfiles: readonly string[] | undefined) => ({
      ...base,
      securityModules: { enabled: ["apparmor"], apparmor: true, apparmorProfiles, selinux: false },
    });
    const withHost = (base: typeof rootHost, profiles: readonly string[] | undefined, parser: boolean) =>
      make(specInput({}, { host: host(base, profiles), hostExists: () => parser }));
    const without = (made: Specification): void => {
      assert.equal(made.config.process!.apparmorProfile, undefined);
      assert.equal(originAt(made, "/process/apparmorProfile")?.by, "host");
    };
    for (const base of [rootHost, userHost]) {
      const loaded = withHost(base, ["other", "vitrine-default"], false);
      assert.equal(loaded.config.process!.apparmorProfile, "vitrine-default");
      byDefault("/process/apparmorProfile", loaded);
      without(withHost(base, ["other"], false));
    }
    assert.equal(withHost(rootHost, ["other"], true).config.process!.apparmorProfile, "vitrine-default");
    without(withHost(userHost, ["other"], true));
    // As runc sees it: where securityfs is not mounted there is no AppArmor to be had.
    without(withHost(rootHost, undefined, true));
  },
  maskedPaths() {
    const thermal = "/sys/devices/system/cpu/cpu0/thermal_throttle";
    assert.deepEqual(linux!.maskedPaths, [...defaults.maskedPaths.value, thermal]);
    byDefault("/linux/maskedPaths/0");
    const { security } = specInput().options;
    assert.deepEqual(asked({ security: { ...security, unmask: ["ALL"] } }).config.linux!.maskedPaths, []);
    assert.deepEqual(
      asked({ security: { ...security, unmask: ["/sys/*", "/sys/*/*", "/proc/[a-z]*"] } }).config.linux!
        .maskedPaths,
      ["/sys/devices/virtual/powercap", thermal],
    );
  },
  readonlyPaths() {
    assert.deepEqual(linux!.readonlyPaths, defaults.readonlyPaths.value);
    byDefault("/linux/readonlyPaths/0");
    assert.deepEqual(asked({ privileged: true }).config.linux!.readonlyPaths, []);
  },
  proc: () => mountByDefault("/proc", defaults.proc.value),
  dev: () => mountByDefault("/dev", defaults.dev.value),
  devpts() {
    mountByDefault("/dev/pts", defaults.devpts.value);
    const few = {
      ...userHost,
      subordinateIds: { ...userHost.subordinateIds, gids: [{ start: 9, count: 3 }] },
    };
    assert.equal(mountAt("/dev/pts", make(specInput({}, { host: few }))).options!.includes("gid=5"), false);
  },
  shm: () => mountByDefault("/dev/shm", [...defaults.shm.value, "size=67108864"]),
  shmBytes() {
    assert.ok(mountAt("/dev/shm", asked({ shmSize: 4096n })).options!.includes("size=4096"));
    assert.equal(
      asked({ ipc: { mode: "none" } }).config.mounts!.some(({ destination }) => destination === "/dev/shm"),
      false,
    );
  },
  mqueue() {
    mountByDefault("/dev/mqueue", defaults.mqueue.value);
    const without = make(specInput({}, { host: { ...rootHost, mqueue: false } }));
    assert.equal(
      without.config.mounts!.some(({ type }) => type === "mqueue"),
      false,
    );
  },
  sys() {
    mountByDefault("/sys", defaults.sys.value);
    assert.equal(mountAt("/sys", asked({ privileged: true })).options!.includes("ro"), false);
    assert.equal(
      mountAt("/sys", make(specInput({ network: { mode: "host" } }, { host: userHost }))).type,
      "bind",
    );
  },
  cgroup: () => mountByDefault("/sys/fs/cgroup", defaults.cgroup.value),
  bindFlags() {
    assert.ok(["nosuid", "nodev"].every((flag) => mountAt("/d", bound()).options!.includes(flag)));
    assert.equal(mountAt("/d", bound({ options: ["suid", "dev"] })).options!.includes("nosuid"), false);
    assert.equal(mountAt("/d", bound({ source: "/dev/snd" })).options!.includes("nodev"), false);
  },
  bindPropagation() {
    assert.ok(mountAt("/d", bound()).options!.includes("rprivate"));
    assert.ok(mountAt("/d", bound({ propagation: "rshared" })).options!.includes("rshared"));
  },
  readonlyBinds() {
    assert.ok(mountAt("/d", bound({ readOnly: "recursive-if-possible" })).options!.includes("rro"));
    assert.ok(mountAt("/d", bound({ readOnly: "top" })).options!.includes("ro"));
  },
  rootfsPropagation() {
    assert.equal(linux!.rootfsPropagation, "rprivate");
    byDefault("/linux/rootfsPropagation");
    assert.equal(bound({ propagation: "slave" }).config.linux!.rootfsPropagation, "rslave");
    assert.equal(bound({ propagation: "rshared" }).config.linux!.rootfsPropagation, "rshared");
  },
  tmpfsFlags() {
    const spec = asked({
      mounts: [{ kind: "tmpfs", target: "/t", options: ["exec", "mode=0700"], flag: "--tmpfs" }],
    });
    assert.deepEqual(mountAt("/t", spec).options, ["nosuid", "nodev", "exec", "mode=0700"]);
  },
  readonlyTmpfs() {
    const spec = asked({ readOnly: true });
    assert.equal(spec.config.root.readonly, true);
    assert.equal(mountAt("/tmp", spec).type, "tmpfs");
    byDefault(`/mounts/${spec.config.mounts!.indexOf(mountAt("/tmp", spec))}`, spec);
    const strict = asked({ readOnly: true, readOnlyTmpfs: false });
    assert.equal(
      strict.config.mounts!.some(({ destination }) => destination === "/tmp"),
      false,
    );
  },
  imageVolumes() {
    const volumes = { ...image, config: { ...image.config, Volumes: ["/data"] } };
    const spec = make(specInput({}, { image: volumes }));
    const [made] = spec.user.volumes;
    assert.match(made!.name!, /^[0-9a-f]{64}$/);
    assert.deepEqual(made, {
      name: made!.name,
      source: `/var/lib/vitrine/volumes/${made!.name}/_data`,
      target: "/data",
      copyUp: true,
      own: true,
    });
    assert.deepEqual(make(specInput({ imageVolumes: "ignore" }, { image: volumes })).user.volumes, []);
    assert.equal(
      mountAt("/data", make(specInput({ imageVolumes: "tmpfs" }, { image: volumes }))).type,
      "tmpfs",
    );
  },
  // Not words of config.json: ops of the plan, see extend-plan.test.ts.
  containerEnvFile: () => assert.equal(defaults.containerEnvFile.value, "/run/.containerenv"),
  mtab: () => assert.equal(defaults.mtab.value, "/proc/mounts"),
  deviceRules() {
    assert.deepEqual(linux!.resources!.devices, defaults.deviceRules.value);
    byDefault("/linux/resources/devices/0");
    assert.equal(make(specInput({}, { host: userHost })).config.linux!.resources!.devices, undefined);
    assert.deepEqual(asked({ privileged: true }).config.linux!.resources!.devices, [
      { allow: true, access: "rwm" },
    ]);
  },
  pidsLimit() {
    assert.deepEqual(linux!.resources!.pids, { limit: 2048n });
    byDefault("/linux/resources/pids/limit");
    const none = make(specInput({}, { host: userHost }));
    assert.equal(none.config.linux!.resources!.pids, undefined);
    assert.equal(originAt(none, "/linux/resources/pids/limit")?.by, "host");
    assert.equal(resourced({ pidsLimit: 0n }).config.linux!.resources!.pids!.limit, -1n);
  },
  memory: () => assert.equal(linux!.resources!.memory, undefined),
  memorySwap() {
    const spec = resourced({ memory: 64n << 20n });
    assert.deepEqual(spec.config.linux!.resources!.memory, { limit: 64n << 20n, swap: 128n << 20n });
    byDefault("/linux/resources/memory/swap", spec);
    assert.throws(() => resourced({ memory: 64n << 20n, memorySwap: 32n << 20n }), { code: "flag-conflict" });
    assert.throws(() => resourced({ memorySwap: 32n << 20n }), { code: "flag-conflict" });
  },
  memoryMinimum() {
    assert.throws(() => resourced({ memory: 5n << 20n }), {
      code: "invalid-flag-value",
      operand: "--memory",
    });
  },
  rlimits() {
    assert.deepEqual(proc!.rlimits, [{ type: "RLIMIT_NOFILE", soft: 1024n, hard: 20000n }]);
    assert.equal(originAt(plain, "/process/rlimits/0")?.by, "host");
    const same = make(specInput({}, { callerOpenFiles: 20000n }));
    assert.equal(same.config.process!.rlimits, undefined);
  },
  cgroupSlice() {
    const place = { uid: 0, socket: "/s", bus: true, controlGroup: "", controllers: ["pids"], command: [] };
    const scope = (user: boolean) =>
      decideCgroup(rootHost, id, undefined, user ? { ...place, user, uid: 1000 } : { ...place, user });
    const paths = [false, true].map((user) => asked({}, { cgroup: scope(user) }).config.linux!.cgroupsPath);
    assert.deepEqual(paths, [`machine.slice:vitrine:${id}`, `user.slice:vitrine:${id}`]);
    const batch = asked({ cgroupParent: "/batch.slice" }, { cgroup: scope(false) });
    assert.equal(batch.config.linux!.cgroupsPath, `batch.slice:vitrine:${id}`);
    assert.throws(() => asked({ cgroupParent: "/batch" }, { cgroup: scope(false) }), {
      code: "flag-unsupported",
    });
    assert.throws(() => asked({ cgroupParent: "/batch.slice" }), { code: "flag-unsupported" });
  },
  cgroupParent() {
    assert.equal(linux!.cgroupsPath, `/vitrine/${id}`);
    byDefault("/linux/cgroupsPath");
    assert.equal(asked({ cgroupParent: "/batch" }).config.linux!.cgroupsPath, `/batch/${id}`);
  },
  oomScoreAdjust() {
    assert.equal(proc!.oomScoreAdj, undefined);
    assert.equal(asked({ oomScoreAdjust: 5 }).config.process!.oomScoreAdj, 5);
  },
  sysctls() {
    assert.deepEqual(linux!.sysctl, defaults.sysctls.value);
    byDefault("/linux/sysctl/net.ipv4.ping_group_range");
    assert.equal(asked({ network: { mode: "host" } }).config.linux!.sysctl, undefined);
    assert.equal(
      make(specInput({}, { host: userHost })).config.linux!.sysctl!["net.ipv4.ping_group_range"],
      "0 65536",
    );
    const single = make(specInput({ userns: { mode: "keep-id" } }, { host: bareUserHost }));
    assert.equal(single.config.linux!.sysctl!["net.ipv4.ping_group_range"], "1000 1000");
    for (const name of ["kernel.panic", "vm.swappiness", "kernel.hostname"]) {
      const sysctls = new Map([[name, "1"]]);
      assert.throws(() => asked({ sysctls, uts: { mode: "host" } }), { code: "flag-conflict" }, name);
    }
    assert.throws(() => asked({ sysctls: new Map([["net.core.x", "1"]]), network: { mode: "host" } }), {
      code: "flag-conflict",
    });
  },
  path() {
    assert.ok(proc!.env!.includes(`PATH=${defaults.path.value}`));
    byDefault("/process/env/0");
  },
  term() {
    assert.equal(
      proc!.env!.some((entry) => entry.startsWith("TERM=")),
      false,
    );
    assert.ok(asked({ tty: true }).config.process!.env!.includes("TERM=xterm"));
  },
  containerVariable: () => assert.ok(proc!.env!.includes("container=vitrine")),
  proxyVariables() {
    assert.equal(
      proc!.env!.some((entry) => entry.startsWith("http_proxy=")),
      false,
    );
    assert.ok(asked({ httpProxy: true }).config.process!.env!.includes("http_proxy=http://proxy:3128"));
    assert.equal(
      proc!.env!.some((entry) => entry.includes("s3cret")),
      false,
    );
    assert.ok(asked({ hostEnvironment: true }).config.process!.env!.includes("SECRET=s3cret"));
  },
  user() {
    assert.deepEqual(proc!.user, { uid: 0, gid: 0, umask: 0o22, additionalGids: [0, 10] });
    byDefault("/process/user");
  },
  madeUpPasswd() {
    const spec = asked({ user: "4242:7" });
    assert.ok(spec.files.find(({ path }) => path.endsWith("/passwd"))?.text.includes("\n4242:*:4242:7:"));
    assert.equal(
      asked({ user: "4242", passwd: false }).files.some(({ path }) => path.endsWith("/passwd")),
      false,
    );
    assert.equal(
      plain.files.some(({ path }) => path.endsWith("/passwd")),
      false,
    );
  },
  cwd() {
    assert.equal(proc!.cwd, "/");
    byDefault("/process/cwd");
  },
  umask() {
    byDefault("/process/user/umask");
    assert.equal(asked({ umask: 0 }).config.process!.user.umask, 0);
  },
  // Arguments of compile(), see plan-run.ts.
  keyring: () => assert.equal(defaults.keyring.value, "new"),
  stdin: () => assert.equal(defaults.stdin.value, "null"),
  hostnameDigits() {
    assert.equal(config.hostname, id.slice(0, 12));
    byDefault("/hostname");
    assert.equal(asked({ uts: { mode: "host" } }).config.hostname, undefined);
  },
  hosts() {
    const text = fileText(plain, "hosts");
    for (const line of defaults.hosts.value) assert.ok(text?.includes(`${line}\n`));
    assert.equal(text?.includes("build.example"), false);
    assert.ok(fileText(asked({ network: { mode: "host" } }), "hosts")?.includes("build.example"));
    assert.equal(fileText(asked({ hostsFile: false }), "hosts"), undefined);
  },
  resolvConf() {
    assert.equal(fileText(plain, "resolv.conf")?.includes("nameserver"), false);
    const host = asked({ network: { mode: "host" } });
    assert.equal(fileText(host, "resolv.conf"), "nameserver 10.0.0.1\nsearch example.com\n");
    const mixed = asked({ network: { mode: "host" }, dns: ["1.1.1.1"], dnsOptions: ["ndots:2"] });
    assert.equal(fileText(mixed, "resolv.conf"), "search example.com\nnameserver 1.1.1.1\noptions ndots:2\n");
    assert.equal(fileText(asked({ dns: ["none"] }), "resolv.conf"), undefined);
  },
  stopSignal() {
    assert.equal(plain.stopSignal, "SIGTERM");
    assert.equal(make(specInput()).stopSignal, "SIGINT");
    assert.equal(make(specInput({ stopSignal: "SIGQUIT" })).stopSignal, "SIGQUIT");
  },
  stopTimeoutSeconds: () => assert.equal(defaults.stopTimeoutSeconds.value, 10),
  logDriver: () => assert.equal(defaults.logDriver.value, "k8s-file"),
  healthcheck() {
    assert.equal(healthCheckOf(undefined, {}), undefined);
    const { test: _, args: __, onFailure: ___, ...times } = healthCheckOf({ test: ["CMD", "true"] }, {})!;
    assert.deepEqual(times, { ...defaults.healthcheck.value, startPeriod: 0 });
    assert.equal(healthCheckOf({ test: ["CMD", "true"], retries: 7 }, {})?.retries, 7);
  },
  detachKeys: () => assert.equal(defaults.detachKeys.value, "ctrl-p,ctrl-q"),
};

function bound(more: object = {}): Specification {
  return asked({
    mounts: [
      {
        kind: "bind",
        source: "/srv",
        target: "/d",
        readOnly: "writable",
        recursive: true,
        propagation: undefined,
        options: [],
        flag: "--volume",
        ...more,
      },
    ],
  });
}

function resourced(more: object): Specification {
  return asked({ resources: { deviceRules: [], ...more } });
}

function fileText(spec: Specification, name: string): string | undefined {
  return spec.files.find(({ path }) => path.endsWith(`/etc/${name}`))?.text;
}

for (const [name, check] of Object.entries(rows)) test(`default: ${name}`, check);

test("each row says why", () => {
  for (const [name, { why }] of Object.entries(defaults)) assert.ok(why.length > 5, name);
});

test("every value of a plain run has an origin", () => {
  const without: string[] = [];
  const walk = (value: unknown, pointer: string): void => {
    if (originAt(plain, pointer) === undefined) without.push(pointer);
    if (Array.isArray(value)) for (const [index, item] of value.entries()) walk(item, `${pointer}/${index}`);
  };
  for (const [key, value] of Object.entries({ ...config.process })) walk(value, `/process/${key}`);
  for (const [key, value] of Object.entries({ ...config.linux })) {
    if (key !== "resources") walk(value, `/linux/${key}`);
  }
  walk(config.mounts, "/mounts");
  // Containers of lists whose every member has one.
  const lists = ["/process/args", "/process/env", "/process/capabilities", "/process/rlimits", "/mounts"];
  const more = ["namespaces", "sysctl", "maskedPaths", "readonlyPaths"].map((key) => `/linux/${key}`);
  assert.deepEqual(
    without.filter((pointer) => ![...lists, ...more].includes(pointer)),
    [],
  );
  assert.ok(origins.size > 50);
});
