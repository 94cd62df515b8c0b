import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { parseCapabilities } from "./capabilities.ts";
import { splitRecord } from "./comma-separated.ts";
import { parseEnvironment, parseLabels, readEnvironmentFile } from "./environment.ts";
import {
  chooseUserNamespaceMode,
  parseIdMaps,
  parseIpcMode,
  parseNamespaceMode,
  parseNetworkMode,
  parseUserNamespaceMode,
} from "./namespaces.ts";
import {
  parseEntrypoint,
  parseHostname,
  parseName,
  parsePlatform,
  parseSignal,
  parseSysctl,
  parseUlimit,
} from "./process.ts";
import { parseAddHost, parseDevice, parseDeviceRule, parseDns, parseSecurityOptions } from "./security.ts";
import {
  parseBytes,
  parseBytesOrUnlimited,
  parseInteger,
  parseNanoCpus,
  parseNumberList,
  parseOctal,
} from "./sizes.ts";

const invalid = { code: "invalid-flag-value" };
const unsupported = { code: "flag-unsupported" };

test("sizes have docker's units", () => {
  const rows: readonly [string, bigint][] = [
    ["0", 0n],
    ["1024", 1024n],
    ["64m", 64n << 20n],
    ["64M", 64n << 20n],
    ["64MiB", 64n << 20n],
    ["64mb", 64n << 20n],
    ["1.5g", 1536n << 20n],
    ["512k", 512n << 10n],
    ["10b", 10n],
  ];
  for (const [text, bytes] of rows) assert.equal(parseBytes("--memory", text), bytes, text);
  for (const text of ["", "m", "-1", "1x", "1e3", "9999999999999999999", "0x10", "1 2"]) {
    assert.throws(() => parseBytes("--memory", text), { ...invalid, operand: "--memory" }, text);
  }
  assert.equal(parseBytesOrUnlimited("--memory-swap", "-1"), -1n);
});

test("CPUs, integers, lists and modes", () => {
  assert.equal(parseNanoCpus("--cpus", "1.5"), 1_500_000_000n);
  assert.equal(parseNanoCpus("--cpus", ".25"), 250_000_000n);
  for (const text of ["", ".", "-1", "1.0000000001", "x"]) {
    assert.throws(() => parseNanoCpus("--cpus", text), invalid, text);
  }
  assert.equal(parseInteger("--pids-limit", "-1", { minimum: -1n }), -1n);
  for (const text of ["-2", "", "1.5", "0x1"]) {
    assert.throws(() => parseInteger("--pids-limit", text, { minimum: -1n }), invalid, text);
  }
  assert.equal(parseNumberList("--cpuset-cpus", "0-3,7"), "0-3,7");
  for (const text of ["", "a", "3-1", "0,", "0\n1"]) {
    assert.throws(() => parseNumberList("--cpuset-cpus", text), invalid, text);
  }
  assert.equal(parseOctal("--umask", "0022", 0o777), 0o22);
  for (const text of ["8", "", "1000", "-1"])
    assert.throws(() => parseOctal("--umask", text, 0o777), invalid, text);
});

test("a record of CSV keeps commas in quotes", () => {
  assert.deepEqual(splitRecord("--mount", 'type=bind,"source=/a,b",target=/c'), [
    "type=bind",
    "source=/a,b",
    "target=/c",
  ]);
  assert.deepEqual(splitRecord("--mount", '"a""b",'), ['a"b', ""]);
  assert.throws(() => splitRecord("--mount", '"a'), invalid);
  assert.throws(() => splitRecord("--mount", '"a"b'), invalid);
});

test("capabilities in any spelling", () => {
  assert.deepEqual(parseCapabilities("--cap-add", ["net_admin,CAP_CHOWN", "all"]), [
    "CAP_NET_ADMIN",
    "CAP_CHOWN",
    "ALL",
  ]);
  assert.throws(() => parseCapabilities("--cap-add", ["NET_ROOT"]), { ...invalid, operand: "--cap-add" });
});

test("namespaces", () => {
  assert.deepEqual(parseNamespaceMode("--pid", "host"), { mode: "host" });
  assert.deepEqual(parseNamespaceMode("--pid", "private"), { mode: "private" });
  assert.deepEqual(parseNamespaceMode("--pid", "ns:/proc/1/ns/pid"), {
    mode: "path",
    path: "/proc/1/ns/pid",
  });
  assert.deepEqual(parseNamespaceMode("--pid", "container:web"), { mode: "container", container: "web" });
  assert.deepEqual(parseNetworkMode("container:web"), { mode: "container", container: "web" });
  assert.deepEqual(parseUserNamespaceMode("container:web"), { mode: "container", container: "web" });
  assert.throws(() => parseNamespaceMode("--pid", "container:"), invalid);
  assert.throws(() => parseNamespaceMode("--pid", "ns:relative"), invalid);
  assert.throws(() => parseNamespaceMode("--pid", "hots"), invalid);
  assert.deepEqual(parseIpcMode("shareable"), { mode: "private" });
  assert.deepEqual(parseIpcMode("none"), { mode: "none" });
  assert.deepEqual(parseNetworkMode("none"), { mode: "none" });
  assert.throws(() => parseNetworkMode("bridge"), unsupported);
  assert.throws(() => parseNetworkMode("my-net"), unsupported);
  assert.deepEqual(parseUserNamespaceMode("keep-id:uid=7,gid=8"), { mode: "keep-id", uid: 7, gid: 8 });
  assert.throws(() => parseUserNamespaceMode("keep-id:uid=x"), invalid);
  assert.throws(() => parseUserNamespaceMode("ns:/proc/1/ns/user"), unsupported);
});

