/** `inspect`: what was asked for under docker's names, and volumes beside containers and images. */
import assert from "node:assert/strict";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeLiveWorld } from "../support/live.ts";

const world = makeLiveWorld("inspect");
const { vitrine } = world;
after(() => world.end());

interface Shown {
  readonly Config: Readonly<Record<string, unknown>>;
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, unknown>> };
}
const shown = (name: string): Shown => (JSON.parse(vitrine("inspect", name)) as readonly Shown[])[0]!;
const pick = (of: Readonly<Record<string, unknown>>, ...keys: readonly string[]): unknown =>
  Object.fromEntries(keys.map((key) => [key, of[key]]));

test("what the flags asked for has docker's names", () => {
  const cidFile = path.join(world.directory, "cid");
  vitrine(
    ...["create", "--name", "asked", "--cidfile", cidFile, "--user", "0:0", "--entrypoint", "sh"],
    ...["--cap-add", "net_admin", "--cap-drop", "KILL", "--security-opt", "no-new-privileges"],
    ...["--add-host", "db:10.0.0.5", "--dns", "192.0.2.1", "--dns-search", "a.test", "--group-add", "7"],
    ...[
      "--tmpfs",
      "/scratch:size=1m",
      "--ulimit",
      "nofile=100:200",
      "--expose",
      "80",
      "--expose",
      "90-91/udp",
    ],
    ...["probe", "-c", "exit 3"],
  );
  const { Config, HostConfig, NetworkSettings } = shown("asked");
  assert.deepEqual(pick(Config, "User", "Entrypoint", "Cmd", "ExposedPorts"), {
    User: "0:0",
    Entrypoint: ["sh"],
    Cmd: ["-c", "exit 3"],
    ExposedPorts: { "80/tcp": {}, "90/udp": {}, "91/udp": {} },
  });
  assert.deepEqual(
    pick(
      HostConfig,
      ...[
        "ContainerIDFile",
        "CapAdd",
        "CapDrop",
        "SecurityOpt",
        "ExtraHosts",
        "Dns",
        "DnsSearch",
        "GroupAdd",
      ],
      ...["Tmpfs", "Ulimits", "VolumesFrom", "PortBindings"],
    ),
    {
      ContainerIDFile: cidFile,
      CapAdd: ["CAP_NET_ADMIN"],
      CapDrop: ["CAP_KILL"],
      SecurityOpt: ["no-new-privileges"],
      ExtraHosts: ["db:10.0.0.5"],
      Dns: ["192.0.2.1"],
      DnsSearch: ["a.test"],
      GroupAdd: ["7"],
      Tmpfs: { "/scratch": "size=1048576" },
      Ulimits: [{ Name: "nofile", Hard: 200, Soft: 100 }],
      VolumesFrom: null,
      PortBindings: {},
    },
  );
  assert.deepEqual(Object.keys(NetworkSettings.Networks), ["none"]);
  assert.equal(world.run(["start", "-a", "asked"]).status, 3);
  assert.equal(vitrine("inspect", "-f", "{{json .Config.Cmd}}", "asked"), '["-c","exit 3"]');
  vitrine("create", "--name", "plain", "--volumes-from", "asked:ro", "probe", "true");
  const plain = shown("plain");
  assert.deepEqual(pick(plain.Config, "User", "Entrypoint", "Cmd"), {
    User: "",
    Entrypoint: null,
    Cmd: ["true"],
  });
  assert.deepEqual(pick(plain.HostConfig, "CapAdd", "VolumesFrom"), {
    CapAdd: null,
    VolumesFrom: ["asked:ro"],
  });
  vitrine("rm", "plain", "asked");
  assert.equal(world.run(["create", "--expose", "70000", "probe"]).status, 125);
});

test("a volume is found where no container and no image has the name", () => {
  vitrine("volume", "create", "--label", "a=b", "Data");
  assert.equal(vitrine("inspect", "-f", "{{.Name}} {{.Labels.a}}", "Data"), "Data b");
  assert.equal(vitrine("inspect", "-t", "volume", "-f", "{{.Scope}}", "Data"), "local");
  assert.equal(world.run(["inspect", "--type", "container", "Data"]).status, 125);
  vitrine("create", "--name", "Data", "probe", "true");
  assert.equal(vitrine("inspect", "-f", "{{.Config.Image}}", "Data"), "probe");
  vitrine("rm", "Data");
  vitrine("volume", "rm", "Data");
  const missing = world.run(["inspect", "Data"]);
  assert.deepEqual([missing.status, missing.stdout], [125, "[]\n"]);
  assert.match(missing.stderr, /there is no container, image or volume "Data"/);
  assert.equal(world.run(["volume", "inspect"]).status, 1);
});
