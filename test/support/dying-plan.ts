/**
 * `dying-plan.ts PLAN CONTROL`: changes a plan so that its monitor is killed just before the op whose number is in the
 * file CONTROL, and says which op that is.
 */
import * as fs from "node:fs";
import { decodePlan, encodePlan, type WireOp } from "../../src/kernel/mod.ts";

const suicide = (stage: WireOp["stage"]): WireOp => ({
  stage,
  tolerate: [],
  op: {
    op: "runProgram",
    path: "/bin/sh",
    argv: ["sh", "-c", "kill -KILL $PPID"],
    env: [],
    stdin: new Uint8Array(),
    timeoutSeconds: 0,
    stateOnStdin: false,
    outputFile: "",
    errorFile: "",
  },
});

/** Before an op of init both processes meet first. */
export function dyingAt(ops: readonly WireOp[], at: number): readonly WireOp[] {
  const changed = [...ops];
  const { stage } = ops[at]!;
  if (stage !== "init") {
    changed.splice(at, 0, suicide(stage));
    return changed;
  }
  const meeting = (which: "monitor" | "init"): WireOp => ({
    stage: which,
    tolerate: [],
    op: { op: "barrier", id: 4242 },
  });
  const isBarrier = (which: string) => (op: WireOp) => op.stage === which && op.op.op === "barrier";
  const before = ops.slice(0, at).filter(isBarrier("init")).length;
  let place = ops.findIndex(({ op }) => op.op === "clone");
  for (let index = 0, seen = 0; index < ops.length && seen < before; index++) {
    if (isBarrier("monitor")(ops[index]!)) {
      seen += 1;
      place = index;
    }
  }
  changed.splice(at, 0, meeting("init"));
  // A monitor's op before `at` moves init's by none; one after it is moved by one.
  changed.splice(place + 1 + (place >= at ? 1 : 0), 0, meeting("monitor"), suicide("monitor"));
  return changed;
}

const [plan = "", control = ""] = process.argv.slice(2);
if (plan.endsWith("/plan")) {
  const at = Number(fs.readFileSync(control, "utf8"));
  const { ops } = decodePlan(fs.readFileSync(plan));
  if (at >= ops.length) process.stdout.write("no such op\n");
  else {
    process.stdout.write(`dies before ${ops[at]!.stage} ${ops[at]!.op.op}\n`);
    fs.writeFileSync(plan, encodePlan({ ops: dyingAt(ops, at) }));
  }
}
