/** What the spec leaves open and engines take from runc and crun, as their own suites ask for it. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  bundle,
  call,
  must,
  newId,
  output,
  refused,
  run,
  runBundle,
  scratch,
  start,
  state,
  stopped,
  succeeded,
  until,
} from "./support.ts";

const section = "the command line of runc";
const sleep = "while :; do sleep 1; done";

must(section, "HOME is set where it is missing or empty, from the container's /etc/passwd", () => {
  const home = (uid: number, env: readonly string[]) =>
    output('echo "$HOME"', (config, directory) => {
      const etc = path.join(directory, "rootfs/etc");
      fs.mkdirSync(etc, { recursive: true });
      fs.mkdirSync(path.join(directory, "rootfs/usr/share"), { recursive: true });
      fs.rmSync(path.join(etc, "passwd"), { force: true });
      fs.symlinkSync("/usr/share/passwd", path.join(etc, "passwd"));
      fs.writeFileSync(
        path.join(directory, "rootfs/usr/share/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
      );
      config.process.user = { uid, gid: 0 };
      config.process.env = ["PATH=/bin", ...env];
    });
  assert.equal(home(0, []), "/root");
  assert.equal(home(1000, ["HOME="]), "/home/user");
  assert.equal(home(4242, []), "/");
  assert.equal(home(0, ["HOME=/there"]), "/there");
});

must(section, "of two variables of one name the last counts", () => {
  const lines = output("", (config) => {
    config.process.args = ["/bin/env"];
    config.process.env = ["PATH=/bin", "A=1", "HOME=/", "A=2"];
  }).split("\n");
  assert.deepEqual(
    lines.filter((line) => line.startsWith("A=")),
    ["A=2"],
  );
});

must(section, "exec has a HOME too", () => {
  const directory = bundle(sleep, (config, where) => {
    config.process.env = ["PATH=/bin"];
    fs.mkdirSync(path.join(where, "rootfs/etc"), { recursive: true });
    fs.writeFileSync(path.join(where, "rootfs/etc/passwd"), "user:x:1000:1000::/home/user:/bin/sh\n");
  });
  const id = newId();
  succeeded(call(["run", "--detach", "--bundle", directory, id]));
  const home = succeeded(call(["exec", "--user", "1000:1000", id, "sh", "-c", 'echo "$HOME"']));
  assert.equal(home.stdout.trim(), "/home/user");
});

must(section, "run --keep leaves a stopped container to look at and delete", () => {
  const id = newId();
  succeeded(call(["run", "--keep", "--bundle", bundle("true"), id]));
  assert.equal(state(id).status, "stopped");
  succeeded(call(["delete", id]));
  refused(call(["state", id]));
});

must(section, "a working directory that is not there is told in runc's words", () => {
  const id = newId();
  succeeded(call(["run", "--detach", "--bundle", bundle(sleep), id]));
  const answer = call(["exec", "--cwd", "/not/there", id, "true"]);
  refused(answer);
  assert.match(answer.stderr, /chdir to cwd .*no such file or directory/);
});

must(section, "hooks without an env have the runtime's own", () => {
  const file = path.join(scratch(), "told");
  const script = `echo "\${RUNTIME_ENVIRONMENT-}" >> ${file}`;
  const withHooks = (env: object) =>
    bundle("true", (config) => {
      config.hooks = Object.fromEntries(
        ["prestart", "createRuntime", "poststop"].map((point) => [
          point,
          [{ path: "/bin/sh", args: ["sh", "-c", script], ...env }],
        ]),
      );
    });
  process.env["RUNTIME_ENVIRONMENT"] = "handed on";
  try {
    succeeded(runBundle(withHooks({})));
    succeeded(runBundle(withHooks({ env: ["PATH=/bin"] })));
  } finally {
    delete process.env["RUNTIME_ENVIRONMENT"];
  }
  assert.equal(fs.readFileSync(file, "utf8"), `${"handed on\n".repeat(3)}${"\n".repeat(3)}`);
});

must(section, "--preserve-fds hands descriptors on, and no others", () => {
  const file = path.join(scratch(), "handed-on");
  fs.writeFileSync(file, "from outside\n");
  const preserving = (preserved: string, script: string) =>
    succeeded(
      call(["run", "--preserve-fds", preserved, "--bundle", bundle(script), newId()], {
        redirect: `3<&- 4<${file} 6<${file}`,
      }),
    ).stdout.trim();
  assert.equal(preserving("2", "cat <&4; [ ! -e /proc/$$/fd/6 ]"), "from outside");
  assert.equal(preserving("100", "cat <&4; cat <&6"), "from outside\nfrom outside");
});

must(section, "the CPUs of the caller are not the container's", () => {
  const allowed = (text: string) => /Cpus_allowed_list:\s*(\S+)/.exec(text)?.[1];
  const all = allowed(fs.readFileSync("/proc/self/status", "utf8"));
  const first = all?.split(/[-,]/)[0];
  const id = newId();
  const directory = bundle("cat /proc/self/status");
  // Through a shell, which is bound to one CPU and becomes the runtime.
  const answer = call(["run", "--bundle", directory, id], {
    before: `taskset -p -c ${first} $$ >/dev/null`,
  });
  assert.equal(allowed(succeeded(answer).stdout), all);
});

must(section, "a cgroup that somebody is in, or that is frozen, is refused", () => {
  const cgroupsPath = `/vt-conf-taken-${process.pid}`;
  const directory = bundle(sleep, (config) => {
    config.linux.cgroupsPath = cgroupsPath;
  });
  const id = newId();
  succeeded(call(["run", "--detach", "--bundle", directory, id]));
  const answer = call(["create", "--bundle", directory, newId()]);
  refused(answer);
  assert.match(answer.stderr, /cgroup is not empty/);
});

must(section, "a user that is not named is 0, as in Go", () => {
  assert.equal(
    output("id -u; id -g", (config) => {
      config.process.user = undefined;
    }),
    "0\n0",
  );
});

must(section, "hooks of the container's own namespaces begin in its root", () => {
  const file = path.join(scratch(), "where");
  assert.equal(
    output("cat /made-here", (config) => {
      const args = ["sh", "-c", `echo made > made-here; pwd > ${file}`];
      config.hooks = { createContainer: [{ path: "/bin/sh", args }] };
    }),
    "made",
  );
  assert.match(fs.readFileSync(file, "utf8"), /rootfs$/m);
});

must(section, "a hook that fails is told by its point and number", () => {
  const answer = run("true", (config) => {
    config.hooks = { prestart: [{ path: "/bin/true" }, { path: "/bin/false" }] };
  });
  refused(answer);
  assert.match(answer.stderr, /error running prestart hook #1:.*exit status 1/);
});

must(section, "a filter that knows none of the runtime's own calls does not stop it", () => {
  const directory = bundle("exit 3", (config) => {
    const names = ["close_range", "openat2", "mount", "umount2"];
    const filter = { names, action: "SCMP_ACT_ERRNO", errnoRet: 6 };
    config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [filter] };
  });
  assert.equal(call(["run", "--bundle", directory, newId()]).status, 3);
  // Without it the filter is there before the capabilities go, and so before the user is entered.
  const file = path.join(directory, "config.json");
  const config = JSON.parse(fs.readFileSync(file, "utf8"));
  fs.writeFileSync(
    file,
    JSON.stringify({ ...config, process: { ...config.process, noNewPrivileges: false } }),
  );
  assert.equal(call(["run", "--bundle", directory, newId()]).status, 3);
});

/** A container in the host's pid namespace that leaves a process in the background: its pid. */
async function withBackground(then: string): Promise<{ readonly id: string; readonly left: number }> {
  const directory = bundle(`sleep 1000 & echo $! > /left; ${then}`, (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }: { type: string }) => type !== "pid");
  });
  const id = start(directory);
  const file = path.join(directory, "rootfs/left");
  const text = () => (fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "");
  await until("the background process", () => text().endsWith("\n"));
  return { id, left: Number(text()) };
}

const gone = (pid: number): Promise<void> =>
  until(`the end of ${pid}`, () => {
    try {
      return /\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, "latin1"));
    } catch {
      return true;
    }
  });

must(
  section,
  "without a pid namespace of its own, delete leaves no process of a container that ended",
  async () => {
    const { id, left } = await withBackground("exit 0");
    await stopped(id);
    succeeded(call(["delete", id]));
    await gone(left);
  },
);

must(section, "without a pid namespace of its own, KILL is for all processes", async () => {
  const { id, left } = await withBackground("wait");
  succeeded(call(["kill", id, "KILL"]));
  await gone(left);
  await stopped(id);
  succeeded(call(["delete", id]));
});
