/** config.json + host facts → plan. The order is runc's; where it matters the step says why. */
import { type Plan, S_IFIFO } from "../kernel/mod.ts";
import { becomeProgram } from "./become-program.ts";
import { capabilityMasks } from "./capabilities.ts";
import { arrangeCgroup, bearInCgroup, enterCgroup, planCgroup } from "./cgroup.ts";
import { cleanUp, explainFailures, guardTerminal, hearReadiness, supervise } from "./cleanup.ts";
import { tellOfRules } from "./coverage.ts";
import { finishDev, setUpDev } from "./devices.ts";
import { Draft } from "./draft.ts";
import { planPoststartHooks, runCreateHooks, runPoststartHooks, runStartHooks } from "./hooks.ts";
import { enterResctrl } from "./intel-rdt.ts";
import { readMounts } from "./mount-entry.ts";
import { mountAll } from "./mounts.ts";
import { checkNamespaces, enterNamespaces, setUpNetwork, startInit } from "./namespaces.ts";
import { moveNetDevices } from "./net-devices.ts";
import {
  execute,
  isolateKeyring,
  labelProcess,
  makeWorkingDirectory,
  openStreams,
  resetAffinity,
  setNames,
  setOomScore,
} from "./process.ts";
import { protectPaths, writeSysctls } from "./restrictions.ts";
import {
  finishPropagation,
  isolateMounts,
  makeRootReadOnly,
  mountRoot,
  pivot,
  unmountFromHost,
} from "./rootfs.ts";
import type { CompileInput } from "./types.ts";

/**
 * Pure: the same input gives the same plan. Ops are in the order of time; those of monitor and init run beside each
 * other between two barriers.
 *
 * Errors: kind `invalid` for a config that contradicts itself, `unsupported` for a field that cannot be honoured (the
 * operand is its JSON pointer), `not-found` for a bind source that does not exist.
 */
export function compile(input: CompileInput): Plan {
  const draft = new Draft(input);
  checkNamespaces(draft);
  const { root } = input.container;
  const mounts = readMounts(
    input.config,
    input.container.bundle,
    root.type === "directory" ? root.path : undefined,
  );
  const cgroup = planCgroup(draft);
  const capabilities = capabilityMasks(draft);
  tellOfRules(draft);

  explainFailures(draft);
  makeStart(draft);
  guardTerminal(draft);
  hearReadiness(draft);
  bearInCgroup(draft, cgroup);
  startInit(draft);
  // The monitor makes the cgroup while init mounts: neither needs the other until the cgroup is looked at.
  arrangeCgroup(draft, cgroup);
  enterResctrl(draft);

  isolateKeyring(draft);
  enterNamespaces(draft);
  setUpNetwork(draft);
  moveNetDevices(draft);
  setOomScore(draft);
  isolateMounts(draft);
  mountRoot(draft);
  mountAll(draft, mounts, cgroup);
  setUpDev(draft, mounts);
  enterCgroup(draft, cgroup);
  runCreateHooks(draft);
  pivot(draft);

  finishPropagation(draft);
  makeWorkingDirectory(draft);
  openStreams(draft, draft.namespace("mount") !== undefined);
  finishDev(draft, mounts);
  makeRootReadOnly(draft);
  setNames(draft);
  labelProcess(draft);
  writeSysctls(draft);
  protectPaths(draft);

  resetAffinity(draft);
  becomeProgram(draft, capabilities);
  awaitStart(draft);
  runStartHooks(draft);
  execute(draft);

  runPoststartHooks(draft);
  supervise(draft);
  unmountFromHost(
    draft,
    mounts.map(({ destination }) => destination),
  );
  cleanUp(draft, cgroup);
  return draft.finish();
}

/** What `start` does beside starting: the poststart hooks. undefined: nothing. */
export function compileStart(input: CompileInput): Plan | undefined {
  const draft = new Draft(input);
  explainFailures(draft);
  return planPoststartHooks(draft) ? draft.finish() : undefined;
}

/** Monitor: the FIFO that init will wait at. */
function makeStart(draft: Draft): void {
  const { startFifo, release } = draft.input.container;
  if (startFifo !== undefined && release !== undefined) {
    draft.monitor(
      {
        op: "makeNode",
        path: { base: "host", path: startFifo },
        mode: S_IFIFO | 0o600,
        major: 0,
        minor: 0,
        uid: draft.input.host.identity.euid,
        gid: draft.input.host.identity.egid,
      },
      { pointer: "", section: "runtime.md#lifecycle", origin: { by: "default" } },
    );
  }
}

/** Init: the gap between the spec's create and start (runtime.md#lifecycle). */
function awaitStart(draft: Draft): void {
  const { startFifo } = draft.input.container;
  if (startFifo !== undefined) {
    draft.init(
      { op: "awaitStart", fifo: startFifo },
      { pointer: "", section: "runtime.md#lifecycle", origin: { by: "default" } },
    );
  }
}
