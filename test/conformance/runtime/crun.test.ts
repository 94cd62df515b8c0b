/** What engines ask of crun beyond the spec: its mount options, annotations and defaults. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
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
  runBundle,
  runtime,
  scratch,
} from "./support.ts";

const section = "the options of crun";

/** A user namespace that has all ids of the host from 0 on. */
function withAllIds(config: Config): void {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 65_536 }];
  config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 65_536 }];
}

must(section, "a user namespace without maps has the caller as root", () => {
  const shown = output("cat /proc/self/uid_map /proc/self/gid_map", (config) => {
    config.linux.namespaces.push({ type: "user" });
  });
  assert.deepEqual(shown.split(/\s+/), ["0", "0", "1", "0", "0", "1"]);
});

must(section, "idmap= with maps of its own", () => {
  const directory = scratch();
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "mode=755", "idmap-test", directory]);
  assert.equal(mounted.status, 0);
  try {
    fs.writeFileSync(path.join(directory, "file"), "");
    fs.chownSync(path.join(directory, "file"), 1, 2);
    const shown = output("stat -c %u:%g /data/file", (config) => {
      withAllIds(config);
      config.mounts.push({
        destination: "/data",
        source: directory,
        type: "bind",
        options: ["bind", "idmap=uids=0-100-10;gids=0-200-1#1-300-10"],
      });
    });
    assert.equal(shown, "101:301");
    const below = path.join(directory, "below");
    fs.mkdirSync(below);
    assert.equal(spawnSync("mount", ["-t", "tmpfs", "idmap-test", below]).status, 0);
    fs.writeFileSync(path.join(below, "hidden"), "");
    const alone = output("stat -c %u:%g /data/file; ls /data/below; cat /proc/self/mountinfo", (config) => {
      withAllIds(config);
      config.mounts.push({
        destination: "/data",
        source: directory,
        type: "bind",
        options: ["bind", "idmap=uids=0-100-10;gids=0-300-10"],
      });
    });
    assert.match(alone, /^101:302\n\d/, "of it alone, though a mount lies on it");
    assert.doesNotMatch(alone, / \/data [^-]*shared:/, "what is mounted there does not reach the host");
    refused(
      run("true", (config) => {
        withAllIds(config);
        config.mounts.push({
          destination: "/data",
          source: directory,
          type: "bind",
          options: ["bind", "idmap=uids=0-100"],
        });
      }),
    );
  } finally {
    spawnSync("umount", ["--recursive", directory]);
  }
});

must(section, "copy-symlink: a source that is a link is the same link in the container", () => {
  const directory = scratch();
  fs.symlinkSync("to/nowhere", path.join(directory, "link"));
  const shown = output("readlink /a/b/link", (config) => {
    config.mounts.push({
      destination: "/a/b/link",
      source: path.join(directory, "link"),
      type: "bind",
      options: ["rbind", "copy-symlink"],
    });
  });
  assert.equal(shown, "to/nowhere");
});

must(section, "a device that the host has not, in a user namespace: its numbers, mode and owner", () => {
  const script =
    "stat -c '%t:%T %a %u:%g' /dev/vt-zero; head -c 4 /dev/vt-zero | wc -c; grep -c vt-zero /proc/mounts";
  const shown = output(script, (config) => {
    withAllIds(config);
    config.linux.resources.devices.push({ allow: true, type: "c", major: 1, minor: 5, access: "rwm" });
    config.linux.devices = [
      { path: "/dev/vt-zero", type: "c", major: 1, minor: 5, fileMode: 0o640, uid: 10, gid: 11 },
    ];
    config.process.user = { uid: 10, gid: 11 };
  });
  assert.equal(shown, "1:5 640 10:11\n4\n1");
  assert.equal(fs.existsSync("/dev/vt-zero"), false);
});

must(section, "run.oci.keep_original_groups: the caller's groups stay", () => {
  const change = (config: Config) => {
    config.annotations = { "run.oci.keep_original_groups": "1" };
    config.process.user.additionalGids = [77];
  };
  const directory = bundle("grep Groups: /proc/self/status", change);
  const id = newId();
  const words = [runtime, "--root", root, "run", "--bundle", directory, id];
  const done = spawnSync("setpriv", ["--groups", "41,42", ...words], { encoding: "utf8" });
  call(["delete", "--force", id]);
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stdout, /^Groups:\s*41 42\s*$/);
});

must(section, "run.oci.hooks.stdout and .stderr: files that get what hooks print", () => {
  const directory = scratch();
  const [out, err] = [path.join(directory, "out"), path.join(directory, "err")];
  fs.writeFileSync(out, "before\n");
  const hook = (word: string) => ({
    path: "/bin/sh",
    args: ["sh", "-c", `echo ${word}; echo ${word}-error >&2`],
  });
  const { status, stderr } = run("true", (config) => {
    config.annotations = { "run.oci.hooks.stdout": out, "run.oci.hooks.stderr": err };
    config.hooks = {
      createRuntime: [hook("one")],
      createContainer: [hook("two")],
      poststop: [hook("three")],
    };
  });
  assert.equal(status, 0, stderr);
  assert.equal(fs.readFileSync(out, "utf8"), "before\none\ntwo\nthree\n");
  assert.equal(fs.readFileSync(err, "utf8"), "one-error\ntwo-error\nthree-error\n");
});

must(section, "run.oci.seccomp_fail_unknown_syscall: a name that no machine has is an error", () => {
  const directory = bundle("echo runs", (config) => {
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["no_such_call_12345"], action: "SCMP_ACT_ERRNO" }],
    };
  });
  assert.equal(runBundle(directory).stdout, "runs\n");
  const file = path.join(directory, "config.json");
  const config = JSON.parse(fs.readFileSync(file, "utf8")) as object;
  const annotations = { "run.oci.seccomp_fail_unknown_syscall": "1" };
  fs.writeFileSync(file, JSON.stringify({ ...config, annotations }));
  refused(runBundle(directory));
});

must(section, "delete --regex: all whose ids match", () => {
  const directory = bundle("sleep 1000");
  const ids = [newId(), newId(), newId()];
  for (const id of ids) assert.equal(call(["create", "--bundle", directory, id]).status, 0);
  const [first, second, third] = ids as [string, string, string];
  assert.equal(call(["delete", "--force", "--regex", `^(${first}|${second})$`]).status, 0);
  for (const id of [first, second]) refused(call(["state", id]));
  assert.equal(call(["state", third]).status, 0);
});

must(section, "a poststop hook that fails is told, and is no error", () => {
  const { status, stderr } = run("true", (config) => {
    config.hooks = { poststop: [{ path: "/bin/false" }] };
  });
  assert.equal(status, 0);
  assert.match(stderr, /poststop hook failed with exit code 1: \/bin\/false/);
});
