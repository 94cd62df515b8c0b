import assert from "node:assert/strict";
import { test } from "node:test";
import { type HostReader, type HostSelf, kernelAtLeast, parseKernelRelease, probeHost } from "./host.ts";
import { cgroupLeaf } from "./host-cgroup.ts";

const root: HostSelf = {
  release: "6.1.0-18-amd64",
  machine: "x86_64",
  uid: 0,
  gid: 0,
  euid: 0,
  egid: 0,
  groups: [],
};
const alice: HostSelf = { ...root, uid: 1000, gid: 1000, euid: 1000, egid: 1000, groups: [1000, 27] };

/** A machine made of files; `writable` and `executable` list what access(2) would grant. */
function machineOf(
  files: Readonly<Record<string, string>>,
  writable: readonly string[] = [],
  executable: readonly string[] = [],
): HostReader {
  return {
    read: (path) => files[path],
    exists: (path) => path in files || Object.keys(files).some((each) => each.startsWith(`${path}/`)),
    writable: (path) => writable.includes(path),
    executable: (path) => executable.includes(path),
    list: (path) => [
      ...new Set(
        Object.keys(files).flatMap((each) =>
          each.startsWith(`${path}/`) ? [each.slice(path.length + 1).split("/")[0]!] : [],
        ),
      ),
    ],
  };
}

const cgroup2Mount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec - cgroup2 cgroup2 rw,nsdelegate\n";
const userSlice = "/user.slice/user-1000.slice/user@1000.service/app.slice/run.scope";

test("a kernel release is compared by numbers, whatever follows them", () => {
  assert.deepEqual(parseKernelRelease("5.15.0-1042.48+build2"), {
    text: "5.15.0-1042.48+build2",
    major: 5,
    minor: 15,
    patch: 0,
  });
  assert.equal(parseKernelRelease("6.19-rc2").patch, 0);
  assert.equal(kernelAtLeast(parseKernelRelease("5.9.1"), 5, 11), false);
  assert.equal(kernelAtLeast(parseKernelRelease("6.0"), 5, 11), true);
});

test("cgroup v2 delegated to a user", () => {
  const own = `/sys/fs/cgroup${userSlice}`;
  const { cgroup } = probeHost(
    machineOf(
      {
        "/proc/self/mountinfo": `22 1 8:1 / / rw - ext4 /dev/sda1 rw\n${cgroup2Mount}`,
        "/proc/self/cgroup": `0::${userSlice}\n`,
        [`${own}/cgroup.controllers`]: "cpu memory pids\n",
      },
      [own, `${own}/cgroup.procs`, `${own}/cgroup.subtree_control`],
    ),
    alice,
  );
  assert.deepEqual(cgroup, {
    mode: "v2",
    hierarchies: [],
    unified: {
      mountPoint: "/sys/fs/cgroup",
      ownPath: userSlice,
      ownDirectory: own,
      controllers: ["cpu", "memory", "pids"],
      writable: true,
      delegated: true,
      division: { directory: own, controllers: ["cpu", "memory", "pids"], occupied: false },
    },
  });
});

test("which directory of cgroup v2 may be divided", () => {
  const files = ["", "/cgroup.procs", "/cgroup.subtree_control"];
  const division = (own: string, ours: readonly string[], more: Readonly<Record<string, string>> = {}) =>
    probeHost(
      machineOf(
        {
          "/proc/self/mountinfo": cgroup2Mount,
          "/proc/self/cgroup": `0::${own}\n`,
          ...Object.fromEntries(ours.map((each) => [`/sys/fs/cgroup${each}/cgroup.type`, "domain\n"])),
          ...more,
        },
        ours.flatMap((each) => files.map((file) => `/sys/fs/cgroup${each}${file}`)),
      ),
      alice,
    ).cgroup.unified?.division;
  const procs = (path: string) => ({ [`/sys/fs/cgroup${path}/cgroup.procs`]: "12\n" });
  const systemd = { "/run/systemd/system": "" };
  // The topmost that is ours and empty, where nobody else divides it.
  assert.equal(division("/a/b/c", ["/a/b", "/a/b/c"], procs("/a/b/c"))?.directory, "/sys/fs/cgroup/a/b");
  // With systemd the unit that we are in, which has our processes.
  assert.deepEqual(division("/a/b/c", ["/a/b", "/a/b/c"], { ...procs("/a/b/c"), ...systemd }), {
    directory: "/sys/fs/cgroup/a/b/c",
    controllers: [],
    occupied: true,
  });
  // What was moved into the leaf finds the directory that it was moved out of.
  const leaf = `/a/b/${cgroupLeaf}`;
  const inLeaf = division(leaf, ["/a", "/a/b", leaf], { ...procs(leaf), ...systemd });
  assert.deepEqual(inLeaf, { directory: "/sys/fs/cgroup/a/b", controllers: [], occupied: false });
  // All is occupied: its own is taken.
  assert.equal(division("/a", ["/a"], procs("/a"))?.occupied, true);
  // In a container with a cgroup namespace the root is an ordinary cgroup; the machine's own may have processes.
  assert.equal(division("/", [""], procs(""))?.occupied, true);
  const machine = { "/sys/fs/cgroup/cgroup.procs": "1\n", "/proc/self/cgroup": "0::/x\n" };
  assert.equal(
    probeHost(
      machineOf(
        { "/proc/self/mountinfo": cgroup2Mount, ...machine },
        files.map((file) => `/sys/fs/cgroup${file}`),
      ),
      root,
    ).cgroup.unified?.division?.occupied,
    false,
  );
  assert.equal(division("/a/b", []), undefined);
});

