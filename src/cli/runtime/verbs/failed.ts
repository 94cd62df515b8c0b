/** The helper runs it when an op failed: it finds out which field asked for the op, and tells the engine. */
import * as fs from "node:fs";
import { explainFailure } from "../../../explain/mod.ts";
import type { Plan } from "../../../kernel/mod.ts";
import { joinPlan, lifecycleFiles } from "../../../runtime/mod.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "Explain a failed op",
  usage: "DIRECTORY",
  options: {
    verb: { type: "string", default: "create", help: "what was to be done" },
    stage: { type: "string", default: "monitor", help: "where it failed" },
    op: { type: "number", default: -1, help: "which op of the plan" },
    errno: { type: "number", default: 0, help: "the kernel's error" },
    detail: { type: "string", default: "", help: "which call of the op" },
  },
  positionals: [1, 1],
  run({ options, positionals, log }) {
    const failure = { index: options.op, errno: options.errno, detail: options.detail };
    const plan = readPlan(positionals[0] ?? "", options.verb);
    const { error } = explainFailure(plan, failure);
    const known = programFailure(plan, failure) ?? hookFailure(plan, failure) ?? otherFailure(plan, failure);
    log.error(`${options.verb} failed: ${known ?? error.message}`);
    return options.verb === "exec" ? 255 : 1;
  },
});

type Failure = Parameters<typeof explainFailure>[1];

/** ETIME: what the helper says of a program that took too long. */
const timedOut = 62;

const errnoWords: Readonly<Record<number, string>> = {
  2: "no such file or directory",
  13: "permission denied",
  111: "connection refused",
  20: "not a directory",
};

/** Engines tell by these words of runc which exit status a missing or forbidden program is worth. */
function programFailure(plan: Plan, { index, errno, detail }: Failure): string | undefined {
  const op = plan.ops[index]?.op;
  if (op?.op === "changeDirectory" && errnoWords[errno] !== undefined) {
    return `chdir to cwd (${JSON.stringify(op.path)}) set in config.json failed: ${errnoWords[errno]}`;
  }
  if (op?.op !== "execute") return undefined;
  const name = JSON.stringify(op.argv[0] ?? "");
  if (errno === 2 && detail.endsWith(" is missing")) {
    // It is there; the interpreter of its first line, or its loader, is not.
    return `exec ${op.argv[0]}: no such file or directory: ${detail}`;
  }
  if (errno === 2) {
    return op.argv[0]?.includes("/")
      ? `exec: ${name}: stat ${op.argv[0]}: no such file or directory`
      : `exec: ${name}: executable file not found in $PATH`;
  }
  return errno === 13 ? `exec: ${name}: permission denied` : undefined;
}

/** As runc, which counts hooks from 0. */
function hookFailure(plan: Plan, { index, errno, detail }: Failure): string | undefined {
  const { op } = plan.ops[index] ?? {};
  const why = plan.ops[index]?.why.pointer;
  const [, point, number] = /^\/hooks\/(\w+)\/(\d+)$/.exec(why ?? "") ?? [];
  if (point === undefined) return undefined;
  const late = errno === timedOut && op?.op === "runProgram";
  const what = late ? `hook ran past specified timeout of ${op.timeoutSeconds}s: ${op.path}` : detail;
  return `error running ${point} hook #${number}: ${what}`;
}

/** What other tools look for by runc's words. */
function otherFailure(plan: Plan, { index, errno, detail }: Failure): string | undefined {
  const op = plan.ops[index]?.op;
  if ((op?.op === "cgroupAttach" || op?.op === "cloneInto") && errno === 2) {
    return `error adding pid to cgroup ${op.path.path}: no such file or directory`;
  }
  if (op?.op === "setScheduler" && errno === 1 && limitsCpus(plan)) {
    return "process scheduler can't be used together with AllowedCPUs: a deadline needs all CPUs (sched_setattr(2))";
  }
  return detail.startsWith("seccomp agent at ")
    ? `failed to connect with ${detail}: ${errnoWords[errno] ?? `error ${errno}`}`
    : undefined;
}

function limitsCpus(plan: Plan): boolean {
  return plan.ops.some(({ why }) => why.pointer === "/linux/resources/cpu/cpus");
}

/** A plan of its own (`exec`) is named by its directory as well. */
function readPlan(directory: string, verb: string): Plan {
  const place = lifecycleFiles(directory);
  const [plan, reasons] =
    verb === "start" ? [place.poststart, place.poststartReasons] : [place.plan, place.reasons];
  try {
    return joinPlan(fs.readFileSync(plan), fs.readFileSync(reasons, "utf8"));
  } catch {
    return { ops: [] };
  }
}
