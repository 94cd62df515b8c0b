/** `diff`, `export` and `commit`, on both storage drivers, with podman, umoci and skopeo as witnesses. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, describe, it, test } from "node:test";
import { readTar, streamOf } from "../../src/base/mod.ts";
import { makeRunWorld, until } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, isRoot, type Result, removeTree } from "./support.ts";

const world = makeRunWorld("commit");
after(async () => {
  world.run(["rm", "--all", "--force"]);
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

function good(done: Result): string {
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.replace(/\n$/, "");
}
const vitrine = (...args: readonly string[]): string => good(world.run(args));
const tool = (name: string, ...args: readonly string[]): string => {
  const done = spawnSync(name, args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  assert.equal(done.status, 0, `${name} ${args.join(" ")}: ${done.stderr}`);
  return done.stdout;
};
const program = path.join(import.meta.dirname, "../../dist/vitrine");
const bytesOf = (...args: readonly string[]): Buffer => {
  const done = spawnSync(program, args, {
    env: world.env,
    maxBuffer: 256 * 1024 * 1024,
  });
  assert.equal(done.status, 0, done.stderr.toString());
  return done.stdout;
};
async function namesIn(archive: Uint8Array): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { entry } of readTar(streamOf(archive))) names.push(entry.path.replace(/^\.\/|\/$/g, ""));
  return names.filter((name) => name !== "" && name !== ".").sort();
}

/** Something of every kind, and `sleep` where it is to go on. */
const changes = [
  "echo new > /new",
  "rm /bin/nc",
  "echo more >> /etc/group",
  "mkdir -p /a/b; touch /a/b/c; chmod 700 /a/b",
  "rm -r /home; mkdir /home; echo again > /home/mine",
  "chmod 700 /var",
  "ln -s new /link; ln /new /hard",
  "chown 1000:1001 /link -h 2>/dev/null || true",
  "mkfifo /fifo 2>/dev/null || mknod /fifo p",
].join("; ");
const expected = [
  "A /a",
  "A /a/b",
  "A /a/b/c",
  "C /bin",
  "D /bin/nc",
  "C /etc/group",
  "A /fifo",
  "A /hard",
  "C /home",
  "A /home/mine",
  "D /home/user",
  "A /link",
  "A /new",
  "C /var",
];

