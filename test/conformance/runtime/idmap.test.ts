/** Id-mapped mounts (config.md#posix-platform-mounts, `idmap` and `ridmap`). */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { type Config, must, output, refused, run, scratch } from "./support.ts";

const section = "config.md#linux-mount-options";
const map = (containerID: number, hostID: number, size = 10) => [{ containerID, hostID, size }];
const maps = (hostID: number) => ({ uidMappings: map(0, hostID), gidMappings: map(0, hostID + 1000) });

/** A tmpfs, which has had id-mapped mounts since Linux 6.3, with a file of 1:2 and another tmpfs below it. */
function source(): string {
  const directory = scratch();
  mount(directory);
  fs.mkdirSync(path.join(directory, "below"));
  mount(path.join(directory, "below"));
  for (const file of ["file", "below/file"]) {
    fs.writeFileSync(path.join(directory, file), "");
    fs.chownSync(path.join(directory, file), 1, 2);
  }
  return directory;
}

function mount(directory: string): void {
  const done = spawnSync("mount", ["-t", "tmpfs", "-o", "mode=755", "idmap-test", directory]);
  assert.equal(done.status, 0, done.stderr.toString());
}

function withSource(body: (directory: string) => void): void {
  const directory = source();
  try {
    body(directory);
  } finally {
    spawnSync("umount", ["--recursive", directory]);
  }
}

const owners = "stat -c %u:%g /data/file; stat -c %u:%g /data/below/file";

const binds = (directory: string, options: readonly string[], more: object) => (config: Config) =>
  config.mounts.push({ destination: "/data", source: directory, type: "bind", options, ...more });

/** The container's own user namespace: ids 0 … 65535 are 200000 … of the host. */
function withUserNamespace(config: Config, directory: string): void {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = map(0, 200_000, 65_536);
  config.linux.gidMappings = map(0, 200_000, 65_536);
  const done = spawnSync("chown", ["-R", "200000:200000", path.join(directory, "rootfs")]);
  assert.equal(done.status, 0);
}

must(section, "idmap: maps of the mount, of it alone", () =>
  withSource((directory) => {
    const shown = output(owners, binds(directory, ["rbind", "idmap"], maps(3000)));
    assert.equal(shown, "3001:4002\n1:2");
  }),
);

must(section, "ridmap: maps of the whole tree", () =>
  withSource((directory) => {
    const shown = output(owners, binds(directory, ["rbind", "ridmap"], maps(3000)));
    assert.equal(shown, "3001:4002\n3001:4002");
  }),
);

must(section, "maps without the option are applied as well", () =>
  withSource((directory) => {
    assert.equal(output(owners, binds(directory, ["rbind"], maps(3000))), "3001:4002\n1:2");
  }),
);

must(section, "idmap with a user namespace: what a file of the container shows is the container's id", () =>
  withSource((directory) => {
    const shown = output(`${owners}; touch /data/new; stat -c %u /data/new`, (config, bundle) => {
      withUserNamespace(config, bundle);
      config.process.user = { uid: 1, gid: 2 };
      binds(directory, ["rbind", "ridmap"], {})(config);
      fs.chmodSync(directory, 0o777);
    });
    assert.equal(shown, "1:2\n1:2\n1");
    assert.equal(
      fs.statSync(path.join(directory, "new")).uid,
      1,
      "on the host it is the id of the container",
    );
  }),
);

must(section, "maps of the mount go before those of the container's user namespace", () =>
  withSource((directory) => {
    const shown = output(owners, (config, bundle) => {
      withUserNamespace(config, bundle);
      binds(directory, ["rbind", "idmap"], {
        uidMappings: map(0, 200_050),
        gidMappings: map(0, 200_060),
      })(config);
    });
    assert.equal(shown, "51:62\n65534:65534");
  }),
);

must(section, "idmap keeps the other options", () =>
  withSource((directory) => {
    const change = binds(directory, ["rbind", "idmap", "ro", "nosuid"], maps(3000));
    assert.match(output("grep ' /data ' /proc/mounts", change), / ro,.*nosuid/);
    assert.notEqual(run("touch /data/new", change).status, 0);
  }),
);

must(
  section,
  "idmap is an error without a map, on a new filesystem, or where the filesystem has none",
  () => {
    withSource((directory) => refused(run("true", binds(directory, ["bind", "idmap"], {}))));
    refused(
      run("true", (config) => {
        config.mounts.push({
          destination: "/data",
          type: "tmpfs",
          source: "x",
          options: ["idmap"],
          ...maps(1),
        });
      }),
    );
    refused(run("true", binds("/proc/sys", ["bind", "idmap"], maps(3000))));
  },
);
