/** `process` of config.json (config.md#process). */
import { limits, quoted } from "../base/mod.ts";
import { type ConfigReader, numberList } from "./config-reader.ts";
import { compact, type Field } from "./field.ts";
import {
  type CapabilitySetName,
  capabilitySetNames,
  ioPriorityClasses,
  type LinuxCapabilities,
  type Process,
  type Rlimit,
  rlimitTypes,
  type Scheduler,
  schedulerFlags,
  schedulerPolicies,
  type User,
} from "./runtime-config.ts";

/** Id 2^32-1 tells setresuid(2) to change nothing: as a user id it would leave the process root. */
const lastId = 0xffff_fffe;

export function readProcess(reader: ConfigReader, field: Field): Process {
  const terminal = field.at("terminal").optional((flag) => flag.boolean());
  const capabilities = field.at("capabilities").optional(readCapabilities);
  if (capabilities !== undefined) {
    warnOfCapabilities(reader, field.at("capabilities"), capabilities);
  }
  return compact({
    terminal,
    // The size says nothing without a terminal and must then be ignored.
    consoleSize:
      terminal === true
        ? field.at("consoleSize").optional((size) => ({
            height: size.at("height").integer(0, 0xffff),
            width: size.at("width").integer(0, 0xffff),
          }))
        : undefined,
    user: field.at("user").optional(readUser) ?? { uid: 0, gid: 0 },
    args: readArgs(field.at("args")),
    env: field.at("env").optional((env) => readEnv(reader, env)),
    cwd: field.at("cwd").absolutePath(),
    capabilities,
    rlimits: field.at("rlimits").optional(readRlimits),
    noNewPrivileges: field.at("noNewPrivileges").optional((flag) => flag.boolean()),
    apparmorProfile: field.at("apparmorProfile").optional((profile) => profile.string()),
    selinuxLabel: field.at("selinuxLabel").optional((label) => label.string()),
    oomScoreAdj: field.at("oomScoreAdj").optional((score) => score.integer(-1000, 1000)),
    scheduler: field.at("scheduler").optional(readScheduler),
    ioPriority: field.at("ioPriority").optional((priority) => ({
      class: priority.at("class").oneOf(ioPriorityClasses),
      // The idle class has no levels (ioprio_set(2)): crun takes it without one.
      priority:
        priority.at("class").oneOf(ioPriorityClasses) === "IOPRIO_CLASS_IDLE"
          ? (priority.at("priority").optional((level) => level.integer(0, 7)) ?? 0)
          : priority.at("priority").integer(0, 7),
    })),
    execCPUAffinity: field.at("execCPUAffinity").optional((affinity) =>
      compact({
        initial: affinity.at("initial").optional(numberList),
        final: affinity.at("final").optional(numberList),
      }),
    ),
  });
}

function readUser(field: Field): User {
  return compact({
    // The schema asks for neither, and what writes a config in Go leaves out what is 0.
    uid: field.at("uid").optional((id) => id.integer(0, lastId)) ?? 0,
    gid: field.at("gid").optional((id) => id.integer(0, lastId)) ?? 0,
    umask: field.at("umask").optional((mask) => mask.integer(0, 0o777)),
    additionalGids: field
      .at("additionalGids")
      .optional((gids) => gids.array((gid) => gid.integer(0, lastId))),
  });
}

function readArgs(field: Field): readonly string[] {
  const args = field.strings();
  return args.length === 0 ? field.fail("must name a program") : args;
}

function readEnv(reader: ConfigReader, field: Field): readonly string[] {
  const env = field.strings();
  const bytes = env.reduce((sum, variable) => sum + Buffer.byteLength(variable) + 1, 0);
  if (bytes > limits.environmentBytes) {
    field.fail(`has ${bytes} bytes, at most ${limits.environmentBytes} are allowed`);
  }
  env.forEach((variable, index) => {
    if (variable.indexOf("=") < 1) {
      reader.warn(field.elements()[index]!, "environment-entry-odd", "is not of the form NAME=value");
    }
  });
  return env;
}

function readCapabilities(field: Field): LinuxCapabilities {
  const set = (name: CapabilitySetName) => field.at(name).optional((names) => names.strings());
  return compact(Object.fromEntries(capabilitySetNames.map((name) => [name, set(name)])));
}

