/** Containers that have nothing in common but their kind, as engines make them: bundle, config.json, files and digits of their own. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, beforeEach, type TestContext, test } from "node:test";
import { baseConfig, type Config, makeRoot } from "../conformance/runtime/support.ts";
import { launches, readRecord, recordFiles, warmUp, withoutEngine } from "./launch-record-support.ts";
import { cannotRun, isRoot, makeWorld, repository } from "./support.ts";

const world = makeWorld("launch-captures");
const runtime = path.join(repository, "dist/vitrine-runtime");
const root = path.join(world.directory, "containers");
const template = path.join(world.directory, "template");
const out = path.join(world.directory, "out");

before(() => {
  if (isRoot) makeRoot(template);
});
beforeEach(() => fs.rmSync(launches(world), { recursive: true, force: true }));
after(async () => {
  if (fs.existsSync(root)) for (const id of fs.readdirSync(root)) call(["delete", "--force", id]);
  await world[Symbol.asyncDispose]();
});

function asRoot(name: string, body: (t: TestContext) => void): void {
  test(name, (t) => (isRoot ? body(t) : cannotRun(t, "the bundle is root's")));
}

interface Mount {
  readonly destination: string;
}

interface Made {
  readonly id: string;
  readonly bundle: string;
  readonly layer: string;
  readonly date: string;
  /** The pod's. */
  readonly uid: string;
  readonly config: Config;
}

/** With a letter and a digit, as nearly all are. */
const digits = (bytes: number): string => `a1${randomBytes(bytes).toString("hex").slice(2)}`;

/** The orders of lists change like this: each time, and each other time. */
let turn = 0;
const inTurn = <T>(items: readonly T[], every: number): readonly T[] =>
  Math.trunc(turn / every) % 2 === 0 ? items : items.toReversed();

/** A container of its own, not created yet. */
function make(change: (config: Config, made: Made) => void = () => {}): Made {
  const id = digits(32);
  const layer = digits(16);
  const bundle = path.join(world.directory, "bundles", digits(16), "userdata");
  const rootfs = path.join(world.directory, "layers", layer, "merged");
  fs.mkdirSync(bundle, { recursive: true });
  fs.mkdirSync(path.dirname(rootfs), { recursive: true });
  assert.equal(spawnSync("cp", ["-al", template, rootfs]).status, 0);
  fs.writeFileSync(path.join(bundle, "hosts"), `127.0.0.1 ${id}\n`);
  const config = baseConfig("cat /etc/hosts; hostname; exit 3");
  const date = new Date(Date.now() - Math.trunc(1e9 * Math.random())).toISOString();
  const uid = randomUUID();
  const made = { id, bundle, layer, date, uid, config };
  const bind = (destination: string) => ({
    destination,
    type: "bind",
    source: path.join(bundle, "hosts"),
    options: ["rbind"],
  });
  const env = [`HOSTNAME=${id.slice(0, 12)}`, "A=1", "B=2", "PATH=/bin", "HOME=/"];
  Object.assign(config, {
    root: { path: rootfs },
    hostname: id.slice(0, 12),
    annotations: {
      "io.kubernetes.cri-o.Created": date,
      "io.kubernetes.cri.sandbox-uid": uid,
      layer,
    },
    mounts: [...(config.mounts ?? []), ...inTurn([bind("/etc/hosts"), bind("/etc/names")], 2)],
  });
  config.process = { ...config.process!, env: inTurn(env, 1) };
  turn += 1;
  change(config, made);
  fs.writeFileSync(path.join(bundle, "config.json"), JSON.stringify(config));
  return made;
}

const linesOf = ({ id, bundle }: Made): readonly string[] => [
  ...["--log", path.join(bundle, "log"), "create", "--bundle", bundle],
  ...["--pid-file", path.join(bundle, `${id.slice(3, 9)}.pid`), id],
];

