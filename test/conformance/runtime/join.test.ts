/** Containers in the user namespace of another one (config-linux.md#namespaces, #user-namespace-mappings). */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  bundle,
  type Config,
  call,
  must,
  output,
  refused,
  run,
  scratch,
  start,
  state,
  succeeded,
} from "./support.ts";

const section = "config-linux.md#namespaces";
const map = [{ containerID: 0, hostID: 200_000, size: 65_536 }];

function giveRoot(directory: string): void {
  const done = spawnSync("chown", ["-R", "200000:200000", path.join(directory, "rootfs")]);
  assert.equal(done.status, 0);
}

/** A container with a user namespace of its own; `body` gets the pid of its first process. */
function withOwner(body: (pid: number) => void): void {
  const id = start(
    bundle("while :; do sleep 1; done", (config, directory) => {
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = map;
      config.linux.gidMappings = map;
      giveRoot(directory);
    }),
  );
  try {
    body(state(id).pid);
  } finally {
    succeeded(call(["delete", "--force", id]));
  }
}

const joining =
  (pid: number, more: readonly string[] = []) =>
  (config: Config, directory: string): void => {
    giveRoot(directory);
    config.linux.namespaces.push({ type: "user", path: `/proc/${pid}/ns/user` });
    for (const type of more) {
      const entry = config.linux.namespaces.find((one: Config) => one.type === type);
      entry.path = `/proc/${pid}/ns/${type === "network" ? "net" : type}`;
    }
  };

must(section, "a user namespace that is joined, with new namespaces of all other types", () =>
  withOwner((pid) => {
    const script =
      "cat /proc/self/uid_map; echo $$ $(id -u); hostname; mount -t tmpfs x /mnt && echo mounted";
    const shown = output(`mkdir -p /mnt; ${script}`, (config, directory) => {
      joining(pid)(config, directory);
      config.process.capabilities = {
        ...config.process.capabilities,
        bounding: ["CAP_SYS_ADMIN"],
        permitted: ["CAP_SYS_ADMIN"],
        effective: ["CAP_SYS_ADMIN"],
      };
    });
    assert.deepEqual(
      shown.split("\n").map((line) => line.trim().replace(/ +/g, " ")),
      ["0 200000 65536", "1 0", "conform", "mounted"],
    );
  }),
);

must(section, "a user and a pid namespace that are joined together", () =>
  withOwner((pid) => {
    const own = fs.readlinkSync(`/proc/${pid}/ns/pid`);
    const shown = output(
      "readlink /proc/self/ns/pid; cat /proc/1/cmdline | tr '\\0' ' '",
      joining(pid, ["pid", "ipc"]),
    );
    assert.match(shown, new RegExp(`^${own.replace(/[[\]]/g, "\\$&")}\n.*while :; do sleep 1; done`));
  }),
);

must(section, "with a user namespace that is joined, bind sources that only the host's root reaches", () =>
  withOwner((pid) => {
    const closed = scratch();
    fs.mkdirSync(path.join(closed, "open"));
    fs.writeFileSync(path.join(closed, "open/file"), "reached");
    fs.chmodSync(closed, 0o700);
    const shown = output("cat /data/file", (config, directory) => {
      joining(pid)(config, directory);
      config.mounts.push({
        destination: "/data",
        source: path.join(closed, "open"),
        type: "bind",
        options: ["rbind"],
      });
    });
    assert.equal(shown, "reached");
  }),
);

must("config-linux.md#user-namespace-mappings", "named beside a path they are those of the namespace", () =>
  withOwner((pid) => {
    const named = (hostID: number) => (config: Config, directory: string) => {
      joining(pid)(config, directory);
      config.linux.uidMappings = [{ ...map[0], hostID }];
      config.linux.gidMappings = [{ ...map[0], hostID }];
    };
    assert.match(output("cat /proc/self/uid_map", named(200_000)), /^0 +200000 +65536$/);
    refused(run("true", named(300_000)));
  }),
);

must(
  section,
  "without mount it is the runtime's: mounts are made below the root, and gone after delete",
  () => {
    const script =
      "readlink /proc/self/ns/mnt; ls /proc/1 > /dev/null && echo proc; test -e /etc/debian_version || echo inside";
    const directory = bundle(`${script}; while :; do sleep 1; done`, (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }: Config) => type !== "mount");
      config.mounts = config.mounts.filter(({ destination }: Config) => destination !== "/sys");
    });
    const mounts = () =>
      fs
        .readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .flatMap((line) => line.split(" ")[4] ?? [])
        .filter((point) => point.startsWith(`${directory}/rootfs`));
    const id = start(directory);
    try {
      assert.notDeepEqual(mounts(), []);
      const seen = succeeded(call(["exec", id, "sh", "-c", script])).stdout;
      assert.equal(seen, `${fs.readlinkSync("/proc/self/ns/mnt")}\nproc\ninside\n`);
    } finally {
      call(["delete", "--force", id]);
      const left = mounts();
      for (const point of left.toReversed()) spawnSync("umount", ["--lazy", point]);
      assert.deepEqual(left, [], "mounts are left on the host");
    }
  },
);
