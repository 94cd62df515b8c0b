/** AppArmor, on a kernel that has it: whose profile a container gets, what it denies, and who can do without. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, before, test } from "node:test";
import {
  bundle,
  type Config,
  call,
  output,
  refused,
  run,
  start,
  succeeded,
} from "../conformance/runtime/support.ts";
import { makeRunWorld, type RunWorld } from "../integration/run-support.ts";
import { fixtures, vitrine } from "../integration/support.ts";

const standard = "vitrine-default (enforce)";
const label = "cat /proc/self/attr/current";
const own = "vt-apparmor-test";
const policy = "/sys/kernel/security/apparmor";

let world: RunWorld;
before(() => {
  world = makeRunWorld("apparmor");
  parser(
    "--replace",
    `profile ${own} flags=(attach_disconnected,mediate_deleted) {
    file,
    capability,
    network,
    signal,
    ptrace,
    deny /etc/passwd r,
  }`,
  );
});
after(async () => {
  parser("--remove", `profile ${own} {}`);
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

function parser(verb: "--replace" | "--remove", text: string): void {
  const done = spawnSync("apparmor_parser", [verb, "--skip-cache"], { input: text, encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
}

const loaded = (name: string): boolean =>
  fs
    .readFileSync(`${policy}/profiles`, "utf8")
    .split("\n")
    .some((line) => line.startsWith(`${name} (`));
const unload = (): void => {
  if (loaded("vitrine-default")) parser("--remove", "profile vitrine-default {}");
};

test("the default profile is loaded when a container needs it, and holds in it", () => {
  unload();
  assert.equal(world.sh([], label), standard);
  assert.ok(loaded("vitrine-default"));
  assert.equal(world.sh(["--security-opt", "no-new-privileges"], label), standard);
  assert.equal(world.sh(["--user", "1000"], label), standard);
  assert.equal(world.sh(["--userns", "auto"], label), standard);
});

/** Each is permitted by everything but the profile. */
const denied: readonly {
  readonly what: string;
  readonly flags: readonly string[];
  readonly script: string;
}[] = [
  {
    what: "mounting",
    flags: ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"],
    script: "mkdir -p /x && mount -t tmpfs none /x",
  },
  {
    what: "writing to /proc/sys",
    flags: ["--cap-add", "NET_ADMIN", "--security-opt", "unmask=ALL"],
    script: "echo 1 >/proc/sys/net/ipv4/ip_forward",
  },
  {
    what: "signals to processes outside",
    flags: ["--pid", "host"],
    script: `kill -0 ${process.pid}`,
  },
];
for (const { what, flags, script } of denied) {
  test(`denied by the profile alone: ${what}`, () => {
    const confined = world.probe(flags, "sh", "-c", script);
    assert.notEqual(confined.status, 0, what);
    assert.match(confined.stderr, /[Pp]ermission denied/);
    world.sh([...flags, "--security-opt", "apparmor=unconfined"], script);
  });
}

test("--security-opt apparmor=NAME and unconfined; --privileged goes without", () => {
  const named = ["--security-opt", `apparmor=${own}`];
  assert.equal(world.sh(named, label), `${own} (enforce)`);
  assert.notEqual(world.probe(named, "cat", "/etc/passwd").status, 0);
  assert.equal(world.sh(["--security-opt", "apparmor=unconfined"], label), "unconfined");
  assert.equal(world.sh(["--privileged"], label), "unconfined");
  assert.equal(world.sh(["--privileged", ...named], label), `${own} (enforce)`);
});

test("a profile that is not loaded: who can mend it, and how", () => {
  const done = world.probe(["--security-opt", "apparmor=vt-none"], "true");
  assert.equal(done.status, 125);
  assert.match(done.stderr, /cannot use the AppArmor profile "vt-none"/);
  assert.match(done.stderr, /apparmor_parser -r/);
});