test("whose ids: modes with their options, maps and names", () => {
  assert.deepEqual(parseUserNamespaceMode("auto"), { mode: "auto" });
  assert.deepEqual(parseUserNamespaceMode("auto:size=4096"), { mode: "auto", size: 4096 });
  assert.deepEqual(parseUserNamespaceMode("nomap"), { mode: "nomap" });
  assert.throws(() => parseUserNamespaceMode("auto:uidmapping=0:1:2"), unsupported);
  for (const text of ["auto:size=0", "auto:uid=1", "nomap:size=1", "private:x", "keep-id:size=99999999999"]) {
    assert.throws(() => parseUserNamespaceMode(text), invalid, text);
  }
  assert.deepEqual(parseIdMaps("--uidmap", ["0:1:1000,1000:0", "5000:@77:2"]), [
    { containerID: 0, from: 1, host: false, size: 1000 },
    { containerID: 1000, from: 0, host: false, size: 1 },
    { containerID: 5000, from: 77, host: true, size: 2 },
  ]);
  for (const text of ["0:1:0", "0", "a:b:c", "0:1:2:3", "-1:0:1", "0:4294967294:2"]) {
    assert.throws(() => parseIdMaps("--gidmap", [text]), { ...invalid, operand: "--gidmap" }, text);
  }
  const none = { userns: undefined, uidmap: [], gidmap: [], subuidname: undefined, subgidname: undefined };
  assert.equal(chooseUserNamespaceMode(none), undefined);
  assert.deepEqual(chooseUserNamespaceMode({ ...none, subgidname: "ann" }), {
    mode: "named",
    uidName: "ann",
    gidName: "ann",
  });
  const conflicting = { code: "flag-conflict" };
  assert.throws(() => chooseUserNamespaceMode({ ...none, userns: "auto", uidmap: ["0:1:1"] }), conflicting);
  assert.throws(() => chooseUserNamespaceMode({ ...none, subuidname: "x", gidmap: ["0:1:1"] }), conflicting);
});

test("security options", () => {
  const parsed = parseSecurityOptions(
    [
      "seccomp=profile.json",
      "no-new-privileges:true",
      "apparmor=unconfined",
      "label=disable",
      "mask=/proc/a:/proc/b",
      "unmask=ALL",
      "proc-opts=hidepid=2,subset=pid",
    ],
    "/home/ann",
  );
  assert.deepEqual(parsed, {
    seccomp: { kind: "file", path: "/home/ann/profile.json" },
    noNewPrivileges: true,
    apparmor: "unconfined",
    label: ["disable"],
    mask: ["/proc/a", "/proc/b"],
    unmask: ["ALL"],
    procOptions: ["hidepid=2", "subset=pid"],
  });
  for (const text of [
    "seccomp",
    "seccomp=",
    "no-new-privileges=maybe",
    "apparmor",
    "label=oops",
    "mask=relative",
    "unmask=",
    "proc-opts=uid=0",
    "unknown=1",
  ]) {
    assert.throws(() => parseSecurityOptions([text], "/"), { ...invalid, operand: "--security-opt" }, text);
  }
});

test("devices and their rules", () => {
  assert.deepEqual(parseDevice("/dev/fuse"), { source: "/dev/fuse", target: "/dev/fuse", access: "rwm" });
  assert.deepEqual(parseDevice("/dev/sda:/dev/xvda:r"), {
    source: "/dev/sda",
    target: "/dev/xvda",
    access: "r",
  });
  assert.deepEqual(parseDevice("/dev/sda:rw"), { source: "/dev/sda", target: "/dev/sda", access: "rw" });
  for (const text of ["fuse", "/dev/a:b", "/a:/b:/c", "/dev/a:/dev/b:rr", ""]) {
    assert.throws(() => parseDevice(text), invalid, text);
  }
  assert.deepEqual(parseDeviceRule("c 10:* rw"), { allow: true, type: "c", major: 10, access: "rw" });
  for (const text of ["x 1:1 r", "c 1 r", "c 1:1 x"])
    assert.throws(() => parseDeviceRule(text), invalid, text);
});