test("cgroup v2 in a login session that root owns is not delegated", () => {
  const { cgroup } = probeHost(
    machineOf({
      "/proc/self/mountinfo": cgroup2Mount,
      "/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n",
    }),
    alice,
  );
  assert.equal(cgroup.unified?.writable, false);
  assert.equal(cgroup.unified?.delegated, false);
});

test("a read-only cgroup mount is not writable, not even for root", () => {
  const { cgroup } = probeHost(
    machineOf(
      {
        "/proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n",
        "/proc/self/cgroup": "0::/\n",
      },
      ["/sys/fs/cgroup"],
    ),
    root,
  );
  assert.equal(cgroup.unified?.writable, false);
});

test("hybrid: v1 controllers in mount order, a named hierarchy, and v2 beside them", () => {
  const { cgroup } = probeHost(
    machineOf(
      {
        "/proc/self/mountinfo": [
          "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755",
          "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
          "36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices",
          "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
          "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
        ].join("\n"),
        "/proc/self/cgroup": "9:name=systemd:/\n5:devices:/a b\n1:cpu,cpuacct:/\n0::/\n",
      },
      ["/sys/fs/cgroup/devices/a b"],
    ),
    root,
  );
  assert.equal(cgroup.mode, "hybrid");
  assert.deepEqual(
    cgroup.hierarchies.map((each) => [each.controllers, each.name, each.ownDirectory, each.writable]),
    [
      [["cpu", "cpuacct"], "", "/sys/fs/cgroup/cpu,cpuacct", false],
      [["devices"], "", "/sys/fs/cgroup/devices/a b", true],
      [[], "systemd", "/sys/fs/cgroup/systemd", false],
    ],
  );
  assert.equal(cgroup.unified?.mountPoint, "/sys/fs/cgroup/unified");
});

test("v1 alone, and no cgroups at all", () => {
  const v1 = probeHost(
    machineOf({
      "/proc/self/mountinfo": "32 31 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
      "/proc/self/cgroup": "1:pids:/\n0::/\n",
    }),
    root,
  );
  assert.equal(v1.cgroup.mode, "v1");
  assert.equal(probeHost(machineOf({}), root).cgroup.mode, "none");
});

test("inside a container the mounted subtree is stripped, and a path outside it has no directory", () => {
  const inside = (ownPath: string): string | undefined =>
    probeHost(
      machineOf({
        "/proc/self/mountinfo": "30 23 0:26 /docker/ab\\040c /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
        "/proc/self/cgroup": `0::${ownPath}\n`,
      }),
      root,
    ).cgroup.unified?.ownDirectory;
  assert.equal(inside("/docker/ab c"), "/sys/fs/cgroup");
  assert.equal(inside("/docker/ab c/child"), "/sys/fs/cgroup/child");
  assert.equal(inside("/docker/ab cd"), "");
  assert.equal(inside("/../sibling"), "");
});

test("subordinate ids are found by name and by uid, and only one's own", () => {
  const facts = probeHost(
    machineOf(
      {
        "/etc/passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
        "/etc/subuid": "# comment\nbob:1:1\nalice:100000:65536\n1000:300000:10\nalice:bad:5\n",
        "/etc/subgid": "alicex:100000:65536\n",
      },
      [],
      ["/usr/bin/newuidmap"],
    ),
    alice,
  );
  assert.equal(facts.identity.userName, "alice");
  assert.deepEqual(facts.subordinateIds, {
    uids: [
      { start: 100000, count: 65536 },
      { start: 300000, count: 10 },
    ],
    gids: [],
    newuidmap: "/usr/bin/newuidmap",
    newgidmap: "",
  });
});

test("a uid without a passwd entry has no name, and so no range by an empty name", () => {
  const facts = probeHost(machineOf({ "/etc/subuid": ":100000:65536\n" }), alice);
  assert.equal(facts.identity.userName, "");
  assert.deepEqual(facts.subordinateIds.uids, []);
});

