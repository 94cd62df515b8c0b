/** The machines of test/vm: what each boots with, and the test files that run in it. */
import * as fs from "node:fs";
import * as path from "node:path";

export interface Machine {
  readonly name: string;
  /** `bare`: a shell is process 1 and mounts cgroup v2; no systemd. `systemd`: Debian's, with D-Bus and logind. */
  readonly init: "bare" | "systemd";
  /** More words for the kernel. */
  readonly append?: string;
  /** How long a boot may take; 60. */
  readonly minutes?: number;
  /** All fixtures come along. */
  readonly everything?: true;
  /** One after the other on the same disk. */
  readonly boots: readonly Boot[];
}

export interface Boot {
  readonly runs: readonly Run[];
  /**
   * `cut`, the default: the power goes, with whatever is not on the disk yet. `clean`: the machine is told to boot again,
   * and ends its processes and unmounts its disks first.
   */
  readonly end?: "cut" | "clean";
}

export interface Run {
  /** `user`: the unprivileged user, in a session of its own where there is systemd, else in a delegated cgroup. */
  readonly lane: "root" | "user";
  /** Test files, from the top of the checkout. */
  readonly files: readonly string[];
}

const integration = (...names: readonly string[]): readonly string[] =>
  names.map((name) => `test/integration/${name}.test.ts`);
const limits = integration("limits", "live-limits");

const lanes = ["root", "user"] as const;
const before = lanes.map((lane) => ({ lane, files: ["test/vm/reboot-before.test.ts"] }));
const after = lanes.map((lane) => ({ lane, files: ["test/vm/reboot-after.test.ts"] }));

const cutPull = (half: "before" | "after"): readonly Run[] => [
  { lane: "root", files: [`test/vm/cut-pull-${half}.test.ts`] },
];

/** What has no peers in the machine, no registry of the network, and does not measure time. */
const whole = fs
  .readdirSync(path.join(import.meta.dirname, "../integration"))
  .filter((name) => name.endsWith(".test.ts") && !/^registry-|peers|runtime-engines/.test(name))
  .map((name) => `test/integration/${name}`);

/** Not among those of `make test`: most of test/integration takes an hour (`make vm-all`). */
export const onDemand: readonly Machine[] = [
  {
    name: "all",
    init: "bare",
    minutes: 120,
    everything: true,
    boots: [{ runs: lanes.map((lane) => ({ lane, files: whole })) }],
  },
];

export const machines: readonly Machine[] = [
  {
    name: "bare",
    init: "bare",
    boots: [
      {
        runs: [
          {
            lane: "root",
            files: ["test/vm/machine.test.ts", ...limits, ...integration("cgroup-devices", "runtime-limits")],
          },
          {
            lane: "root",
            files: [
              "test/vm/checkpoint.test.ts",
              "test/vm/apparmor.test.ts",
              ...integration("explain-container"),
            ],
          },
          { lane: "user", files: ["test/vm/machine.test.ts", ...limits] },
        ],
      },
    ],
  },
  { name: "power-cut", init: "bare", boots: [{ runs: before }, { runs: after }] },
  { name: "power-cut-pull", init: "bare", boots: [{ runs: cutPull("before") }, { runs: cutPull("after") }] },
  {
    name: "selinux",
    init: "bare",
    append: "security=selinux selinux=1 enforcing=0",
    boots: [{ runs: [{ lane: "root", files: ["test/vm/selinux.test.ts"] }] }],
  },
  {
    name: "systemd",
    init: "systemd",
    boots: [
      {
        runs: [
          { lane: "root", files: ["test/vm/machine.test.ts", "test/vm/systemd-scope.test.ts"] },
          { lane: "user", files: ["test/vm/machine.test.ts", "test/vm/systemd-scope.test.ts"] },
          ...before.slice(0, 1),
        ],
        end: "clean",
      },
      { runs: after.slice(0, 1) },
    ],
  },
];