test("hosts and name servers", () => {
  assert.deepEqual(parseAddHost("a;b:10.0.0.1"), [
    { name: "a", address: "10.0.0.1" },
    { name: "b", address: "10.0.0.1" },
  ]);
  assert.deepEqual(parseAddHost("six=[fe80::1]"), [{ name: "six", address: "fe80::1" }]);
  for (const text of ["a", "a:b", ":10.0.0.1", "a b:10.0.0.1", "a:host-gateway", "a:10.0.0.1\n1.1.1.1 x"]) {
    assert.throws(() => parseAddHost(text), invalid, text);
  }
  assert.equal(parseDns("none"), "none");
  assert.throws(() => parseDns("dns.example"), invalid);
});

test("process values", () => {
  const unlimited = (1n << 64n) - 1n;
  assert.deepEqual(parseUlimit("nofile=1024:4096"), { type: "RLIMIT_NOFILE", soft: 1024n, hard: 4096n });
  assert.deepEqual(parseUlimit("core=-1"), { type: "RLIMIT_CORE", soft: unlimited, hard: unlimited });
  assert.equal(parseUlimit("host"), "host");
  for (const text of ["nofile", "nofile=", "nofile=2:1", "files=1", "nofile=-1:5", "nofile=1:2:3"]) {
    assert.throws(() => parseUlimit(text), invalid, text);
  }
  for (const [text, name] of [
    ["TERM", "SIGTERM"],
    ["sigint", "SIGINT"],
    ["9", "SIGKILL"],
    ["RTMIN+3", "SIGRTMIN+3"],
  ] as const) {
    assert.equal(parseSignal("--stop-signal", text), name);
  }
  for (const text of ["", "0", "65", "SIGNOPE", "RTMIN+40"]) {
    assert.throws(() => parseSignal("--stop-signal", text), invalid, text);
  }
  assert.deepEqual(parseEntrypoint(""), []);
  assert.deepEqual(parseEntrypoint("/bin/sh"), ["/bin/sh"]);
  assert.deepEqual(parseEntrypoint('["a","b c"]'), ["a", "b c"]);
  assert.deepEqual(parseEntrypoint("[odd"), ["[odd"]);
  assert.deepEqual(parseSysctl("net/core/somaxconn=10"), ["net.core.somaxconn", "10"]);
  for (const text of ["a=1", "net.core.somaxconn", "net..x=1", "../x=1", "net.a b=1", "/etc/passwd=1"]) {
    assert.throws(() => parseSysctl(text), invalid, text);
  }
  assert.deepEqual(parsePlatform("linux/arm64/v8"), { os: "linux", architecture: "arm64", variant: "v8" });
  assert.deepEqual(parsePlatform("x86_64"), { os: "linux", architecture: "amd64" });
  assert.throws(() => parsePlatform("a/b/c/d"), invalid);
  assert.equal(parseName("--name", "/web-1"), "web-1");
  for (const text of ["", "-x", "a/b", "..", "a b"])
    assert.throws(() => parseName("--name", text), invalid, text);
  assert.equal(parseHostname("--hostname", "web.example"), "web.example");
  for (const text of ["", "-a", "a..b", "a\nb", "x".repeat(65)]) {
    assert.throws(() => parseHostname("--hostname", text), invalid, text);
  }
});

test("environment: values, the caller's own, prefixes and files", () => {
  const host = { A: "1", AB: "2", B: "3" };
  assert.deepEqual(parseEnvironment("--env", "X=a=b", host), [{ name: "X", value: "a=b", flag: "--env" }]);
  assert.deepEqual(parseEnvironment("--env", "A", host), [{ name: "A", value: "1", flag: "--env" }]);
  assert.deepEqual(parseEnvironment("--env", "NONE", host), []);
  assert.deepEqual(
    parseEnvironment("--env", "A*", host).map(({ name }) => name),
    ["A", "AB"],
  );
  assert.throws(() => parseEnvironment("--env", "=x", host), invalid);

  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-env-"));
  try {
    const file = path.join(directory, "env");
    fs.writeFileSync(file, '\ufeff# comment\n\nX="quoted stays"\r\nA\n  Y= z \n');
    assert.deepEqual(
      readEnvironmentFile(file, host).map((change) =>
        "value" in change ? `${change.name}=${change.value}` : "",
      ),
      ['X="quoted stays"', "A=1", "Y= z "],
    );
    fs.writeFileSync(file, "BAD NAME=1\n");
    assert.throws(() => readEnvironmentFile(file, host), invalid);
    assert.throws(() => readEnvironmentFile(path.join(directory, "none"), host), {
      code: "flag-file-unreadable",
    });
    fs.writeFileSync(file, "a=file\nb=file\n");
    const labels = parseLabels(["a=flag", "c"], [file]);
    assert.deepEqual(
      [...labels].map(([key, { value, flag }]) => [key, value, flag]),
      [
        ["a", "flag", "--label"],
        ["b", "file", "--label-file"],
        ["c", "", "--label"],
      ],
    );
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
});