/** State and present value of the profile's row in `explain`. */
function explained(): readonly (string | undefined)[] {
  const done = world.run(["explain", "--format", "json", "held"]);
  assert.equal(done.status, 0, done.stderr);
  const rows = JSON.parse(done.stdout).rows as { what: string; state: string; now: string }[];
  const row = rows.find(({ what }) => what === "AppArmor profile");
  return [row?.state, row?.now];
}

test("exec has the container's profile; inspect and explain show it, start loads it again", () => {
  const begin = world.run(["run", "-d", "--name", "held", "probe", "sleep", "1000"]);
  assert.equal(begin.status, 0, begin.stderr);
  try {
    assert.equal(world.run(["exec", "held", "sh", "-c", label]).stdout.trim(), standard);
    assert.equal(
      world.run(["inspect", "--format", "{{.AppArmorProfile}}", "held"]).stdout,
      "vitrine-default\n",
    );
    assert.deepEqual(explained(), ["same", "vitrine-default (enforce)"]);
    // Behind our back: whoever was confined no longer is.
    unload();
    assert.deepEqual(explained(), ["differs", "unconfined"]);
    assert.equal(world.run(["stop", "-t", "0", "held"]).status, 0);
    // Not loaded, as after a reboot.
    const again = world.run(["start", "held"]);
    assert.equal(again.status, 0, again.stderr);
    assert.equal(world.run(["exec", "held", "sh", "-c", label]).stdout.trim(), standard);
  } finally {
    world.run(["rm", "-f", "held"]);
  }
});

test("why finds the profile", () => {
  const flags = ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"];
  const command = ["sh", "-c", "mkdir -p /x && mount -t tmpfs none /x"];
  const begin = world.run(["create", "--name", "asked", ...flags, "probe", ...command]);
  assert.equal(begin.status, 0, begin.stderr);
  try {
    const why = world.run(["why", "--format", "json", "asked"]);
    const causes = JSON.parse(why.stdout).causes as {
      sure: string;
      restrictions: { item: string; flag: string }[];
    }[];
    const found = causes.map(({ sure, restrictions }) => [
      sure,
      ...restrictions.map(({ item, flag }) => `${item}: ${flag}`),
    ]);
    assert.deepEqual(
      found,
      [["alone", "AppArmor profile vitrine-default: --security-opt apparmor=unconfined"]],
      why.stdout,
    );
  } finally {
    world.run(["rm", "-f", "asked"]);
  }
});

test("where securityfs is not mounted a container runs without, as runc's do", () => {
  const script = `mount --make-rprivate / && umount ${path.dirname(policy)} && exec "$@"`;
  const words = [vitrine, "run", "--rm", "--quiet", "probe", "sh", "-c", label];
  const done = spawnSync("unshare", ["--mount", "sh", "-c", script, "sh", ...words], {
    env: world.env,
    encoding: "utf8",
  });
  assert.equal(done.status, 0, done.stderr);
  assert.equal(done.stdout.trim(), "unconfined");
  const named = [...words.slice(0, 2), "--security-opt", `apparmor=${own}`, ...words.slice(2)];
  const asked = spawnSync("unshare", ["--mount", "sh", "-c", script, "sh", ...named], {
    env: world.env,
    encoding: "utf8",
  });
  assert.equal(asked.stdout.trim(), `${own} (enforce)`, asked.stderr);
});

const confined = (config: Config): void => {
  config.process.apparmorProfile = own;
};

test("vitrine-runtime: process.apparmorProfile, in exec as well, and another for exec", () => {
  assert.equal(output(label, confined), `${own} (enforce)`);
  const id = start(bundle("sleep 1000", confined));
  assert.equal(succeeded(call(["exec", id, "/bin/sh", "-c", label])).stdout.trim(), `${own} (enforce)`);
  const other = call(["exec", "--apparmor", "vitrine-default", id, "/bin/sh", "-c", label]);
  assert.equal(succeeded(other).stdout.trim(), standard);
  refused(call(["exec", "--apparmor", "vt-none", id, "/bin/true"]));
  const missing = run("true", (config) => {
    config.process.apparmorProfile = "vt-none";
  });
  refused(missing);
  assert.match(missing.stderr, /AppArmor profile .*vt-none/);
});

