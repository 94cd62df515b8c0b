/**
 * `__failed ID --stage S --op N --errno E --detail D`: the helper runs it when an op failed. It finds out which field
 * and which flag asked for the op, tells the user, and its exit status becomes that of `run`.
 */
import * as fs from "node:fs";
import { VitrineError, writeFileAtomically } from "../../base/mod.ts";
import { errorFile, exitFile, joinPlan, runDirectory } from "../../engine/mod.ts";
import { explainFailure } from "../../explain/mod.ts";
import type { OpFailure, Plan } from "../../kernel/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { failureOf } from "../framework/failure.ts";

export const command = defineCommand({
  description: "Explains a failed op of a container's plan. The helper runs it; it is of no use otherwise.",
  options: {
    stage: { type: "string", value: "STAGE", default: "monitor", help: "where it failed" },
    op: { type: "number", value: "INDEX", default: -1, help: "which op of the plan" },
    errno: { type: "number", value: "ERRNO", default: 0, help: "the kernel's error" },
    exec: { type: "string", value: "DIR", default: "", help: "the plan is that of a further program" },
    detail: { type: "string", value: "TEXT", default: "", help: "which call of the op" },
  },
  positionals: [{ name: "ID" }],
  run({ options, positionals, context }) {
    const paths = context.paths();
    const id = positionals[0] ?? "";
    const failure: OpFailure = { index: options.op, errno: options.errno, detail: options.detail };
    const plan = readPlan(options.exec === "" ? runDirectory(paths, id) : options.exec);
    const { error, exitCode } = explainFailure(plan, failure);
    context.err(failureOf(error, context.globals.debug).text);
    if (options.exec === "") {
      record(errorFile(paths, id), error.message.slice(0, longestReason));
      record(exitFile(paths, id), `${exitCode} 0 ${BigInt(context.now()) * 1_000_000n}\n`);
    }
    return exitCode;
  },
});

function readPlan(directory: string): Plan {
  try {
    return joinPlan(
      fs.readFileSync(`${directory}/plan`),
      fs.readFileSync(`${directory}/reasons.json`, "utf8"),
    );
  } catch (cause) {
    throw new VitrineError(
      "internal",
      "a step of the container's start failed, and its plan cannot be read",
      {
        code: "plan-unreadable",
        operand: directory,
        hint: "run the command again",
        cause,
      },
    );
  }
}

const longestReason = 4096;

/** A container that is kept shows in `ps --all` and `inspect` how it ended, and why; one with --rm is gone in a moment. */
function record(file: string, text: string): void {
  try {
    writeFileAtomically(file, text, { mode: 0o600, sync: false });
  } catch {
    // The message counts, not the record.
  }
}
