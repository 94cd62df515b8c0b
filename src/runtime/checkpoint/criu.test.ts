import assert from "node:assert/strict";
import { test } from "node:test";
import { complaintOf, type DumpOptions, dumpArguments, restoreArguments } from "./criu.ts";

const plain: DumpOptions = {
  imagePath: "/images",
  workPath: "/work",
  tcpEstablished: false,
  extUnixSk: false,
  shellJob: false,
  fileLocks: false,
  lazyPages: false,
  autoDedup: false,
  manageCgroups: "soft",
  emptyNetwork: false,
  leaveRunning: false,
  preDump: false,
  linkRemap: false,
  tcpSkipInFlight: false,
};
const dumped = { pid: 7, rootfs: "/b/rootfs", mounts: [], namespaces: [], files: [] };
const common = "--images-dir /images --work-dir /work --log-file dump.log -v4 --manage-cgroups=soft".split(
  " ",
);

test("a dump with nothing asked for", () => {
  const wanted = ["dump", "--tree", "7", "--root", "/b/rootfs", ...common];
  assert.deepEqual(dumpArguments(plain, dumped), wanted);
});

test("each option of runc is one of criu", () => {
  const flags: readonly (readonly [Partial<DumpOptions>, ...string[]])[] = [
    [{ tcpEstablished: true }, "--tcp-established"],
    [{ extUnixSk: true }, "--ext-unix-sk"],
    [{ shellJob: true }, "--shell-job"],
    [{ fileLocks: true }, "--file-locks"],
    [{ lazyPages: true }, "--lazy-pages"],
    [{ autoDedup: true }, "--auto-dedup"],
    [{ manageCgroups: "ignore" }, "--manage-cgroups=ignore"],
    [{ emptyNetwork: true }, "--empty-ns", "net"],
    [{ leaveRunning: true }, "--leave-running"],
    [{ parentPath: "../one" }, "--track-mem", "--prev-images-dir", "../one"],
    [{ linkRemap: true }, "--link-remap"],
    [{ tcpSkipInFlight: true }, "--skip-in-flight"],
    [{ statusFd: 3 }, "--status-fd", "3"],
    [{ pageServer: { address: "::1", port: "80" } }, "--page-server", "--address", "::1", "--port", "80"],
  ];
  for (const [option, ...words] of flags) {
    const text = dumpArguments({ ...plain, ...option }, dumped).join(" ");
    assert.ok(`${text} `.includes(`${words.join(" ")} `), `${words.join(" ")} in ${text}`);
  }
});

test("a pre-dump goes on by itself and tracks what is written", () => {
  const words = dumpArguments({ ...plain, preDump: true, leaveRunning: true }, dumped);
  assert.equal(words[0], "pre-dump");
  assert.ok(words.includes("--track-mem"));
  assert.ok(!words.includes("--leave-running"));
});

test("what is the host's is named in the dump, and given back by that name", () => {
  const mounts = [{ point: "/run/data", name: "/var/run/data", source: "/host/data" }];
  const words = dumpArguments(plain, {
    ...dumped,
    mounts,
    namespaces: [{ kind: "net", path: "/run/netns/a", inode: 4026532000n }],
    files: ["file[16:4]"],
    freezer: "/sys/fs/cgroup/x",
  });
  assert.deepEqual(words.slice(5 + common.length), [
    "--external",
    "mnt[/run/data]:/var/run/data",
    "--external",
    "net[4026532000]:extRootNetNS",
    "--external",
    "file[16:4]",
    "--freeze-cgroup",
    "/sys/fs/cgroup/x",
  ]);
  const back = restoreArguments(plain, {
    root: "/state/root",
    pidFile: "/state/pid",
    cgroupRoots: ["/vitrine/a"],
    mounts,
    firstDescriptor: 3,
    namespaces: [{ kind: "net", path: "/run/netns/a" }],
    streams: [undefined, "pipe:[9]", "file[16:4]"],
    follow: ["/helper", "adopt"],
  });
  assert.deepEqual(back.slice(0, 5), ["restore", "--root", "/state/root", "--pidfile", "/state/pid"]);
  const text = back.join(" ");
  assert.ok(text.includes("--cgroup-root /vitrine/a --external mnt[/var/run/data]:/host/data"));
  assert.ok(text.includes("--inherit-fd fd[3]:extRootNetNS --inherit-fd fd[1]:pipe:[9]"));
  assert.ok(text.endsWith("--inherit-fd fd[2]:file[16:4] --exec-cmd -- /helper adopt"));
});

test("the complaint is the first and the last errors of the log, without their places", () => {
  const log = [
    "(00.1) Warn  (criu/kerndat.c:1): something",
    "(00.2) Error (criu/a.c:1): one",
    "(00.3)    41: Error (criu/b.c:2): two",
    "(00.4) Error (criu/c.c:3): three",
    "(00.5) Error (criu/d.c:4): four",
    "(00.6) Error (criu/e.c:5): five",
    "(00.7) Error (criu/f.c:6): six",
    "",
  ].join("\n");
  assert.equal(complaintOf(log), "one; …; three; four; five; six");
  assert.equal(complaintOf(log.split("\n").slice(0, 3).join("\n")), "one; two");
  assert.equal(complaintOf("(00.1) fine"), "");
});
