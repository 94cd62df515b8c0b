/**
 * `failed REPORT ROOT RUNROOT ID [--exec DIR] --stage S --op N --errno E --detail D`: the helper runs it when an op
 * failed. It writes what went wrong to REPORT as JSON (`FailureReport`), for the program that asked for the container.
 * Its exit status becomes the container's.
 */
import * as fs from "node:fs";
import { parseArgs } from "node:util";
import { joinPlan, runDirectory } from "../../engine/mod.ts";
import { explainFailure } from "../../explain/mod.ts";
import type { FailureReport } from "./launch.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    exec: { type: "string", default: "" },
    stage: { type: "string", default: "" },
    op: { type: "string", default: "-1" },
    errno: { type: "string", default: "0" },
    detail: { type: "string", default: "" },
  },
});
const [report = "", root = "", runroot = "", id = ""] = positionals;
const directory = values.exec === "" ? runDirectory({ root, runroot }, id) : values.exec;
const plan = joinPlan(
  fs.readFileSync(`${directory}/plan`),
  fs.readFileSync(`${directory}/reasons.json`, "utf8"),
);
const { error, exitCode } = explainFailure(plan, {
  index: Number(values.op),
  errno: Number(values.errno),
  detail: values.detail,
});
const { kind, message, code, operand, hint } = error;
const text: FailureReport = { kind, message, code, operand, hint };
fs.writeFileSync(report, JSON.stringify(text), { mode: 0o600 });
process.exit(exitCode);
