/** What youki's list of cases asks and no other test of ours did (docs/runtime-conformance.md has the whole list). */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  bundle,
  type Config,
  call,
  must,
  newId,
  output,
  refused,
  root,
  run,
  runtime,
  scratch,
} from "./support.ts";

const options = "config.md#linux-mount-options";

/** A mount with a mount below it, both with `flags` (mount(8)). */
function withTree(flags: string, body: (directory: string) => void): void {
  const directory = scratch();
  const below = path.join(directory, "below");
  const mount = (target: string, words: string) =>
    assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", words, "tree", target]).status, 0);
  mount(directory, "mode=755");
  try {
    fs.mkdirSync(below);
    mount(below, flags);
    assert.equal(spawnSync("mount", ["-o", `remount,${flags}`, directory]).status, 0);
    body(directory);
  } finally {
    spawnSync("umount", ["--recursive", directory]);
  }
}

/** The flags of /data and /data/below in the container. */
function flagsOf(directory: string, words: readonly string[]): readonly (readonly string[])[] {
  const script = "grep -E ' /data(/below)? ' /proc/self/mountinfo | cut -d ' ' -f 6";
  return output(script, (config: Config) => {
    config.mounts.push({
      destination: "/data",
      source: directory,
      type: "bind",
      options: ["rbind", ...words],
    });
  })
    .split("\n")
    .map((line) => line.split(","));
}

/** A recursive word, the flag that it is about, and whether the flag is there after it. */
const recursiveWords: readonly (readonly [string, string, boolean])[] = [
  ["rro", "ro", true],
  ["rrw", "ro", false],
  ["rnosuid", "nosuid", true],
  ["rsuid", "nosuid", false],
  ["rnodev", "nodev", true],
  ["rdev", "nodev", false],
  ["rnoexec", "noexec", true],
  ["rexec", "noexec", false],
  ["rnodiratime", "nodiratime", true],
  ["rdiratime", "nodiratime", false],
  ["rnoatime", "noatime", true],
  ["rrelatime", "relatime", true],
  ["rstrictatime", "noatime", false],
  ["rnosymfollow", "nosymfollow", true],
  ["rsymfollow", "nosymfollow", false],
];

must(options, "each recursive word is for the mounts below as well", () => {
  for (const [word, flag, there] of recursiveWords) {
    withTree(there || flag === "nosymfollow" ? "mode=755" : `mode=755,${flag}`, (directory) => {
      const both = flagsOf(directory, [word]);
      assert.equal(both.length, 2, word);
      for (const flags of both) assert.equal(flags.includes(flag), there, `${word}: ${flags}`);
    });
  }
});

must(options, "ro is for the mount alone, rro for those below as well", () => {
  withTree("mode=755", (directory) => {
    assert.deepEqual(
      flagsOf(directory, ["ro"]).map((flags) => flags[0]),
      ["ro", "rw"],
    );
  });
});

must("config.md#mounts", "proc and sysfs go on no link of the image", () => {
  for (const name of ["proc", "sys"]) {
    refused(
      run("true", (_, directory) => {
        const root = path.join(directory, "rootfs");
        fs.rmSync(path.join(root, name), { recursive: true, force: true });
        fs.symlinkSync("/tmp", path.join(root, name));
      }),
    );
  }
});

must("config.md#linux-process", "capabilities: without a bounding set it is empty", () => {
  const shown = output("grep CapBnd /proc/self/status", (config) => {
    config.process.capabilities = { effective: [], permitted: [], inheritable: [] };
  });
  assert.match(shown, /CapBnd:\s*0+$/);
});

must(
  "config.md#linux-process",
  "capabilities: exec has the container's, and those of --cap beside them",
  () => {
    const directory = bundle("exec sleep 1000", (config) => {
      const set = ["CAP_NET_BIND_SERVICE"];
      config.process.capabilities = { bounding: set, effective: set, permitted: set };
    });
    const id = newId();
    assert.equal(call(["run", "--detach", "--bundle", directory, id]).status, 0);
    const effective = (...words: string[]) =>
      /CapEff:\s*(\w+)/.exec(call(["exec", ...words, id, "/bin/cat", "/proc/self/status"]).stdout)?.[1];
    assert.equal(Number.parseInt(effective() ?? "", 16), 1 << 10);
    assert.equal(Number.parseInt(effective("--cap", "CAP_KILL") ?? "", 16), (1 << 10) | (1 << 5));
  },
);

must("runtime.md#create", "--pid-file holds the pid that state tells", () => {
  const file = path.join(scratch(), "pid");
  const id = newId();
  assert.equal(call(["create", "--pid-file", file, "--bundle", bundle("true"), id]).status, 0);
  const { pid } = JSON.parse(call(["state", id]).stdout) as { readonly pid: number };
  assert.equal(fs.readFileSync(file, "utf8"), String(pid));
});

must("config-linux.md#devices", "without fileMode it is 0666, of root", () => {
  const shown = output("stat -c '%t:%T %a %u:%g' /dev/own", (config) => {
    config.linux.devices = [{ path: "/dev/own", type: "c", major: 1, minor: 11 }];
  });
  assert.equal(shown, "1:b 666 0:0");
});

must("config-linux.md#offset-for-time-namespace", "with a user namespace", () => {
  const shown = output("cat /proc/self/timens_offsets", (config, directory) => {
    config.linux.namespaces.push({ type: "time" }, { type: "user" });
    config.linux.timeOffsets = { monotonic: { secs: 7881 }, boottime: { secs: 1337 } };
    config.linux.uidMappings = [{ containerID: 0, hostID: 200_000, size: 65_536 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: 200_000, size: 65_536 }];
    assert.equal(spawnSync("chown", ["-R", "200000:200000", path.join(directory, "rootfs")]).status, 0);
  });
  assert.deepEqual(shown.split(/\s+/), ["monotonic", "7881", "0", "boottime", "1337", "0"]);
});

must("config.md#startcontainer-hooks", "without an env they have the program's, else their own", () => {
  const shown = (env?: readonly string[]) =>
    output("cat /told", (config) => {
      config.process.env = ["PATH=/bin", "OF_PROGRAM=1"];
      const args = [
        "sh",
        "-c",
        "/bin/env | /bin/grep _PROGRAM > /told; /bin/env | /bin/grep _HOOK >> /told; true",
      ];
      config.hooks = { startContainer: [{ path: "/bin/sh", args, ...(env === undefined ? {} : { env }) }] };
    });
  assert.equal(shown(), "OF_PROGRAM=1");
  assert.equal(shown(["OF_HOOK=1"]), "OF_HOOK=1");
});

must("runtime.md#operations", "exec: --ignore-paused waits in a container that is paused", async () => {
  const id = newId();
  assert.equal(call(["run", "--detach", "--bundle", bundle("exec sleep 1000"), id]).status, 0);
  assert.equal(call(["pause", id]).status, 0);
  refused(call(["exec", id, "/bin/true"]));
  const later = ["-c", 'sleep 1; exec "$0" --root "$1" resume "$2"', runtime, root, id];
  const ended = once(spawn("sh", later, { stdio: "ignore" }), "exit");
  try {
    const executed = call(["exec", "--ignore-paused", id, "/bin/echo", "goes on"]);
    assert.deepEqual([executed.status, executed.stdout], [0, "goes on\n"], executed.stderr);
  } finally {
    await ended;
  }
});