/** Its streams are a file's, since a container keeps them. */
function call(words: readonly string[], cwd = world.directory) {
  const fd = fs.openSync(out, "w");
  const stdio = ["ignore", fd, fd] as const;
  const done = spawnSync(runtime, ["--root", root, ...words], {
    stdio: [...stdio],
    env: world.env,
    cwd,
    timeout: 120_000,
  });
  fs.closeSync(fd);
  return { status: done.status, text: fs.readFileSync(out, "utf8") };
}

function create(made: Made): Made {
  const done = call(linesOf(made), made.bundle);
  assert.equal(done.status, 0, done.text);
  return made;
}

/** Until orders were seen twice as well. */
function warm(again: () => void): void {
  for (let served = 0; served < 3; served++) warmUp(world, again);
}

function leveled({ id, bundle, layer, date, uid }: Made, text: string): string {
  return text
    .replaceAll(bundle, "<BUNDLE>")
    .replaceAll(id, "<ID>")
    .replaceAll(id.slice(0, 12), "<SHORT>")
    .replaceAll(id.slice(3, 9), "<PART>")
    .replaceAll(layer, "<LAYER>")
    .replaceAll(date, "<DATE>")
    .replaceAll(uid, "<UID>")
    .replace(/"created": ?"[^"]+"|"pid": ?\d+|"startTime": ?"\d+"/g, "<NEW>");
}

/** All that is in its directory, as texts. */
function everything(made: Made): Readonly<Record<string, string>> {
  const directory = path.join(root, made.id);
  const names = fs.readdirSync(directory).filter((name) => name !== "start" && name !== "process");
  const text = (name: string) => leveled(made, fs.readFileSync(path.join(directory, name), "latin1"));
  return Object.fromEntries(names.map((name) => [name, text(name)]));
}

asRoot("each container has its own, and what the engine would have made", () => {
  warm(() => create(make()));
  turn = 0;
  const repeated = make();
  assert.ok(withoutEngine(world, () => create(repeated)));
  turn = 0;
  const normal = make();
  world.env["VITRINE_LAUNCH_RECORD"] = "0";
  create(normal);
  delete world.env["VITRINE_LAUNCH_RECORD"];
  assert.deepEqual(everything(repeated), everything(normal));
  const pidFile = path.join(repeated.bundle, `${repeated.id.slice(3, 9)}.pid`);
  const state = JSON.parse(call(["state", repeated.id]).text) as { pid: number; bundle: string };
  assert.equal(Number(fs.readFileSync(pidFile, "utf8")), state.pid);
  assert.equal(state.bundle, repeated.bundle);
  const written = fs.readFileSync(path.join(root, repeated.id, "config.json"), "utf8");
  assert.deepEqual(JSON.parse(written), repeated.config);
  assert.equal(call(["start", repeated.id]).status, 0);
  for (const { id } of [repeated, normal]) assert.equal(call(["delete", "--force", id]).status, 0);
  assert.ok(!fs.existsSync(path.join(root, repeated.id)));
});

asRoot("the program sees its own files and name", () => {
  warm(() => create(make()));
  const made = make();
  const written = path.join(made.bundle, "output");
  const fd = fs.openSync(written, "w");
  const create_ = () =>
    assert.equal(
      spawnSync(runtime, ["--root", root, ...linesOf(made)], {
        stdio: ["ignore", fd, fd],
        env: world.env,
        cwd: made.bundle,
      }).status,
      0,
    );
  // Descriptors of another file, all else as before.
  assert.ok(withoutEngine(world, create_));
  fs.closeSync(fd);
  assert.equal(call(["start", made.id]).status, 0);
  const wanted = `127.0.0.1 ${made.id}\n${made.id.slice(0, 12)}\n`;
  for (let turn = 0; turn < 2000 && fs.readFileSync(written, "utf8") !== wanted; turn++)
    spawnSync("sleep", ["0.05"]);
  assert.equal(fs.readFileSync(written, "utf8"), wanted);
});

/** Where the kubelet's driver cgroupfs puts it; the pod's directory is there before. */
const pods = `vt-kubepods-${process.pid}`;
const hierarchies = ["", ...fs.readdirSync("/sys/fs/cgroup")].map((name) =>
  path.join("/sys/fs/cgroup", name),
);

