/** runtime.md: state, the lifecycle and the operations; config.md: hooks. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  bundle,
  type Config,
  call,
  create,
  must,
  newId,
  refused,
  run,
  scratch,
  start,
  state,
  stopped,
  succeeded,
  until,
} from "./support.ts";

const sleeper = () => bundle("exec sleep 1000");

must("runtime.md#state", "has ociVersion, id, status, pid and the absolute bundle", () => {
  const directory = sleeper();
  const id = start(directory);
  const found = state(id);
  assert.match(found.ociVersion, /^1\./);
  assert.deepEqual([found.id, found.status, found.bundle], [id, "running", directory]);
  assert.ok(fs.existsSync(`/proc/${found.pid}`));
});

must("runtime.md#state", "annotations are those of the config", () => {
  const id = create(
    bundle("true", (config) => {
      config.annotations = { "org.example.key": "value" };
    }),
  );
  assert.equal(state(id).annotations?.["org.example.key"], "value");
});

must("runtime.md#query-state", "of a container that does not exist is an error", () => {
  refused(call(["state", newId()]));
});

must("runtime.md#query-state", "without an id is an error", () => refused(call(["state"])));

must("runtime.md#create", "without an id is an error", () =>
  refused(call(["create", "--bundle", sleeper()])),
);

must("runtime.md#create", "the status is created, and the program has not run", () => {
  const shared = scratch();
  const id = create(
    bundle("echo ran > /shared/ran", (config) => {
      config.mounts.push({ destination: "/shared", type: "bind", source: shared, options: ["bind", "rw"] });
    }),
  );
  assert.equal(state(id).status, "created");
  assert.equal(fs.existsSync(path.join(shared, "ran")), false);
});

must("runtime.md#create", "an id that is taken is an error, and the first container stays", () => {
  const directory = sleeper();
  const id = create(directory);
  refused(call(["create", "--bundle", directory, id]));
  assert.equal(state(id).status, "created");
});

must("runtime.md#create", "changes of config.json after it have no effect", async () => {
  const shared = scratch();
  const mount = (config: Config) =>
    config.mounts.push({ destination: "/shared", type: "bind", source: shared, options: ["bind", "rw"] });
  const directory = bundle("echo first > /shared/word", mount);
  const id = create(directory);
  const file = path.join(directory, "config.json");
  fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace("echo first", "echo later"));
  succeeded(call(["start", id]));
  await stopped(id);
  assert.equal(fs.readFileSync(path.join(shared, "word"), "utf8"), "first\n");
});

must("runtime.md#create", "a bundle without config.json is an error, and leaves nothing", () => {
  const id = newId();
  refused(call(["create", "--bundle", scratch(), id]));
  refused(call(["state", id]));
});

must("runtime.md#start", "without an id is an error", () => refused(call(["start"])));

must("runtime.md#start", "of a container that does not exist is an error", () =>
  refused(call(["start", newId()])),
);

must("runtime.md#start", "runs the program, and the status is running", () => {
  assert.equal(state(start(sleeper())).status, "running");
});

must("runtime.md#start", "a second time is an error without effect", () => {
  const id = start(sleeper());
  const { pid } = state(id);
  refused(call(["start", id]));
  assert.deepEqual([state(id).status, state(id).pid], ["running", pid]);
});

must("runtime.md#start", "of a container that has stopped is an error", async () => {
  const id = start(bundle("true"));
  await stopped(id);
  refused(call(["start", id]));
});

must("runtime.md#kill", "sends the signal that is named", async () => {
  const shared = scratch();
  const id = start(
    bundle(
      "trap 'echo usr1 > /shared/got; exit 0' USR1; echo > /shared/ready; while :; do sleep 0.05; done",
      (config) => {
        config.mounts.push({ destination: "/shared", type: "bind", source: shared, options: ["bind", "rw"] });
      },
    ),
  );
  await until("the trap", () => fs.existsSync(path.join(shared, "ready")));
  succeeded(call(["kill", id, "SIGUSR1"]));
  await stopped(id);
  assert.equal(fs.readFileSync(path.join(shared, "got"), "utf8"), "usr1\n");
});

must("runtime.md#kill", "takes numbers as well", async () => {
  const id = start(sleeper());
  succeeded(call(["kill", id, "9"]));
  await stopped(id);
});

must("runtime.md#kill", "of a created container ends it", async () => {
  const id = create(sleeper());
  succeeded(call(["kill", id, "KILL"]));
  await stopped(id);
});

must("runtime.md#kill", "without an id is an error", () => refused(call(["kill"])));

must("runtime.md#kill", "of a container that does not exist is an error", () =>
  refused(call(["kill", newId(), "KILL"])),
);

must("runtime.md#kill", "of a container that has stopped is an error", async () => {
  const id = start(bundle("true"));
  await stopped(id);
  refused(call(["kill", id, "KILL"]));
});

must("runtime.md#delete", "without an id is an error", () => refused(call(["delete"])));

must("runtime.md#delete", "of a container that does not exist is an error", () =>
  refused(call(["delete", newId()])),
);

must("runtime.md#delete", "of a running container is an error without effect", () => {
  const id = start(sleeper());
  refused(call(["delete", id]));
  assert.equal(state(id).status, "running");
});

must("runtime.md#delete", "removes what create made, and the id is free again", async () => {
  const directory = bundle("true");
  const id = start(directory);
  await stopped(id);
  succeeded(call(["delete", id]));
  refused(call(["state", id]));
  const left = fs
    .readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(directory));
  assert.deepEqual(left, []);
  succeeded(call(["create", "--bundle", directory, id]));
  succeeded(call(["delete", "--force", id]));
});

must("runtime.md#lifecycle", "a failed create leaves no container", () => {
  const id = newId();
  const directory = bundle("true", (config) => {
    config.process.args = ["/bin/not-there"];
  });
  const created = call(["create", "--bundle", directory, id]);
  if (created.status === 0) refused(call(["start", id]));
  else refused(call(["state", id]));
});

// --- hooks ---

const hook = (script: string, more: Config = {}) => ({
  path: "/bin/sh",
  args: ["sh", "-c", script],
  ...more,
});

must("config.md#posix-platform-hooks", "run in the order of the lifecycle", async () => {
  const shared = scratch();
  const log = path.join(shared, "log");
  const note = (word: string) => [hook(`echo ${word} >> ${log}`)];
  const id = newId();
  const directory = bundle("echo program >> /shared/log", (config) => {
    config.mounts.push({ destination: "/shared", type: "bind", source: shared, options: ["bind", "rw"] });
    config.hooks = {
      prestart: note("prestart"),
      createRuntime: note("createRuntime"),
      createContainer: note("createContainer"),
      startContainer: [hook("echo startContainer >> /shared/log")],
      poststop: note("poststop"),
    };
  });
  succeeded(call(["create", "--bundle", directory, id]));
  const created = ["prestart", "createRuntime", "createContainer"];
  assert.deepEqual(fs.readFileSync(log, "utf8").trim().split("\n"), created);
  succeeded(call(["start", id]));
  await stopped(id);
  assert.deepEqual(fs.readFileSync(log, "utf8").trim().split("\n"), [
    ...created,
    "startContainer",
    "program",
  ]);
  succeeded(call(["delete", id]));
  assert.equal(fs.readFileSync(log, "utf8").trim().split("\n").at(-1), "poststop");
});

must("config.md#posix-platform-hooks", "of one point run in the order that is given", () => {
  const log = path.join(scratch(), "log");
  const id = create(
    bundle("true", (config) => {
      config.hooks = { createRuntime: ["1", "2", "3"].map((word) => hook(`echo ${word} >> ${log}`)) };
    }),
  );
  assert.equal(fs.readFileSync(log, "utf8"), "1\n2\n3\n");
  assert.equal(state(id).status, "created");
});

must("config.md#posix-platform-hooks", "get the state on their standard input", () => {
  const file = path.join(scratch(), "state");
  const directory = bundle("true", (config) => {
    config.hooks = { createRuntime: [hook(`cat > ${file}`)] };
    config.annotations = { a: "b" };
  });
  const id = create(directory);
  const got = JSON.parse(fs.readFileSync(file, "utf8"));
  assert.deepEqual(
    [got.id, got.bundle, got.pid, got.annotations],
    [id, directory, state(id).pid, { a: "b" }],
  );
  assert.match(got.status, /^creat/);
});

must("config.md#posix-platform-hooks", "have the environment that is given, and arguments", () => {
  const file = path.join(scratch(), "env");
  create(
    bundle("true", (config) => {
      config.hooks = {
        createRuntime: [
          { path: "/bin/sh", args: ["name", "-c", `echo "$0 $WORD" > ${file}`, "zero"], env: ["WORD=given"] },
        ],
      };
    }),
  );
  assert.equal(fs.readFileSync(file, "utf8"), "zero given\n");
});

for (const point of ["prestart", "createRuntime", "createContainer"]) {
  must("runtime.md#lifecycle", `a failing ${point} hook is an error of create`, () => {
    const id = newId();
    const directory = bundle("true", (config) => {
      config.hooks = { [point]: [hook("exit 3")] };
    });
    refused(call(["create", "--bundle", directory, id]));
    refused(call(["state", id]));
  });
}

must("config.md#posix-platform-hooks", "a timeout ends a hook, and is an error", () => {
  const id = newId();
  const directory = bundle("true", (config) => {
    config.hooks = { createRuntime: [hook("exec sleep 600", { timeout: 1 })] };
  });
  const begun = Date.now();
  refused(call(["create", "--bundle", directory, id]));
  assert.ok(Date.now() - begun < 60_000);
});

must("config.md#createcontainer-hooks", "run in the container's namespaces with the host's files", () => {
  const file = path.join(scratch(), "ns");
  const id = create(
    bundle("true", (config) => {
      config.hooks = { createContainer: [hook(`readlink /proc/self/ns/uts > ${file}`)] };
    }),
  );
  assert.equal(fs.readFileSync(file, "utf8").trim(), fs.readlinkSync(`/proc/${state(id).pid}/ns/uts`));
});

must("config.md#createruntime-hooks", "run in the runtime's namespaces", () => {
  const file = path.join(scratch(), "ns");
  create(
    bundle("true", (config) => {
      config.hooks = { createRuntime: [hook(`readlink /proc/self/ns/mnt > ${file}`)] };
    }),
  );
  assert.equal(fs.readFileSync(file, "utf8").trim(), fs.readlinkSync("/proc/self/ns/mnt"));
});

must("config.md#poststart", "hooks run after the program began, before start returns", () => {
  const file = path.join(scratch(), "state");
  const id = start(
    bundle("exec sleep 1000", (config) => {
      config.hooks = { poststart: [hook(`cat > ${file}`)] };
    }),
  );
  const got = JSON.parse(fs.readFileSync(file, "utf8"));
  assert.deepEqual([got.status, got.pid], ["running", state(id).pid]);
});

must(
  "config.md#poststop",
  "hooks run after the container is deleted; one that fails is no error",
  async () => {
    const file = path.join(scratch(), "state");
    const id = start(
      bundle("true", (config) => {
        config.hooks = { poststop: [hook("exit 1"), hook(`cat > ${file}`)] };
      }),
    );
    await stopped(id);
    succeeded(call(["delete", id]));
    assert.equal(JSON.parse(fs.readFileSync(file, "utf8")).status, "stopped");
  },
);

must("runtime.md#lifecycle", "the exit status of the program is that of run", () => {
  assert.equal(run("exit 7").status, 7);
});