/** What cannot be granted is told, not refused (config.md#linux-process). */
function warnOfCapabilities(reader: ConfigReader, field: Field, sets: LinuxCapabilities): void {
  for (const setName of capabilitySetNames) {
    const names = sets[setName] ?? [];
    const unknown = names.filter((name) => !reader.knowsCapability(name));
    const others = needs(setName);
    const barred = names.filter(
      (name) => !unknown.includes(name) && others.some((other) => !sets[other]?.includes(name)),
    );
    if (unknown.length > 0) {
      const list = unknown.map((name) => quoted(name, 40)).join(", ");
      reader.warn(field.at(setName), "capability-unknown", `${list}: unknown here, left out`);
    }
    if (barred.length > 0) {
      const message = `${barred.join(", ")}: not in ${others.join(" and ")} as well, left out`;
      reader.warn(field.at(setName), "capability-not-grantable", message);
    }
  }
}

/** capabilities(7): effective lies within permitted. Of ambient ones the compiler tells, in runc's words. */
function needs(set: CapabilitySetName): readonly CapabilitySetName[] {
  return set === "effective" ? ["permitted"] : [];
}

function readRlimits(field: Field): readonly Rlimit[] {
  const seen = new Set<string>();
  return field.array((entry) => {
    const rlimit: Rlimit = {
      type: entry.at("type").oneOf(rlimitTypes),
      soft: entry.at("soft").uint64(),
      hard: entry.at("hard").uint64(),
    };
    if (seen.has(rlimit.type)) {
      entry.at("type").fail(`is ${rlimit.type} a second time`, { code: "runtime-config-duplicate" });
    }
    seen.add(rlimit.type);
    if (rlimit.soft > rlimit.hard) {
      entry.at("soft").fail(`is ${rlimit.soft}, above the hard limit ${rlimit.hard}`);
    }
    return rlimit;
  });
}

const shortestTime = 1024n;
const longestTime = 2n ** 63n - 1n;

/** sched_setattr(2) takes each parameter for some policies only. */
function readScheduler(field: Field): Scheduler {
  const scheduler: Scheduler = compact({
    policy: field.at("policy").oneOf(schedulerPolicies),
    nice: field.at("nice").optional((nice) => nice.integer(-20, 19)),
    priority: field.at("priority").optional((priority) => priority.integer(0, 99)),
    flags: field.at("flags").optional((flags) => flags.array((flag) => flag.oneOf(schedulerFlags))),
    runtime: field.at("runtime").optional((time) => time.uint64()),
    deadline: field.at("deadline").optional((time) => time.uint64()),
    period: field.at("period").optional((time) => time.uint64()),
  });
  const { policy } = scheduler;
  if (policy === "SCHED_ISO") {
    field.at("policy").fail("is SCHED_ISO, which Linux does not implement", {
      kind: "unsupported",
      code: "runtime-config-unsupported",
    });
  }
  const only = (name: "nice" | "priority" | "runtime" | "deadline" | "period", ...policies: string[]) => {
    if (Number(scheduler[name] ?? 0) !== 0 && !policies.includes(policy)) {
      field.at(name).fail(`goes with ${policies.join(" and ")}, not with ${policy}`);
    }
  };
  // The kernel passes over it with a deadline, and runc's own example has one.
  only("nice", "SCHED_OTHER", "SCHED_BATCH", "SCHED_DEADLINE");
  only("priority", "SCHED_FIFO", "SCHED_RR");
  only("runtime", "SCHED_DEADLINE");
  only("deadline", "SCHED_DEADLINE");
  only("period", "SCHED_DEADLINE");
  if (policy === "SCHED_DEADLINE") checkDeadline(field, scheduler);
  return scheduler;
}

/** The kernel says EINVAL to all of these; the words are crun's. */
function checkDeadline(field: Field, scheduler: Scheduler): void {
  const why = deadlineProblem(scheduler);
  if (why !== undefined) field.fail(`is refused by sched_setattr: \`SCHED_DEADLINE\` ${why}`);
}

/** Nanoseconds (sched(7)). */
function deadlineProblem({ runtime, deadline, period = 0n }: Scheduler): string | undefined {
  if (runtime === undefined) return "requires `runtime`";
  if (deadline === undefined) return "requires `deadline`";
  if (runtime === 0n) return "runtime must be greater than 0";
  if (deadline === 0n) return "deadline must be greater than 0";
  if (runtime > deadline) return `runtime (${runtime}) must be <= deadline (${deadline})`;
  if (period !== 0n && deadline > period) return `deadline (${deadline}) must be <= period (${period})`;
  const times = { runtime, deadline, ...(period === 0n ? {} : { period }) };
  const [name, value] =
    Object.entries(times).find(([, time]) => time < shortestTime || time > longestTime) ?? [];
  return name === undefined
    ? undefined
    : `${name} (${value}) must be between ${shortestTime} and ${longestTime}`;
}
