import * as os from "node:os";
import { errnoOf, VitrineError } from "../../../base/mod.ts";
import { diesWithInit, processesIn, readState } from "../../../runtime/mod.ts";
import { containersLike } from "../container-ids.ts";
import { defineVerb } from "../verb.ts";

export const verb = defineVerb({
  summary: "Send a signal to a container",
  usage: "CONTAINER [SIGNAL]",
  options: {
    all: { type: "boolean", short: "a", help: "to each process of it" },
    regex: { type: "boolean", short: "r", help: "CONTAINER is a regular expression: all whose ids match" },
  },
  positionals: [1, 2],
  run({ options, positionals, globals }) {
    const [container = "", word = "SIGTERM"] = positionals;
    const signal = signalNumber(word);
    if (!options.regex) return killOne(globals.root, container, signal, options.all);
    for (const id of containersLike(globals.root, container)) {
      // Of many, those that have ended are passed over.
      if (readState(globals.root, id).status !== "stopped") killOne(globals.root, id, signal, options.all);
    }
    return 0;
  },
});

function killOne(root: string, id: string, signal: number, all: boolean): number {
  const { record, status, pid } = readState(root, id);
  // As runc: KILL leaves nobody, also where the others do not die with the first.
  const everybody = signal === 9 && !diesWithInit(root, id) && processesIn(record.cgroup).length > 0;
  if (all || everybody) {
    for (const each of processesIn(record.cgroup)) send(each, signal);
    if (pid !== 0) send(pid, signal);
    return 0;
  }
  if (pid !== 0 && status !== "stopped" && send(pid, signal)) return 0;
  throw new VitrineError("invalid", "container not running", {
    code: "container-not-running",
    operand: id,
  });
}

/** False: it is gone. */
export function send(pid: number, signal: number): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ESRCH") return false;
    throw error;
  }
}

/** `9`, `KILL`, `SIGKILL`, `RTMIN+3`. Error: `signal-unknown`. */
export function signalNumber(word: string): number {
  const name = word.toUpperCase().replace(/^SIG/, "");
  if (/^\d{1,2}$/.test(name) && Number(name) <= 64) return Number(name);
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realTime !== null) {
    // As the libraries count: the kernel's first two are theirs.
    const base = realTime[1] === "MIN" ? 34 : 64;
    const number = base + (realTime[2] === "-" ? -1 : 1) * Number(realTime[3] ?? 0);
    if (number >= 34 && number <= 64) return number;
  }
  const signals: Readonly<Record<string, number>> = os.constants.signals;
  const number = signals[`SIG${name}`];
  if (number !== undefined) return number;
  throw new VitrineError("invalid", `unknown signal ${JSON.stringify(word)}`, {
    code: "signal-unknown",
    operand: word,
    hint: "a number, or a name as TERM or SIGTERM",
  });
}
