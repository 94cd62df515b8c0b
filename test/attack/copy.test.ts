/** `cp` against containers that do not hold still, and archives that want out. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { collect, writeTar } from "../../src/base/mod.ts";
import { until } from "../integration/run-support.ts";
import type { World } from "../integration/support.ts";
import { bait, hostileWorld } from "./support.ts";

/** With a container whose script has said `ready`. */
async function withContainer(
  name: string,
  script: string | ((world: World) => string),
  body: (world: World, container: string) => void | Promise<void>,
): Promise<void> {
  const world = await hostileWorld(name);
  try {
    const text = typeof script === "string" ? script : script(world);
    const started = world.run(["run", "-d", "-q", "box", "sh", "-c", text]);
    assert.equal(started.status, 0, started.stderr);
    const container = started.stdout.trim();
    const said = () => world.run(["logs", container]).stdout.includes("ready");
    await until(() => (said() ? true : undefined), "the container to be ready");
    await body(world, container);
  } finally {
    world.run(["rm", "--all", "--force"]);
    await world[Symbol.asyncDispose]();
  }
}

test("CVE-2018-15664: a directory swapped for a link to the host while it is copied, both ways", async () => {
  // The swapper never stops: every step of a resolution meets both of its states.
  const swap = "while :; do mv -T /x /y 2>/dev/null; ln -s HOST /x; rm /x; mv -T /y /x 2>/dev/null; done";
  let host: ReturnType<typeof bait> | undefined;
  const script = (world: World): string => {
    host = bait(world);
    return `mkdir /x; echo inside > /x/file; echo ready; ${swap.replace("HOST", host.directory)}`;
  };
  await withContainer("swap", script, (world, container) => {
    fs.chmodSync(world.directory, 0o755);
    fs.writeFileSync(path.join(world.directory, "mine"), "copied in\n");
    let copied = 0;
    // More where the machine lets the one or the other wait for long.
    for (let round = 0; round < 40 || (copied === 0 && round < 1000); round++) {
      world.run(["cp", path.join(world.directory, "mine"), `${container}:/x/file`]);
      const out = path.join(world.directory, `out${round}`);
      if (world.run(["cp", `${container}:/x/file`, out]).status === 0) {
        copied++;
        assert.notEqual(fs.readFileSync(out, "utf8"), "bait\n", "the host's file came out");
      }
      assert.ok(host!.untouched(), "the host's file was written");
    }
    assert.ok(copied > 0, "no copy ever met the directory");
  });
});

test("links that lead out of the root lead nowhere: absolute, upwards, by /proc", async () => {
  const links =
    "mkdir /l; ln -s /bait-of-host /l/abs; ln -s ../../../../../../../../bait-of-host /l/up; ln -s /proc/1/root/bait-of-host /l/proc; ln -s /proc/self/root /l/self; echo ready; sleep 1000";
  await withContainer("links", links, (world, container) => {
    const host = bait(world);
    fs.writeFileSync(path.join(world.directory, "mine"), "x");
    for (const link of ["abs", "up", "proc", "self"]) {
      // What a link names is made inside, or nothing is: never on the host.
      world.run(["cp", "-L", `${container}:/l/${link}/file`, path.join(world.directory, "out")]);
      world.run(["cp", path.join(world.directory, "mine"), `${container}:/l/${link}`]);
      world.run(["cp", path.join(world.directory, "mine"), `${container}:/l/${link}/etc/x`]);
    }
    assert.ok(!fs.existsSync("/bait-of-host"));
    assert.ok(!fs.existsSync("/etc/x"));
    assert.ok(host.untouched());
  });
});

test("a container's links do not lead a copy out of the directory it goes to", async () => {
  await withContainer(
    "out",
    "mkdir -p /d/sub; ln -s /etc /d/etc; echo x > /d/sub/f; echo ready; sleep 1000",
    (world, container) => {
      const host = bait(world);
      const out = path.join(world.directory, "out");
      fs.mkdirSync(out);
      // What the caller's own directory has in the place of `sub` is a link to the bait.
      fs.mkdirSync(path.join(out, "d"));
      fs.symlinkSync(host.directory, path.join(out, "d/sub"));
      const done = world.run(["cp", `${container}:/d`, out]);
      assert.equal(done.status, 1, "a directory does not replace a link");
      assert.ok(host.untouched());
      assert.equal(world.run(["cp", `${container}:/d`, path.join(world.directory, "fresh")]).status, 0);
      assert.equal(fs.readlinkSync(path.join(world.directory, "fresh/etc")), "/etc");
    },
  );
});

test("archives on stdin: .., absolute names, through links, over links", async () => {
  await withContainer("archive", "mkdir /w; echo ready; sleep 1000", async (world, container) => {
    const host = bait(world);
    const text = (name: string) =>
      ({ path: name, type: "file", body: Buffer.from("evil"), size: 4 }) as const;
    const evil = await collect(
      writeTar([
        text(`../../../../../../../../${host.directory}/file`),
        text(`${host.directory}/file`),
        { path: "link", type: "symlink", linkTarget: host.directory },
        text("link/file"),
        { path: "hard", type: "hardlink", linkTarget: `../../../../../..${host.directory}/file` },
      ]),
      1 << 20,
    );
    world.run(["cp", "-", `${container}:/w`], { input: evil });
    assert.ok(host.untouched());
  });
});

test("CVE-2019-14271: nothing of the container is loaded: a library and a name service of its own stay unread", async () => {
  const libraries =
    "for d in /lib /lib64 /usr/lib /lib/x86_64-linux-gnu; do mkdir -p $d; for f in libc.so.6 libnss_files.so.2 libnss_dns.so.2; do echo broken > $d/$f; done; done; echo 'passwd: evil' > /etc/nsswitch.conf; echo ready; sleep 1000";
  await withContainer("nss", libraries, (world, container) => {
    fs.writeFileSync(path.join(world.directory, "mine"), "x");
    const into = world.run(["cp", path.join(world.directory, "mine"), `${container}:/x`]);
    assert.equal(into.status, 0, into.stderr);
    const out = world.run(["cp", "-a", `${container}:/etc`, path.join(world.directory, "etc")]);
    assert.equal(out.status, 0, out.stderr);
  });
});

test("a FIFO in the place of a file does not hold a copy up, and no device is opened", async () => {
  const script =
    "mkfifo /d-fifo 2>/dev/null || mknod /d-fifo p; echo ready; while :; do echo x > /f; rm /f; mknod /f p; rm /f; done";
  await withContainer("fifo", script, (world, container) => {
    for (let round = 0; round < 20; round++) {
      const done = world.run(["cp", `${container}:/f`, path.join(world.directory, `f${round}`)], {
        timeout: 120_000,
      });
      assert.equal(done.signal, null, "it hangs");
    }
  });
});