test("user namespaces: what forbids them", () => {
  const maps = {
    "/proc/self/uid_map": "         0          0 4294967295\n",
    "/proc/self/gid_map": "0 0 4294967295\n",
  };
  const facts = (files: Readonly<Record<string, string>>) =>
    probeHost(machineOf({ ...maps, ...files }), alice).userNamespace;
  assert.equal(facts({}).initial, true);
  assert.equal(facts({}).unprivilegedAllowed, true);
  assert.equal(facts({ "/proc/sys/user/max_user_namespaces": "0\n" }).unprivilegedAllowed, false);
  assert.equal(facts({ "/proc/sys/kernel/unprivileged_userns_clone": "0\n" }).unprivilegedAllowed, false);
  assert.equal(
    facts({ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n" }).unprivilegedAllowed,
    false,
  );
  assert.equal(facts({ "/proc/self/uid_map": "0 100000 65536\n" }).initial, false);
  assert.equal(facts({ "/proc/self/setgroups": "deny\n" }).setgroupsDenied, true);
  assert.equal(probeHost(machineOf({}), alice).userNamespace.supported, false);
});

test("capabilities and limits come from their rows, infinity is undefined", () => {
  const facts = probeHost(
    machineOf({
      "/proc/self/status":
        "Name:\tx\nCapPrm:\t000001fffeffffff\nCapEff:\t0000000000000400\nCapBnd:\t000001ffffffffff\nSeccomp:\t0\n",
      "/proc/self/limits":
        "Limit                     Soft Limit           Hard Limit           Units     \n" +
        "Max processes             96365                unlimited            processes \n" +
        "Max open files            1024                 20000                files     \n",
    }),
    root,
  );
  assert.deepEqual(facts.capabilities, {
    effective: 0x400n,
    permitted: 0x1fffeffffffn,
    bounding: 0x1ffffffffffn,
  });
  assert.deepEqual(facts.limits, {
    nofile: { soft: 1024n, hard: 20000n },
    nproc: { soft: 96365n, hard: undefined },
  });
  assert.equal(facts.seccomp.available, true);
});

test("filesystems, security modules, CPUs and the paths to mask", () => {
  const facts = probeHost(
    machineOf({
      "/proc/filesystems": "nodev\toverlay\n\text4\nnodev\tmqueue\n",
      "/sys/kernel/security/lsm": "capability,landlock,apparmor",
      "/sys/module/apparmor/parameters/enabled": "Y\n",
      "/sys/devices/system/cpu/online": "0-2,5\n",
      "/sys/devices/system/cpu/cpu0/thermal_throttle/x": "",
      "/sys/devices/system/cpu/cpu5/thermal_throttle/x": "",
      "/proc/keys": "",
      "/proc/asound/cards": "",
    }),
    root,
  );
  assert.deepEqual(facts.filesystems, ["overlay", "ext4", "mqueue"]);
  assert.equal(facts.mqueue, true);
  assert.deepEqual(facts.overlay, { registered: true, userxattr: true });
  assert.deepEqual(facts.securityModules, {
    enabled: ["capability", "landlock", "apparmor"],
    apparmor: true,
    apparmorProfiles: undefined,
    selinux: false,
  });
  const profilesOf = (files: Readonly<Record<string, string>>) =>
    probeHost(machineOf({ "/sys/module/apparmor/parameters/enabled": "Y\n", ...files }), root).securityModules
      .apparmorProfiles;
  const directory = "/sys/kernel/security/apparmor";
  assert.deepEqual(profilesOf({ [`${directory}/profiles`]: "a b (enforce)\nc (complain)\n" }), ["a b", "c"]);
  assert.deepEqual(profilesOf({ [`${directory}/policy/profiles/a.b.12/name`]: "a.b\n" }), ["a.b"]);
  assert.equal(facts.cpus, 4);
  assert.deepEqual(facts.thermalThrottlePaths, [
    "/sys/devices/system/cpu/cpu0/thermal_throttle",
    "/sys/devices/system/cpu/cpu5/thermal_throttle",
  ]);
  assert.deepEqual(facts.presentPaths, ["/proc/asound", "/proc/keys"]);
});

test("a part is read once, and only when asked for", () => {
  const reads: string[] = [];
  const facts = probeHost(
    {
      ...machineOf({}),
      read(path) {
        reads.push(path);
        return undefined;
      },
    },
    root,
  );
  assert.deepEqual(reads, []);
  assert.equal(facts.cpus, facts.cpus);
  assert.deepEqual(reads, ["/sys/devices/system/cpu/online"]);
});

test("this machine is described without throwing", () => {
  const facts = probeHost();
  assert.ok(facts.kernel.major >= 4);
  assert.notEqual(facts.userNamespace.uidMap.length, 0);
  assert.ok(facts.limits.nofile.soft === undefined || facts.limits.nofile.soft > 0n);
});
