/** The plan of a restore: criu in the container's cgroup, seeing the root filesystem as a mount of its own. */
import { CLONE_NEWNS, MS_SLAVE, type Plan } from "../../kernel/mod.ts";
import { arrangeCgroup, enterCgroup, planCgroup } from "../cgroup.ts";
import { explainFailures } from "../cleanup.ts";
import { Draft } from "../draft.ts";
import { isolateKeyring } from "../process.ts";
import type { CompileInput } from "../types.ts";

export interface RestorePlanInput {
  readonly input: CompileInput;
  readonly rootfs: string;
  /** An existing directory on the host. */
  readonly mountPoint: string;
  /** The program and its arguments. */
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly preserveDescriptors: number;
}

const section = "runtime.md#operations";
const ours = { pointer: "", section, origin: { by: "default" } } as const;

/** Ops of monitor and init alone: what removes the container is in the plan that `compile` made. */
export function compileRestore(wanted: RestorePlanInput): Plan {
  const { input } = wanted;
  const { uidMappings: _u, gidMappings: _g, timeOffsets: _t, ...linux } = input.config.linux ?? {};
  // criu makes the container's namespaces; itself it needs a mount namespace to mount the root in.
  const config = { ...input.config, linux: { ...linux, namespaces: [{ type: "mount" as const }] } };
  const draft = new Draft({ ...input, config });
  // criu enters it once the root is mounted.
  const { born: _born, ...cgroup } = planCgroup(draft);
  const host = (path: string) => ({ base: "host", path }) as const;

  explainFailures(draft);
  draft.monitor({ op: "clone", flags: BigInt(CLONE_NEWNS), dieWithMonitor: false }, ours);
  arrangeCgroup(draft, cgroup);
  isolateKeyring(draft);
  draft.init({ op: "mountPropagation", path: host("/"), propagation: MS_SLAVE, recursive: true }, ours);
  draft.init(
    {
      op: "bindMount",
      source: host(wanted.rootfs),
      target: host(wanted.mountPoint),
      recursive: true,
      set: 0n,
      clear: 0n,
      recursiveAttributes: false,
      propagation: 0,
    },
    { pointer: "/root/path", section: "config.md#root" },
  );
  enterCgroup(draft, cgroup);
  draft.init({ op: "closeDescriptors", first: 3 + wanted.preserveDescriptors }, ours);
  draft.init({ op: "execute", argv: wanted.argv, env: wanted.env }, ours);
  draft.monitor(
    { op: "supervise", exitFile: "", pidFile: "", forwardSignals: true, relayInput: false, cleanUp: true },
    ours,
  );
  return draft.finish();
}