asRoot("a container of a pod: its cgroup path has the pod's uid", () => {
  const inPod = () =>
    make((config, { id, uid }) => {
      config.linux = { ...config.linux!, cgroupsPath: `/${pods}/burstable/pod${uid}/${id}` };
    });
  try {
    warm(() => create(inPod()));
    const made = inPod();
    assert.ok(withoutEngine(world, () => create(made)));
    const cgroup = fs.readFileSync(`/proc/${pidOf(made)}/cgroup`, "utf8");
    assert.ok(cgroup.includes(`/${pods}/burstable/pod${made.uid}/${made.id}\n`), cgroup);
  } finally {
    for (const id of fs.readdirSync(root)) call(["delete", "--force", id]);
    for (const at of hierarchies.map((one) => path.join(one, pods)).filter((one) => fs.existsSync(one)))
      spawnSync("find", [at, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
  }
});

function pidOf({ id }: Made): number {
  return (JSON.parse(call(["state", id]).text) as { pid: number }).pid;
}

/** What is no random token is a decision. */
const changes: Readonly<Record<string, (config: Config, made: Made) => void>> = {
  "another argument": (config) => {
    config.process = { ...config.process!, args: ["/bin/true"] };
  },
  "a variable's value": (config) => {
    config.process!.env = config.process!.env!.map((one: string) => one.replace("A=1", "A=2"));
  },
  "a variable twice": (config) => {
    config.process!.env = config.process!.env!.map((one: string) => one.replace("B=2", "A=2"));
  },
  "a variable more": (config) => {
    config.process!.env = [...config.process!.env!, "C=3"];
  },
  "a host name of another container": (config) => {
    config.hostname = digits(6);
  },
  "a limit": (config) => {
    config.linux = { ...config.linux!, resources: { memory: { limit: 64 << 20 } } };
  },
  "a mount less": (config) => {
    config.mounts = config.mounts!.filter(({ destination }: Mount) => destination !== "/etc/names");
  },
  "a mount at another place": (config) => {
    config.mounts = config.mounts!.map((one: Mount) =>
      one.destination === "/etc/names" ? { ...one, destination: "/etc/nam2s" } : one,
    );
  },
  "a read-only root": (config) => {
    config.root.readonly = true;
  },
  "digits of another length": (config) => {
    config.annotations = { ...config.annotations, layer: digits(12) };
  },
  "capitals in place of digits": (config, { layer }) => {
    config.annotations = { ...config.annotations, layer: layer.toUpperCase() };
  },
  "a path in place of digits": (config, { layer }) => {
    config.annotations = { ...config.annotations, layer: "../".repeat(20).slice(0, layer.length) };
  },
  "a number in place of digits": (config, { layer }) => {
    config.annotations = { ...config.annotations, layer: "1".repeat(layer.length) };
  },
  "one container's digits twice": (config, { id }) => {
    config.annotations = { ...config.annotations, layer: id.slice(0, 32) };
  },
  "no date": (config, { date }) => {
    config.annotations = { ...config.annotations, "io.kubernetes.cri-o.Created": date.replace("T", " ") };
  },
  "digits that stand elsewhere too": (config) => {
    config.annotations = { ...config.annotations, layer: "a1".repeat(16) };
    config.process!.env = config.process!.env!.map((one: string) =>
      one.replace("A=1", `A=${"a1".repeat(16)}`),
    );
  },
};

asRoot("whatever else differs is the engine's", () => {
  warm(() => create(make()));
  for (const [what, change] of Object.entries(changes)) {
    const made = make(change);
    assert.ok(!withoutEngine(world, () => create(made)), what);
    const written = JSON.parse(fs.readFileSync(path.join(root, made.id, "config.json"), "utf8")) as Config;
    assert.deepEqual(written, made.config, what);
    call(["delete", "--force", made.id]);
  }
});

asRoot(
  "what values lead to is looked at: a root that is missing, a link, a file, and an id that is taken",
  () => {
    warm(() => create(make()));
    const layerOf = ({ layer }: Made) => path.join(world.directory, "layers", layer, "merged");
    const refused = (made: Made, message: RegExp): void => {
      assert.ok(
        !withoutEngine(world, () => {
          const done = call(linesOf(made), made.bundle);
          assert.equal(done.status, 1);
          assert.match(done.text, message);
        }),
      );
    };
    const missing = make();
    fs.rmSync(layerOf(missing), { recursive: true });
    refused(missing, /rootfs|root\/path/);
    const file = make();
    fs.rmSync(layerOf(file), { recursive: true });
    fs.writeFileSync(layerOf(file), "");
    refused(file, /not a directory/);
    const host = make();
    fs.rmSync(layerOf(host), { recursive: true });
    fs.symlinkSync("/", layerOf(host));
    refused(host, /host's own root/);
    const taken = create(make());
    refused(taken, /already exists/);
    const source = make();
    fs.rmSync(path.join(source.bundle, "hosts"));
    assert.ok(!withoutEngine(world, () => call(linesOf(source), source.bundle)));
  },
);

asRoot("a bundle by a path that is not plain is another command", () => {
  warm(() => create(make()));
  const made = make();
  const around = `${made.bundle}/../userdata`;
  assert.ok(
    !withoutEngine(world, () => {
      const done = call(["create", "--bundle", around, made.id], made.bundle);
      assert.equal(done.status, 0, done.text);
    }),
  );
});

asRoot("a value that was always the same is not taken to be any, until another was seen", () => {
  const layer = digits(16);
  const again = (): void => {
    create(
      make((config) => {
        config.annotations = { ...config.annotations, layer, other: layer };
      }),
    );
  };
  warm(again);
  const [file] = recordFiles(world);
  const before_ = readRecord(fs.readFileSync(file!)).values;
  assert.deepEqual(
    before_.filter(({ value }) => value === layer).map(({ any }) => any),
    [false],
  );
  const another = (): void => {
    const other = digits(16);
    create(
      make((config) => {
        config.annotations = { ...config.annotations, layer: other, other };
      }),
    );
  };
  assert.ok(!withoutEngine(world, another));
  warm(another);
});

asRoot("exec with a process.json of its own, in a directory of its own", () => {
  const { id } = create(
    make((config) => {
      config.process = { ...config.process!, args: ["/bin/sleep", "1000"] };
    }),
  );
  assert.equal(call(["start", id]).status, 0);
  let made = 0;
  const exec = (status = 5, change = ""): void => {
    const directory = path.join(world.directory, "sessions", digits(32));
    fs.mkdirSync(directory, { recursive: true });
    // As long as chance makes it.
    const file = path.join(directory, `exec-process-${"1234567890".slice(0, 6 + (made % 5))}`);
    const pidFile = path.join(directory, `e${made++ % 10}.pid`);
    const args = ["/bin/sh", "-c", `exit ${status}${change}`];
    fs.writeFileSync(
      file,
      JSON.stringify({ user: { uid: 0, gid: 0 }, args, env: ["PATH=/bin", "HOME=/"], cwd: "/" }),
    );
    const done = call(["exec", "--pid-file", pidFile, "--process", file, id], directory);
    assert.equal(done.status, status, done.text);
    assert.match(fs.readFileSync(pidFile, "utf8"), /^\d+$/);
  };
  warmUp(world, exec);
  assert.ok(withoutEngine(world, exec));
  assert.ok(!withoutEngine(world, () => exec(6)));
  assert.ok(withoutEngine(world, exec));
});

asRoot(
  "of many at once two are noted, the others wait for these or go on; no descriptor of it is left open",
  async () => {
    const told = path.join(world.directory, "told");
    const all = Array.from({ length: 12 }, () => make());
    const done = all.map(
      (made) =>
        new Promise<number | null>((resolve) => {
          const fd = fs.openSync("/dev/null", "r+");
          const child = spawn(runtime, ["--root", root, ...linesOf(made)], {
            stdio: [fd, fd, fd],
            env: { ...world.env, VITRINE_LAUNCH_RECORD: told },
            cwd: made.bundle,
          });
          child.on("exit", resolve);
          fs.closeSync(fd);
        }),
    );
    assert.deepEqual(
      await Promise.all(done),
      all.map(() => 0),
    );
    const kept = fs.readFileSync(told, "utf8").match(/kept: (?:a candidate|confirmed)/g) ?? [];
    assert.ok(kept.length >= 2 && kept.length <= 4, fs.readFileSync(told, "utf8"));
    for (const { id } of all) {
      const { pid } = JSON.parse(call(["state", id]).text) as { pid: number };
      const open = fs.readdirSync(`/proc/${pid}/fd`).map((one) => fs.readlinkSync(`/proc/${pid}/fd/${one}`));
      assert.ok(!open.some((file) => file.includes("launches")), open.join());
    }
    const inode = fs.statSync(path.join(launches(world), "seen")).ino;
    assert.ok(!fs.readFileSync("/proc/locks", "utf8").includes(`:${inode} `), "nobody notes any more");
    warm(() => create(make()));
    for (const { id } of all) assert.equal(call(["delete", "--force", id]).status, 0);
  },
);

// --- exec in containers that are new ---

const sleeping = (config: Config): void => {
  config.process = { ...config.process!, args: ["/bin/sleep", "1000"] };
};

/** Its `create` is not counted. */
function running(change: (config: Config, made: Made) => void = () => {}): Made {
  const made = make((config, made) => {
    sleeping(config);
    change(config, made);
  });
  world.env["VITRINE_LAUNCH_RECORD"] = "0";
  create(made);
  delete world.env["VITRINE_LAUNCH_RECORD"];
  assert.equal(call(["start", made.id]).status, 0);
  return made;
}

const remove = ({ id }: Made) => assert.equal(call(["delete", "--force", id]).status, 0);

/** By flags, and by a process.json of its own as engines write it. */
const kinds: Readonly<Record<string, (made: Made) => readonly string[]>> = {
  flags: ({ id }) => ["exec", "--env", "WORD=x", id, "/bin/sh", "-c", 'echo "$WORD $(hostname)"; exit 5'],
  "process.json": ({ id, bundle }) => {
    const file = path.join(bundle, `process-${Math.trunc(1e6 * Math.random())}`);
    const args = ["/bin/sh", "-c", 'echo "$WORD $(hostname)"; exit 5'];
    const env = inTurn(["PATH=/bin", "WORD=x", `HOSTNAME=${id.slice(0, 12)}`, "HOME=/"], 2);
    fs.writeFileSync(file, JSON.stringify({ user: { uid: 0, gid: 0 }, args, env, cwd: "/" }));
    return ["--log", path.join(bundle, "log"), "exec", "--process", file, id];
  },
};

for (const [kind, words] of Object.entries(kinds)) {
  asRoot(`the first exec in a new container, by ${kind}`, () => {
    const exec = (made: Made): void => {
      const done = call(words(made), made.bundle);
      assert.deepEqual(done, { status: 5, text: `x ${made.id.slice(0, 12)}\n` });
      const left = fs.readdirSync(path.join(root, made.id)).filter((name) => name.startsWith("exec"));
      assert.deepEqual(left, []);
    };
    warm(() => {
      const made = running();
      exec(made);
      remove(made);
    });
    const made = running();
    assert.ok(withoutEngine(world, () => exec(made)));
    assert.ok(withoutEngine(world, () => exec(made)));
    const other = running();
    assert.ok(withoutEngine(world, () => exec(other)));
    for (const one of [made, other]) remove(one);
  });
}

asRoot("exec only in the container that is meant, while it runs and is as those were", () => {
  const words = kinds["flags"]!;
  const exec = (made: Made) => call(words(made), made.bundle);
  warm(() => {
    const made = running();
    assert.equal(exec(made).status, 5);
    remove(made);
  });
  const byEngine = (made: Made): ReturnType<typeof call> => {
    let done: ReturnType<typeof call> | undefined;
    assert.ok(!withoutEngine(world, () => (done = exec(made))));
    return done!;
  };
  const refused = (made: Made, message: RegExp): void => {
    const done = byEngine(made);
    assert.equal(done.status, 255, done.text);
    assert.match(done.text, message);
  };
  const made = running();
  const fileOf = ({ id }: Made, name: string) => path.join(root, id, name);
  const processFile = fileOf(made, "process");
  const told = fs.readFileSync(processFile, "utf8");
  const [pid, time] = told.trim().split(" ");
  // A process that has its pid by now began at another time.
  for (const text of [`${pid} ${Number(time) + 1}\n`, `${process.pid} ${time}\n`, "4194304 1\n"]) {
    fs.writeFileSync(processFile, text);
    refused(made, /stopped container/);
  }
  fs.writeFileSync(processFile, told);
  assert.ok(withoutEngine(world, () => assert.equal(exec(made).status, 5)));
  assert.equal(call(["pause", made.id]).status, 0);
  refused(made, /paused/);
  assert.equal(call(["resume", made.id]).status, 0);
  assert.equal(call(["kill", made.id, "KILL"]).status, 0);
  const stopped = () =>
    (JSON.parse(call(["state", made.id]).text) as { status: string }).status === "stopped";
  for (let turns = 0; turns < 2000 && !stopped(); turns++) spawnSync("sleep", ["0.05"]);
  refused(made, /stopped container/);
  remove(made);
  refused(made, /does not exist/);
  const others: Readonly<Record<string, (config: Config, made: Made) => void>> = {
    "another variable": (config) => {
      config.process!.env = config.process!.env!.map((one: string) => one.replace("A=1", "A=2"));
    },
    "other capabilities": (config) => {
      config.process!.capabilities = {
        bounding: ["CAP_KILL"],
        permitted: ["CAP_KILL"],
        effective: ["CAP_KILL"],
      };
    },
    "the host's network": (config) => {
      config.linux!.namespaces = config.linux!.namespaces!.filter(
        ({ type }: { type: string }) => type !== "network",
      );
    },
    "another user": (config) => {
      config.process!.user = { uid: 1000, gid: 1000 };
    },
  };
  for (const [what, change] of Object.entries(others)) {
    const other = running(change);
    assert.equal(byEngine(other).status, 5, what);
    remove(other);
  }
  const same = running();
  assert.ok(withoutEngine(world, () => assert.equal(exec(same).status, 5)));
  remove(same);
});

asRoot(
  "what a container puts in place of /etc/passwd is not followed out of it, and no device is opened",
  () => {
    // Without HOME it is looked up.
    const withoutHome = (config: Config): void => {
      config.process!.env = config.process!.env!.filter((one: string) => !one.startsWith("HOME="));
    };
    const words = ({ id }: Made) => ["exec", id, "/bin/sh", "-c", 'echo "$HOME"'];
    const exec = (made: Made) => call(words(made), made.bundle);
    warm(() => {
      const made = running(withoutHome);
      assert.deepEqual(exec(made), { status: 0, text: "/root\n" });
      remove(made);
    });
    const made = running(withoutHome);
    const passwd = path.join(world.directory, "layers", made.layer, "merged/etc/passwd");
    const text = fs.readFileSync(passwd);
    assert.ok(withoutEngine(world, () => assert.equal(exec(made).text, "/root\n")));
    // The same text, but it is the host's file.
    const outside = path.join(world.directory, "passwd");
    fs.writeFileSync(outside, text);
    fs.rmSync(passwd);
    fs.symlinkSync(outside, passwd);
    assert.ok(!withoutEngine(world, () => assert.equal(exec(made).text, "/\n")));
    fs.rmSync(passwd);
    assert.equal(spawnSync("mknod", [passwd, "p"]).status, 0);
    assert.ok(!withoutEngine(world, () => assert.equal(exec(made).text, "/\n")));
    fs.rmSync(passwd);
    fs.writeFileSync(passwd, text);
    warmUp(world, () => assert.equal(exec(made).text, "/root\n"));
    remove(made);
  },
);
