/** The machines of test/vm: what each boots with, and the test files that run in it. */

export interface Machine {
  readonly name: string;
  /** `bare`: a shell is process 1 and mounts cgroup v2; no systemd. `systemd`: Debian's, with D-Bus and logind. */
  readonly init: "bare" | "systemd";
  /** More words for the kernel. */
  readonly append?: string;
  /** One after the other on the same disk; each ends by a power cut. */
  readonly boots: readonly (readonly Run[])[];
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

export const machines: readonly Machine[] = [
  {
    name: "bare",
    init: "bare",
    boots: [
      [
        {
          lane: "root",
          files: ["test/vm/machine.test.ts", ...limits, ...integration("cgroup-devices", "runtime-limits")],
        },
        { lane: "root", files: ["test/vm/checkpoint.test.ts", "test/vm/apparmor.test.ts"] },
        { lane: "user", files: ["test/vm/machine.test.ts", ...limits] },
      ],
    ],
  },
  {
    name: "selinux",
    init: "bare",
    append: "security=selinux selinux=1 enforcing=0",
    boots: [[{ lane: "root", files: ["test/vm/selinux.test.ts"] }]],
  },
  {
    name: "systemd",
    init: "systemd",
    boots: [
      [
        { lane: "root", files: ["test/vm/machine.test.ts", "test/vm/systemd-scope.test.ts"] },
        { lane: "user", files: ["test/vm/machine.test.ts", "test/vm/systemd-scope.test.ts"] },
      ],
    ],
  },
];
