/** Plans whose monitor is killed on the way. */
import type { WireOp } from "../../src/kernel/mod.ts";

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

/** The plan with its monitor killed just before the op of that number. Before an op of init both processes meet first. */
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