// CVE-2019-16884, CVE-2019-19921, CVE-2023-28642: a procfs that is none swallows the profile, and the container has none.
test("CVE-2019-16884, CVE-2019-19921: a false procfs does not receive the profile", () => {
  const fake = fs.mkdtempSync(path.join(os.tmpdir(), "vt-fake-proc-"));
  const files = ["self/attr/exec", "self/attr/apparmor/exec", "self/attr/current"].map((name) =>
    path.join(fake, name),
  );
  for (const file of files) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, "");
  }
  const untouched = (): void => {
    for (const file of files) assert.equal(fs.readFileSync(file, "utf8"), "", file);
  };
  try {
    const over = (config: Config, destination: string): void => {
      confined(config);
      config.mounts.push({ destination, type: "bind", source: fake, options: ["rbind"] });
    };
    for (const destination of ["/proc", "/proc/self/attr", "/link", "/link/self/attr"]) {
      const done = run("true", (config, directory) => {
        fs.symlinkSync("proc", path.join(directory, "rootfs/link"));
        over(config, destination);
      });
      refused(done);
      untouched();
    }
    // The root filesystem's own /proc, with no mount of procfs: what is written goes to the kernel all the same.
    const instead = run("touch /ran", (config, directory) => {
      confined(config);
      config.mounts = config.mounts.filter((mount: { destination: string }) => mount.destination !== "/proc");
      fs.rmSync(path.join(directory, "rootfs/proc"), { recursive: true, force: true });
      fs.cpSync(fake, path.join(directory, "rootfs/proc"), { recursive: true });
      config.process.args = ["/bin/cat", "/proc/self/attr/exec", "/etc/passwd"];
    });
    assert.notEqual(instead.status, 0, "the profile does not hold");
    assert.match(instead.stderr, /\/etc\/passwd.*[Pp]ermission denied/);
    assert.equal(instead.stdout, "", "something was written to the false file");
  } finally {
    fs.rmSync(fake, { recursive: true });
  }
});

test("another user than root has the default profile where root loaded it, and named ones", () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "vt-apparmor-user-"));
  const [uid, gid] = ["-u", "-g"].map((flag) =>
    Number(spawnSync("id", [flag, "vitrine-test"], { encoding: "utf8" }).stdout),
  );
  fs.chownSync(home, uid!, gid!);
  const asUser = (...words: readonly string[]) => {
    const env = { PATH: process.env["PATH"], HOME: home, XDG_RUNTIME_DIR: home, LANG: "C.UTF-8" };
    const drop = ["--reuid", String(uid), "--regid", String(gid), "--init-groups"];
    return spawnSync("setpriv", [...drop, vitrine, ...words], { env, cwd: home, encoding: "utf8" });
  };
  const seen = (...flags: readonly string[]): string => {
    const done = asUser("run", "--rm", "--quiet", ...flags, "probe", "sh", "-c", label);
    assert.equal(done.status, 0, done.stderr);
    return done.stdout.trim();
  };
  try {
    const imported = asUser("import", path.join(fixtures, "probe.tar"), "probe");
    assert.equal(imported.status, 0, imported.stderr);
    unload();
    assert.equal(seen(), "unconfined");
    assert.ok(!loaded("vitrine-default"));
    assert.equal(world.sh([], label), standard);
    assert.equal(seen(), standard);
    assert.equal(seen("--security-opt", "apparmor=unconfined"), "unconfined");
    assert.equal(seen("--security-opt", `apparmor=${own}`), `${own} (enforce)`);
    const none = asUser("run", "--rm", "--security-opt", "apparmor=vt-none", "probe", "true");
    assert.equal(none.status, 125);
    assert.match(none.stderr, /cannot use the AppArmor profile "vt-none"/);
  } finally {
    spawnSync("rm", ["-rf", home]);
  }
});
