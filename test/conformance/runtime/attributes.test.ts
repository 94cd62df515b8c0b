/** How the process is scheduled, and what of the machine it is given (config.md#linux-process, config-linux.md). */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { bundle, type Config, call, must, output, refused, run, start, succeeded, until } from "./support.ts";

const section = "config.md#linux-process";
/** Fields 19, 40 and 41 of proc_pid_stat(5): nice, the real-time priority, the policy. */
const scheduling = "cut -d ' ' -f 19,40,41 /proc/self/stat";

const scheduler =
  (value: Config) =>
  (config: Config): void => {
    config.process.scheduler = value;
    config.process.capabilities.bounding.push("CAP_SYS_NICE");
    config.process.capabilities.effective.push("CAP_SYS_NICE");
    config.process.capabilities.permitted.push("CAP_SYS_NICE");
  };

must(section, "scheduler: nice of SCHED_OTHER and SCHED_BATCH, SCHED_IDLE", () => {
  const of = (value: Config) => output(scheduling, scheduler(value));
  assert.equal(of({ policy: "SCHED_OTHER", nice: 7 }), "7 0 0");
  assert.equal(of({ policy: "SCHED_BATCH", nice: -5 }), "-5 0 3");
  assert.match(of({ policy: "SCHED_IDLE" }), / 0 5$/);
});

must(section, "scheduler: flags", () => {
  // What is forked, the shell's child here, is no nicer to itself than others are.
  const value = { policy: "SCHED_BATCH", nice: -5, flags: ["SCHED_FLAG_RESET_ON_FORK"] };
  assert.equal(output(`${scheduling}; true`, scheduler(value)), "0 0 3");
});

must(section, "scheduler: values of another policy are an error", () => {
  refused(run("true", scheduler({ policy: "SCHED_OTHER", priority: 5 })));
  refused(run("true", scheduler({ policy: "SCHED_FIFO", priority: 1000 })));
  refused(run("true", scheduler({ policy: "SCHED_OTHER", runtime: 10_000_000 })));
});

must(section, "ioPriority: class and priority", () => {
  const of = (value: Config) =>
    output("ionice -p $$", (config) => {
      config.process.ioPriority = value;
    });
  assert.match(of({ class: "IOPRIO_CLASS_BE", priority: 2 }), /best-effort: prio 2/);
  assert.match(of({ class: "IOPRIO_CLASS_IDLE", priority: 0 }), /idle/);
});

/** The CPUs that the tests themselves may use. */
const cpus = os.availableParallelism() > 1 ? ["0", "1"] : ["0", "0"];
const allowed = "sed -n 's/^Cpus_allowed_list:\\t//p' /proc/self/status";

must(section, "execCPUAffinity: final is that of the program, of exec alone", async () => {
  const directory = bundle(`${allowed} > /cpus; while :; do sleep 1; done`, (config) => {
    config.process.execCPUAffinity = { initial: cpus[0], final: cpus[1] };
  });
  const id = start(directory);
  const shown = succeeded(call(["exec", id, "sh", "-c", allowed])).stdout.trim();
  assert.equal(shown, cpus[1]);
  const file = path.join(directory, "rootfs/cpus");
  const told = () => (fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "");
  await until("the program's own CPUs", () => told().endsWith("\n"));
  const own = told().trim();
  if (os.availableParallelism() > 1) assert.notEqual(own, cpus[1]);
  succeeded(call(["delete", "--force", id]));
});

must(section, "execCPUAffinity: what is no list is an error", () => {
  refused(
    run("true", (config) => {
      config.process.execCPUAffinity = { initial: "0-" };
    }),
  );
});

must("config-linux.md#memory-policy", "mode and nodes", () => {
  const policy = output(
    "cut -d ' ' -f 2 /proc/self/numa_maps | sort | uniq -c | sort -rn | head -1",
    (config) => {
      config.linux.memoryPolicy = { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] };
    },
  );
  assert.match(policy, /bind=static:0/);
});

must("config-linux.md#memory-policy", "a node that is not there, a mode without its nodes are errors", () => {
  const set = (memoryPolicy: Config) =>
    refused(
      run("true", (config) => {
        config.linux.memoryPolicy = memoryPolicy;
      }),
    );
  set({ mode: "MPOL_BIND", nodes: "1000" });
  set({ mode: "MPOL_BIND" });
  set({ mode: "MPOL_NONE", nodes: "0" });
});

must("config-linux.md#offset-for-time-namespace", "exec has the container's clocks", () => {
  const id = start(
    bundle("while :; do sleep 1; done", (config) => {
      config.linux.namespaces.push({ type: "time" });
      config.linux.timeOffsets = { boottime: { secs: 1_000_000 }, monotonic: { secs: 1_000_000 } };
    }),
  );
  const uptime = Number.parseFloat(succeeded(call(["exec", id, "cat", "/proc/uptime"])).stdout);
  assert.ok(uptime > 1_000_000, String(uptime));
  succeeded(call(["delete", "--force", id]));
});
