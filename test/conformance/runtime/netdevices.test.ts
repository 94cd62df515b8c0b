/** Network devices of the host that become the container's (config-linux.md#network-devices). */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { bundle, type Config, call, must, output, refused, run, start, succeeded } from "./support.ts";

const section = "config-linux.md#network-devices";
const device = `vtd${process.pid % 100_000}`;

function ip(...args: readonly string[]): void {
  const done = spawnSync("ip", args, { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
}

const exists = (name: string): boolean => spawnSync("ip", ["link", "show", name]).status === 0;

/** A device with addresses of each kind. It dies with the container's network namespace, or with its peer. */
function withDevice(body: () => void): void {
  ip("link", "add", device, "type", "veth", "peer", "name", `${device}p`);
  try {
    ip("address", "add", "198.51.100.7/24", "broadcast", "198.51.100.255", "dev", device);
    ip("address", "add", "169.254.9.9/16", "scope", "link", "dev", device);
    ip("address", "add", "198.51.100.8/24", "valid_lft", "600", "preferred_lft", "600", "dev", device);
    ip("-6", "address", "add", "2001:db8::7/64", "dev", device);
    ip("link", "set", device, "up");
    body();
  } finally {
    spawnSync("ip", ["link", "delete", `${device}p`]);
  }
}

const devices =
  (names: Readonly<Record<string, object>>) =>
  (config: Config): void => {
    config.linux.netDevices = names;
  };

const shown = "ip -o address show | sed 's/^[0-9]*: //; s/ \\+/ /g'; cat /proc/net/dev";

must(section, "a device is moved, is up, and keeps its permanent global addresses", () =>
  withDevice(() => {
    const id = start(bundle(`${shown}; while :; do sleep 1; done`, devices({ [device]: {} })));
    assert.equal(exists(device), false, "it is still the host's");
    const seen = succeeded(call(["exec", id, "sh", "-c", shown])).stdout;
    assert.match(seen, new RegExp(`^${device} inet 198\\.51\\.100\\.7/24 .*scope global`, "m"));
    assert.match(seen, new RegExp(`^${device} inet6 2001:db8::7/64 scope global`, "m"));
    assert.doesNotMatch(seen, /169\.254\.9\.9|198\.51\.100\.8/);
    assert.match(seen, new RegExp(`^ *${device}:`, "m"));
    succeeded(call(["delete", "--force", id]));
  }),
);

must(section, "name: it is renamed", () =>
  withDevice(() => {
    const seen = output(shown, devices({ [device]: { name: "ctr0" } }));
    assert.match(seen, /^ctr0 inet 198\.51\.100\.7\/24/m);
    assert.doesNotMatch(seen, new RegExp(device));
  }),
);

must(section, "a device that is not there is an error, as is a name that is taken", () => {
  refused(run("true", devices({ vtnone0: {} })));
  withDevice(() => refused(run("true", devices({ [device]: { name: "lo" } }))));
});

must(section, "without a network namespace it is an error, and the device stays", () =>
  withDevice(() => {
    const answer = run("true", (config) => {
      devices({ [device]: {} })(config);
      config.linux.namespaces = config.linux.namespaces.filter(({ type }: Config) => type !== "network");
    });
    refused(answer);
    assert.ok(exists(device));
  }),
);

/** What runc refuses. */
must(section, "name: one %d is a number that is free", () =>
  withDevice(() => {
    assert.match(output(shown, devices({ [device]: { name: "eth%d" } })), /^eth0 inet 198\.51\.100\.7\/24/m);
  }),
);
