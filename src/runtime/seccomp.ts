/** The system call filter (config-linux.md#seccomp): compiled, and installed at the right moment. */

import { type SeccompFilter, seccompFilter } from "../kernel/mod.ts";
import { type LinuxSeccomp, runtimeSpecVersion } from "../oci/mod.ts";
import { bytesOf } from "./bytes.ts";
import { type Draft, unsupported } from "./draft.ts";
import { stateJson } from "./hooks.ts";
import { processOf } from "./process.ts";

const pointer = "/linux/seccomp";

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
  const filter = draft.input.seccompFilter ?? compileHere(draft, profile);
  for (const warning of filter.warnings) {
    draft.note(pointer, warning);
  }
  draft.init(
    {
      op: "seccomp",
      program: filter.program,
      flags: filter.flags,
      listenerPath: profile.listenerPath ?? "",
      listenerState: listenerState(draft, profile.listenerPath, profile.listenerMetadata),
    },
    { pointer, section: "config-linux.md#seccomp" },
  );
}

function compileHere(draft: Draft, profile: LinuxSeccomp): SeccompFilter {
  const { arch } = draft.input.host;
  if (arch === "other") {
    throw unsupported(
      "seccomp-architecture-unsupported",
      pointer,
      "there is no system call table for this machine",
    );
  }
  return seccompFilter(profile, arch);
}

/** What the agent at listenerPath reads (config-linux.md#the-container-process-state); the helper fills the pid in. */
function listenerState(draft: Draft, path: string | undefined, metadata: string | undefined): Uint8Array {
  if (path === undefined || path === "") {
    return new Uint8Array();
  }
  const state = {
    ociVersion: runtimeSpecVersion,
    fds: ["seccompFd"],
    pid: 0,
    ...(metadata === undefined ? {} : { metadata }),
    state: stateJson(draft, "creating"),
  };
  return bytesOf(JSON.stringify(state));
}
