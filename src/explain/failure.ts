/**
 * A failed op as the error that a user reads: what could not be done, which call of which op it was, which field of
 * config.json asked for it and who put it there, and what to do.
 */

import { quoted, VitrineError } from "../base/mod.ts";
import type { OpFailure, Plan, PlannedOp } from "../kernel/mod.ts";
import { errnoText } from "./errno.ts";
import { diagnose } from "./hints.ts";
import { explainOrigin } from "./plan.ts";
import type { ContainerFailure, ExplainedOrigin } from "./types.ts";

/** The container could not be set up; Docker's status for faults of the engine. */
const setUpFailed = 125;

/**
 * `failure.index` outside the plan (the helper failed between ops) gives an error of the helper. The message has lines;
 * the first says it all for those who know.
 */
export function explainFailure(plan: Plan, failure: OpFailure): ContainerFailure {
  const planned = plan.ops[failure.index];
  const { name, words } = errnoText(failure.errno);
  if (planned === undefined) {
    const detail = failure.detail === "" ? "" : ` (${failure.detail})`;
    const error = new VitrineError("internal", `the container could not be started: ${words}${detail}`, {
      code: "helper-failed",
      hint: "run 'vitrine doctor'; with --debug the helper says more",
    });
    return { error, exitCode: setUpFailed };
  }
  const found = diagnose(planned, name, failure.detail);
  const lines = [`${found.what}: ${found.because ?? words}`, ...contextLines(planned, name, failure)];
  const error = new VitrineError(found.kind, lines.join("\n"), {
    code: found.code,
    operand: planned.why.pointer === "" ? planned.op.op : planned.why.pointer,
    hint: found.hint,
  });
  return { error, exitCode: found.exitCode ?? setUpFailed };
}

function contextLines(planned: PlannedOp, errno: string, failure: OpFailure): string[] {
  const { op, stage, why } = planned;
  const call = failure.detail === "" ? "" : `: ${failure.detail}`;
  const lines = [`  step ${failure.index} (${op.op}, ${stage})${call}: ${errno}`];
  if (why.pointer !== "") {
    const section = why.section === "" ? "" : ` (${why.section})`;
    lines.push(
      `  asked for by ${askedBy(explainOrigin(why.origin))} at ${why.pointer} of config.json${section}`,
    );
  }
  return lines;
}

function askedBy(origin: ExplainedOrigin): string {
  switch (origin.by) {
    case "flag":
      return origin.text;
    case "image":
      return `the image's ${quoted(origin.text)}`;
    case "default":
      return "a default";
    case "host":
      return `the machine (${origin.text})`;
    case "config":
      return "the bundle";
  }
}