for (const driver of ["overlay", "copy"]) {
  const on = (...args: readonly string[]): string => vitrine("--storage-driver", driver, ...args);

  describe(`driver ${driver}`, () => {
    const ready = (id: string): Promise<true> =>
      until(
        () => (world.run(["exec", id, "test", "-e", "/ready"]).status === 0 ? true : undefined),
        "its changes",
      );

    it("diff tells what changed, of one that runs and of one that ended", async () => {
      const ended = on("create", "-q", "probe", "sh", "-c", changes);
      assert.equal(on("diff", ended), "");
      on("start", "-a", ended);
      const found = on("diff", ended)
        .split("\n")
        .filter((line) => line !== "C /etc");
      assert.deepEqual(found, expected);
      const json = JSON.parse(on("diff", "--format", "json", ended)) as Record<string, string[]>;
      assert.deepEqual(json["deleted"], ["/bin/nc", "/home/user"]);
      const running = on("run", "-d", "-q", "probe", "sh", "-c", `${changes}; touch /ready; sleep 1000`);
      await ready(running);
      const live = on("diff", running).split("\n");
      assert.deepEqual(
        live.filter((line) => line !== "C /etc" && line !== "A /ready"),
        expected,
      );
      on("rm", "-f", ended, running);
    });

    it("export: the whole tree, the same bytes each time, without what is mounted", async () => {
      const running = on(
        "run",
        "-d",
        "-q",
        "-v",
        `${world.directory}:/volume`,
        "--tmpfs",
        "/memory",
        "probe",
        "sh",
        "-c",
        `${changes}; touch /ready; sleep 1000`,
      );
      await ready(running);
      const first = bytesOf("--storage-driver", driver, "export", running);
      on("kill", running);
      on("wait", running);
      const file = path.join(world.directory, "export.tar");
      on("export", "-o", file, running);
      // What is no file is written to, and stays what it is.
      const piped = spawnSync(
        "sh",
        [
          "-c",
          '"$@" | cat',
          "sh",
          program,
          "--storage-driver",
          driver,
          ...["export", "-o", "/dev/stdout", running],
        ],
        {
          env: world.env,
          maxBuffer: 256 * 1024 * 1024,
        },
      );
      assert.ok(piped.stdout.equals(first), piped.stderr.toString());
      const nowhere = world.run(["--storage-driver", driver, "export", "-o", "/nowhere/x", running]);
      assert.match(nowhere.stderr, /^error: cannot write \/nowhere\/x: ENOENT$/m);
      assert.ok(first.equals(fs.readFileSync(file)), "the running and the ended one differ");
      const names = await namesIn(first);
      assert.ok(names.includes("a/b/c") && names.includes("volume") && names.includes("memory"));
      assert.ok(!names.some((name) => /^(?:proc|sys|dev|volume|memory)\//.test(name)), "mounts are in it");
      assert.ok(!names.includes("bin/nc"));
      on("rm", running);
    });

    it("commit: the image holds what the container held, and runs as it ran", async () => {
      const made = on(
        "create",
        "-q",
        "-e",
        "MINE=1",
        "-w",
        "/a",
        "--label",
        "k=v",
        "probe",
        "sh",
        "-c",
        changes,
      );
      assert.notEqual(on("start", "-a", made), undefined);
      const id = on(
        "commit",
        "-q",
        "-a",
        "me",
        "-m",
        "changed",
        "-c",
        'CMD ["cat", "/home/mine"]',
        "-c",
        "EXPOSE 80",
        "-c",
        "ENV X=y",
        made,
        `local/${driver}:1`,
      );
      assert.match(id, /^sha256:[0-9a-f]{64}$/);
      assert.equal(on("run", "--rm", "-q", `local/${driver}:1`), "again");
      const config = JSON.parse(on("inspect", `local/${driver}:1`)) as [
        { Config: Record<string, unknown>; Author: string; Comment: string },
      ];
      assert.equal(config[0].Author, "me");
      const env = config[0].Config["Env"] as string[];
      assert.ok(
        env.includes("MINE=1") && env.includes("X=y") && !env.some((each) => each.startsWith("HOSTNAME=")),
      );
      assert.deepEqual(config[0].Config["Labels"], { k: "v" });
      assert.deepEqual(config[0].Config["ExposedPorts"], { "80/tcp": {} });
      assert.equal(config[0].Config["WorkingDir"], "/a");
      // A container of the image has the tree of the one that it was made of, less the places of mounts.
      const again = on("create", "-q", `local/${driver}:1`);
      const places = /^(?:proc|sys|dev|run|etc\/(?:hosts|hostname|mtab|resolv\.conf))(?:$|\/)/;
      const names = async (container: string) =>
        (await namesIn(bytesOf("--storage-driver", driver, "export", container))).filter(
          (name) => !places.test(name),
        );
      assert.deepEqual(await names(again), await names(made));
      assert.equal(on("diff", again), "");
      on("rm", made, again);
    });
  });
}

test("commit is reproducible under SOURCE_DATE_EPOCH; of nothing it adds no layer; --squash makes one of all", () => {
  const made = vitrine("create", "-q", "probe", "sh", "-c", changes);
  vitrine("start", "-a", made);
  const env = { SOURCE_DATE_EPOCH: "1000000000" };
  const commit = (...args: readonly string[]): string => good(world.run(["commit", "-q", ...args], { env }));
  assert.equal(commit(made), commit(made));
  const untouched = vitrine("create", "-q", "probe", "true");
  const layers = (id: string): number =>
    (JSON.parse(vitrine("image", "inspect", id)) as [{ RootFS: { Layers: string[] } }])[0].RootFS.Layers
      .length;
  assert.equal(layers(commit(untouched)), layers("probe"));
  assert.equal(layers(commit(made)), layers("probe") + 1);
  assert.equal(layers(commit("--squash", made)), 1);
  const file = path.join(world.directory, "iid");
  const id = commit("--iidfile", file, "--format", "docker", made, "local/docker");
  assert.equal(fs.readFileSync(file, "utf8"), id);
  assert.match(vitrine("image", "inspect", "local/docker"), /docker\.distribution\.manifest/);
  assert.equal(world.run(["commit", "-c", "RUN no", made]).status, 125);
  vitrine("rm", made, untouched);
});

test("a container stands still while it is committed, and goes on after", (t) => {
  const running = vitrine(
    "run",
    "-d",
    "-q",
    "probe",
    "sh",
    "-c",
    "i=0; while :; do i=$((i+1)); echo $i > /count; done",
  );
  const paused = world.run(["pause", running]);
  if (paused.status !== 0) {
    vitrine("rm", "-f", running);
    return cannotRun(t, `no freezer: ${paused.stderr.trim()}`);
  }
  vitrine("unpause", running);
  vitrine("commit", "-q", "-p", running, "local/still");
  assert.equal(vitrine("inspect", "-f", "{{.State.Paused}}", running), "false");
  const before = vitrine("exec", running, "cat", "/count");
  const deadline = Date.now() + 60_000;
  while (vitrine("exec", running, "cat", "/count") === before)
    assert.ok(Date.now() < deadline, "it does not go on");
  vitrine("rm", "-f", running);
});

test("umoci unpacks a committed image to the tree that export writes", async (t) => {
  if (findProgram("umoci") === undefined || findProgram("skopeo") === undefined)
    return cannotRun(t, "no umoci or skopeo");
  const made = vitrine("create", "-q", "probe", "sh", "-c", changes);
  vitrine("start", "-a", made);
  vitrine("commit", "-q", made, "local/peer:1");
  const layout = path.join(world.directory, "layout");
  tool(
    "skopeo",
    "--insecure-policy",
    "copy",
    `oci:${world.root}/oci:localhost/local/peer:1`.replace("localhost/", "docker.io/"),
    `oci:${layout}:peer`,
  );
  const bundle = path.join(world.directory, "bundle");
  tool("umoci", "unpack", ...(isRoot ? [] : ["--rootless"]), "--image", `${layout}:peer`, bundle);
  const names = fs
    .readdirSync(`${bundle}/rootfs`, { recursive: true, encoding: "utf8" })
    .filter((name) => !/^(?:proc|sys|dev|run|etc\/(?:hosts|hostname|mtab|resolv\.conf))(?:$|\/)/.test(name))
    .sort();
  const ours = (await namesIn(bytesOf("export", made))).filter(
    (name) => !/^(?:proc|sys|dev|run|etc\/(?:hosts|hostname|mtab|resolv\.conf))(?:$|\/)/.test(name),
  );
  assert.deepEqual(names, ours);
  removeTree(bundle);
  vitrine("rm", made);
});

test("podman's diff of the same changes", (t) => {
  if (findProgram("podman") === undefined || !isRoot)
    return cannotRun(t, isRoot ? "no podman" : "podman needs root here");
  const storage = path.join(world.directory, "podman");
  const flags = [
    "--root",
    `${storage}/root`,
    "--runroot",
    `${storage}/run`,
    "--tmpdir",
    `${storage}/tmp`,
    "--storage-driver",
    "vfs",
    "--cgroup-manager",
    "cgroupfs",
    "--runtime",
    "runc",
  ];
  const podman = (...args: readonly string[]): string => tool("podman", ...flags, ...args);
  try {
    podman("import", path.join(fixtures, "probe.tar"), "localhost/probe");
    const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=20000:20000"];
    podman("run", "--name", "p", "--network", "none", ...limits, "localhost/probe", "sh", "-c", changes);
    const theirs = podman("diff", "p").trimEnd().split("\n");
    // Its driver compares trees: a directory with a changed file in it counts as changed, and it has no opaque directories.
    const less = theirs.filter(
      (line) => line !== "C /etc" && !/^[AC] \/(?:run|proc|sys|dev|etc\/mtab)/.test(line),
    );
    assert.deepEqual(less.sort(), [...expected].sort());
  } finally {
    spawnSync("podman", [...flags, "rm", "--all", "--force"]);
    removeTree(storage);
  }
});

test("a container of a directory has no image to compare with", () => {
  const bundle = path.join(world.directory, "tree");
  fs.mkdirSync(bundle);
  fs.mkdirSync(`${bundle}/bin`);
  fs.writeFileSync(`${bundle}/file`, "x");
  const made = vitrine("create", "-q", "--rootfs", bundle, "/bin/true");
  assert.match(world.run(["diff", made]).stderr, /directory/);
  assert.match(world.run(["commit", made]).stderr, /vitrine export/);
  vitrine("rm", made);
});

test("image diff: the top layer, and two images; as diff of the container that it was made of", () => {
  const script =
    "echo n > /etc/new; echo x > /etc/hosts-too; rm /bin/true; mkdir -p /d/e; ln -s /etc /d/l; chmod 700 /tmp";
  const container = good(world.run(["create", "probe", "sh", "-c", script]));
  good(world.run(["start", "-a", container]));
  vitrine("commit", "-q", container, "layered");
  const asContainer = vitrine("diff", container).split("\n");
  assert.deepEqual(vitrine("image", "diff", "layered").split("\n"), asContainer);
  assert.deepEqual(vitrine("image", "diff", "layered", "probe").split("\n"), asContainer);
  const back = vitrine("image", "diff", "probe", "layered").split("\n");
  for (const line of ["A /bin/true", "C /bin", "D /d", "D /etc/new"]) assert.ok(back.includes(line), line);
  assert.ok(!back.includes("D /d/e"), "what is gone as a whole is told once");
  assert.equal(vitrine("image", "diff", "layered", "layered"), "");
  const json = JSON.parse(vitrine("image", "diff", "--format", "json", "layered")) as Record<
    string,
    string[]
  >;
  assert.deepEqual(Object.keys(json), ["changed", "added", "deleted"]);
  assert.deepEqual(json["deleted"], ["/bin/true"]);
  assert.equal(world.run(["image", "diff", "nothing"]).status, 125);
  vitrine("rm", container);
  vitrine("rmi", "layered");
});
