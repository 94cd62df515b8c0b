/** The system call filter (config-linux.md#seccomp): compiled, and installed at the right moment. */

import { VitrineError } from "../base/mod.ts";
import { type ContainerProcessState, runtimeSpecVersion, seccompFdName } from "../oci/mod.ts";
import { bytesOf } from "./bytes.ts";
import { type Draft, invalid, unsupported } from "./draft.ts";
import { stateJson } from "./hooks.ts";
import { processOf } from "./process.ts";

const pointer = "/linux/seccomp";

/** SECCOMP_FILTER_FLAG_NEW_LISTENER: set by the compiler when a rule notifies. */
const newListener = 8;

/** Without no_new_privs installing a filter takes CAP_SYS_ADMIN: it happens before capabilities are dropped. */
export function installEarly(draft: Draft): void {
  if (processOf(draft).noNewPrivileges !== true) {
    install(draft);
  }
}

/** With no_new_privs as late as possible: the profile need not allow what the set-up does. */
export function installLate(draft: Draft): void {
  if (processOf(draft).noNewPrivileges === true) {
    install(draft);
  }
}

function install(draft: Draft): void {
  const profile = draft.input.config.linux?.seccomp;
  if (profile === undefined) {
    return;
  }
  if (!draft.input.host.seccomp.available) {
    throw unsupported(
      "seccomp-unavailable",
      pointer,
      "this kernel has no seccomp filters",
      "--security-opt seccomp=unconfined runs without one",
    );
  }
  const filter = draft.input.seccompFilter;
  if (filter === undefined) {
    throw new VitrineError("internal", "the config has a seccomp profile, but its filter was not compiled", {
      code: "seccomp-filter-missing",
      operand: pointer,
    });
  }
  for (const warning of filter.warnings) {
    draft.note(pointer, warning);
  }
  draft.init(
    {
      op: "seccomp",
      program: filter.program,
      flags: filter.flags,
      ...listenerOf(draft, (filter.flags & newListener) !== 0),
    },
    { pointer, section: "config-linux.md#seccomp" },
  );
}

/** Whom the descriptor of a filter that notifies goes to. Without such a rule `listenerPath` is ignored. */
function listenerOf(draft: Draft, notifies: boolean) {
  if (!notifies) {
    return { listenerPath: "", listenerState: new Uint8Array() };
  }
  const { listenerPath = "", listenerMetadata = "" } = draft.input.config.linux?.seccomp ?? {};
  if (listenerPath === "") {
    throw invalid(
      "seccomp-listener-missing",
      `${pointer}/listenerPath`,
      "SCMP_ACT_NOTIFY needs the socket of an agent",
    );
  }
  const { joined } = draft.input;
  const state: ContainerProcessState = {
    ociVersion: runtimeSpecVersion,
    fds: [seccompFdName],
    // The helper puts in what nobody knows yet.
    pid: 0,
    ...(listenerMetadata === "" ? {} : { metadata: listenerMetadata }),
    state:
      joined === undefined
        ? stateJson(draft, "creating")
        : { ...stateJson(draft, "running"), pid: joined.pid },
  };
  return { listenerPath, listenerState: bytesOf(JSON.stringify(state)) };
}
