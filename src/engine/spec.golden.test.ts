/**
 * Whole specifications, with the origin of every field: `UPDATE_GOLDEN=1 node --test src/engine/spec.golden.test.ts`
 * writes them anew, the diff is read.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { toJson } from "../oci/mod.ts";
import { bareUserHost, rootHost, seccomp, specInput, userHost } from "./fixtures.ts";
import type { SpecInput } from "./spec/input.ts";
import { makeSpecification } from "./spec.ts";

const directory = path.join(import.meta.dirname, "golden");

const cases: Readonly<Record<string, SpecInput>> = {
  "root-plain": specInput(),
  "root-flags": specInput({
    command: ["ls", "-l"],
    entrypoint: [],
    tty: true,
    environment: [
      { name: "LANG", value: "de_DE.UTF-8", flag: "--env" },
      { name: "container", unset: true, flag: "--unsetenv" },
    ],
    workdir: "/srv/./x/..",
    user: "app",
    groups: ["777"],
    umask: 0o77,
    hostname: "web",
    mounts: [
      {
        kind: "bind",
        source: "/srv/data",
        target: "/data/deep",
        readOnly: "recursive-if-possible",
        recursive: true,
        propagation: "rslave",
        options: ["noexec", "dev"],
        flag: "--volume",
      },
      { kind: "tmpfs", target: "/data", options: ["size=1048576", "exec"], flag: "--tmpfs" },
      { kind: "anonymous", target: "/cache", readOnly: false, copyUp: true, flag: "--volume" },
    ],
    readOnly: true,
    shmSize: 1048576n,
    capAdd: ["CAP_NET_ADMIN"],
    capDrop: ["CAP_CHOWN"],
    security: {
      seccomp: { kind: "file", path: "/etc/profile.json" },
      noNewPrivileges: true,
      label: [],
      mask: ["/etc/secret"],
      unmask: ["/proc/a*", "/proc/sys"],
      procOptions: ["hidepid=2"],
    },
    devices: [{ source: "/dev/fuse", target: "/dev/fuse", access: "rw" }],
    sysctls: new Map([["net.core.somaxconn", "1024"]]),
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 10n, hard: 20n }],
    resources: { memory: 64n << 20n, nanoCpus: 1_500_000_000n, pidsLimit: -1n, deviceRules: [] },
    annotations: new Map([["org.example/a~b", "1"]]),
    addHosts: [{ name: "db", address: "10.0.0.5" }],
    dns: ["10.0.0.53"],
  }),
  "root-privileged": specInput({ privileged: true }),
  "root-host-namespaces": specInput({
    network: { mode: "host" },
    pid: { mode: "host" },
    ipc: { mode: "host" },
    uts: { mode: "host" },
    cgroupns: { mode: "host" },
    time: { mode: "host" },
  }),
  "user-plain": specInput({}, { host: userHost }),
  "user-host-namespaces": specInput(
    { network: { mode: "host" }, pid: { mode: "host" }, cgroupns: { mode: "host" } },
    { host: userHost },
  ),
  "user-keep-id": specInput({ userns: { mode: "keep-id" } }, { host: userHost }),
  "user-single-id": specInput({}, { host: bareUserHost }),
  "root-volumes": specInput(
    { imageVolumes: "anonymous" },
    {
      image: {
        architecture: "amd64",
        os: "linux",
        config: { Cmd: ["sh"], User: "1000:29", Volumes: ["/data", "/../etc", "/var/lib/db"] },
        rootfs: { type: "layers", diff_ids: [] },
      },
      host: {
        ...rootHost,
        mqueue: false,
        securityModules: { enabled: [], apparmor: true, apparmorProfiles: [], selinux: false },
      },
    },
  ),
};

for (const [name, input] of Object.entries(cases)) {
  test(name, () => {
    const made = makeSpecification(input, seccomp);
    const text = `${toJson({ ...made, origins: Object.fromEntries(made.origins) }, 2)}\n`;
    const file = path.join(directory, `${name}.json`);
    if (process.env["UPDATE_GOLDEN"] === "1") {
      fs.mkdirSync(directory, { recursive: true });
      fs.writeFileSync(file, text);
    }
    assert.equal(text, fs.readFileSync(file, "utf8"));
  });
}
