/**
 * What `explain run` says held to what `run` does: for a matrix of flags, the plan that is shown is computed, the built
 * vitrine runs the same flags, and what the probe sees in its own /proc is what the ops said.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { runDeps } from "../../src/api/mod.ts";
import { parseLine } from "../../src/cli/framework/parse.ts";
import { makeContext } from "../../src/cli/framework/world.ts";
import { parseRunOptions, type RunFlags, runOptionTable } from "../../src/cli/run-options.ts";
import { previewRun } from "../../src/engine/mod.ts";
import type { Plan } from "../../src/kernel/mod.ts";
import { checkPlan, type ProbeFacts, probeArguments } from "../support/plan-truth.ts";
import { makeRunWorld } from "./run-support.ts";
import { helper, isRoot } from "./support.ts";

const world = makeRunWorld("flags-truth");
after(async () => {
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});
const shared = path.join(world.directory, "shared");
fs.mkdirSync(shared, { mode: 0o755 });
fs.writeFileSync(path.join(shared, "file"), "shared\n");
const profile = path.join(world.directory, "profile.json");
fs.writeFileSync(
  profile,
  JSON.stringify({
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["mount"], action: "SCMP_ACT_ERRNO" }],
  }),
);

/** A name in the container that does not hang on its id, which the plan that is shown invents. */
const always = ["--rm", "--quiet", "--hostname", "truth"];

async function planOf(flags: readonly string[], command: readonly string[]): Promise<Plan> {
  const environment: NodeJS.ProcessEnv = { ...world.env, VITRINE_HELPER: helper };
  const context = makeContext(
    {
      root: path.join(world.directory, "root"),
      runroot: path.join(world.directory, "run"),
      storageDriver: "auto",
      logLevel: "error",
      debug: false,
    },
    environment,
  );
  const line = parseLine([...always, ...flags, "probe", ...command], {
    options: runOptionTable,
    stopAtFirstPositional: true,
    helpCommand: "",
  });
  const wanted = parseRunOptions(line.options as unknown as RunFlags, {
    positionals: line.positionals,
    given: line.given,
    environment,
    directory: world.directory,
  });
  return (await previewRun(wanted, runDeps(context))).plan;
}

/**
 * Of --privileged's devices only the standard ones are looked at: the probe opens what it looks at, and to open some
 * (a watchdog) does something to the machine.
 */
function harmless(plan: Plan): Plan {
  const standard = /^\/dev\/(?:null|zero|full|random|urandom|tty|fuse)$/;
  return {
    ...plan,
    ops: plan.ops.filter(({ op }) => {
      const at = op.op === "makeNode" ? op.path.path : op.op === "bindMount" ? op.target.path : "";
      return !at.startsWith("/dev/") || standard.test(at);
    }),
  };
}

interface Row {
  readonly flags: readonly string[];
  readonly rootOnly?: boolean;
}

const rows: readonly Row[] = [
  { flags: [] },
  { flags: ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"] },
  {
    flags: ["--user", "user", "--group-add", "29", "--cap-add", "NET_BIND_SERVICE", "--workdir", "/new/deep"],
  },
  { flags: ["--privileged"] },
  { flags: ["--cap-add", "ALL", "--security-opt", `seccomp=${profile}`] },
  { flags: ["--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL"] },
  { flags: ["--security-opt", "mask=/etc/passwd:/home", "--umask", "0077"] },
  { flags: ["--network", "host", "--ipc", "host"] },
  { flags: ["--ipc", "none", "--timens", "host"] },
  { flags: ["--volume", `${shared}:/data:ro`, "--volume", `${shared}/file:/file:rslave,noexec`] },
  {
    flags: ["--mount", `type=bind,source=${shared},target=/data,readonly`, "--mount", "type=tmpfs,target=/t"],
  },
  { flags: ["--tmpfs", "/scratch:size=1m,mode=700,exec", "--shm-size", "1m", "--dns", "none", "--no-hosts"] },
  { flags: ["--env", "A=b", "--unsetenv", "PATH", "--entrypoint", "/bin/probe"] },
  { flags: ["--ulimit", "nofile=64:128", "--ulimit", "core=0", "--oom-score-adj", "300"] },
  { flags: ["--sysctl", "kernel.shm_rmid_forced=1", "--sysctl", "net.ipv4.ip_forward=1"] },
  { flags: ["--device", "/dev/fuse", "--init"] },
  { flags: ["--pids-limit", "50", "--memory", "64m", "--cpus", "0.5"], rootOnly: true },
  { flags: ["--cgroups", "disabled"] },
];

for (const { flags, rootOnly = false } of rows) {
  test(`run ${flags.join(" ").replaceAll(world.directory, "…")}`, async (context) => {
    if (rootOnly && !isRoot) {
      context.skip("needs root: a cgroup to divide");
      return;
    }
    if (flags.includes("/dev/fuse") && !fs.existsSync("/dev/fuse")) {
      context.skip("needs /dev/fuse");
      return;
    }
    const privileged = flags.includes("--privileged");
    const program = flags.includes("--entrypoint") ? [] : ["/bin/probe"];
    const first = await planOf(flags, [...program, "--json"]);
    const command = [...program, "--json", ...probeArguments(privileged ? harmless(first) : first)];
    const plan = await planOf(flags, command);
    for (const { op, why } of plan.ops) {
      assert.notEqual(why.origin.by, "config", `nobody stands behind ${op.op} at ${why.pointer}`);
    }
    const done = world.run(["run", ...always, ...flags, "probe", ...command]);
    assert.equal(done.status, 0, done.stderr);
    const shown = privileged && isRoot ? harmless(plan) : plan;
    checkPlan(shown, JSON.parse(done.stdout) as ProbeFacts);
  });
}
