/** System calls that an agent decides about (config-linux.md#seccomp, SCMP_ACT_NOTIFY and the ContainerProcessState). */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before } from "node:test";
import { isRoot, repository } from "../../integration/support.ts";
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
  until,
} from "./support.ts";

const section = "config-linux.md#seccomp";
const directory = scratch();
const socket = path.join(directory, "agent");
const told = path.join(directory, "told");
let agent: ChildProcess | undefined;

before(async () => {
  if (!isRoot) return;
  const program = path.join(directory, "seccomp-agent");
  const source = path.join(repository, "test/support/seccomp-agent.c");
  const built = spawnSync("cc", ["-D_GNU_SOURCE", "-Wall", "-Werror", "-o", program, source], {
    encoding: "utf8",
  });
  assert.equal(built.status, 0, built.stderr);
  agent = spawn(program, [socket], { stdio: ["ignore", fs.openSync(told, "w"), "ignore"] });
  await until("the agent's socket", () => fs.existsSync(socket));
});

after(() => agent?.kill("SIGKILL"));

interface Told {
  readonly ociVersion: string;
  readonly fds: readonly string[];
  readonly pid: number;
  readonly metadata?: string;
  readonly state: {
    readonly id: string;
    readonly status: string;
    readonly pid: number;
    readonly bundle: string;
  };
}

/** The lines that are whole: the agent writes beside us. */
const states = (): readonly Told[] =>
  fs
    .readFileSync(told, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Told);

async function stateAt(index: number): Promise<Told> {
  await until("what the agent is told", () => states().length > index);
  return states()[index]!;
}

const notifying =
  (names: readonly string[], more: object = {}) =>
  (config: Config): void => {
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      listenerPath: socket,
      listenerMetadata: 'of "the" agent: "pid":0',
      syscalls: [{ names, action: "SCMP_ACT_NOTIFY" }],
      ...more,
    };
  };

const makeDirectory = "mkdir /tmp/made 2>&1; test -d /tmp/made && echo made";

for (const noNewPrivileges of [true, false]) {
  const how = noNewPrivileges ? "with" : "without";
  must(section, `SCMP_ACT_NOTIFY: the agent decides, ${how} noNewPrivileges`, () => {
    const { stdout, status } = run(`mkdir -p /tmp; ${makeDirectory}`, (config) => {
      notifying(["mkdir", "mkdirat"])(config);
      config.process.noNewPrivileges = noNewPrivileges;
    });
    assert.notEqual(status, 0);
    assert.match(stdout, /mkdir.*(argument out of domain|domain error)/i);
    assert.doesNotMatch(stdout, /^made$/m);
  });

  must(section, `SCMP_ACT_NOTIFY: calls that the runtime itself makes, ${how} noNewPrivileges`, () => {
    const names = ["execve", "openat", "open", "read", "close", "fcntl"];
    const shown = output("echo ran", (config) => {
      notifying(names)(config);
      config.process.noNewPrivileges = noNewPrivileges;
    });
    assert.equal(shown, "ran");
  });
}

must(section, "the agent is told the ContainerProcessState, of create and of exec", async () => {
  const before = states().length;
  const at = bundle("while :; do sleep 1; done", notifying(["mkdir", "mkdirat"]));
  const id = start(at);
  const { pid } = state(id);
  const created = await stateAt(before);
  const { ociVersion, ...rest } = created;
  assert.match(ociVersion, /^1\./);
  assert.equal(rest.pid, pid);
  assert.deepEqual(rest.fds, ["seccompFd"]);
  assert.equal(rest.metadata, 'of "the" agent: "pid":0');
  const { id: told, status, pid: told_pid, bundle: where } = rest.state;
  assert.deepEqual(
    { told, status, told_pid, where },
    { told: id, status: "creating", told_pid: pid, where: at },
  );
  const done = call(["exec", id, "mkdir", "/made"]);
  assert.notEqual(done.status, 0);
  assert.match(done.stderr, /argument out of domain|domain error/i);
  const executed = await stateAt(before + 1);
  assert.equal(executed.state.pid, pid);
  assert.equal(executed.state.status, "running");
  assert.notEqual(executed.pid, pid);
  succeeded(call(["delete", "--force", id]));
});

must(section, "the listener stays with nobody but the agent", () => {
  const change = notifying(["mkdir", "mkdirat"], { flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] });
  assert.deepEqual(output("ls /proc/self/fd", change).split("\n"), ["0", "1", "2", "3"]);
});

must(section, "SCMP_ACT_NOTIFY without an agent, for write, or for all is an error", () => {
  refused(run("true", notifying(["mkdir"], { listenerPath: path.join(directory, "nobody") })));
  refused(run("true", notifying(["mkdir"], { listenerPath: "@vitrine-test-nobody" })));
  refused(run("true", notifying(["mkdir"], { listenerPath: "", listenerMetadata: "" })));
  refused(run("true", notifying(["write"])));
  refused(run("true", notifying(["mkdir"], { defaultAction: "SCMP_ACT_NOTIFY" })));
});

must(section, "listenerPath is ignored where nothing notifies", () => {
  const nobody = path.join(directory, "nobody");
  assert.equal(output("echo ran", notifying(["mkdir"], { syscalls: [], listenerPath: nobody })), "ran");
});
