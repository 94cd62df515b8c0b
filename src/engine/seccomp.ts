/** Seccomp profiles for `run`: the default one, and those of --security-opt seccomp=FILE in either format. */
import * as fs from "node:fs";
import { errnoOf, limits, VitrineError } from "../base/mod.ts";
import {
  defaultProfile,
  type HostFacts,
  type ProfileSubject,
  parseProfile,
  resolveProfile,
  type SeccompMachine,
  seccompFilter,
} from "../kernel/mod.ts";
import type { LinuxSeccomp } from "../oci/mod.ts";
import type { SeccompService } from "./plan-run.ts";

export function makeSeccompService(host: HostFacts): SeccompService {
  const subject = (caps: readonly string[]): ProfileSubject => ({
    caps,
    machine: machineOf(host),
    kernel: host.kernel,
  });
  return {
    standard: (capabilities) => resolveProfile(defaultProfile(), subject(capabilities)) as LinuxSeccomp,
    file: (path, capabilities) => readProfile(path, subject(capabilities)),
    compile: (profile) => seccompFilter(profile, machineOf(host)),
  };
}

function machineOf(host: HostFacts): SeccompMachine {
  if (host.arch !== "other") return host.arch;
  throw new VitrineError("unsupported", "seccomp filters cannot be made for this machine", {
    code: "seccomp-machine-unsupported",
    hint: "use --security-opt seccomp=unconfined",
  });
}

function readProfile(path: string, subject: ProfileSubject): LinuxSeccomp {
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(path);
  } catch (cause) {
    throw new VitrineError("invalid", `cannot read the seccomp profile ${path}: ${errnoOf(cause)}`, {
      code: "seccomp-profile-unreadable",
      operand: "--security-opt",
      hint: "seccomp= takes the path of a JSON file, or 'unconfined'",
      cause,
    });
  }
  if (bytes.length > limits.seccompProfileBytes) {
    throw new VitrineError("invalid", `the seccomp profile ${path} is too large`, {
      code: "seccomp-profile-invalid",
      operand: "--security-opt",
      hint: `profiles have at most ${limits.seccompProfileBytes} bytes`,
    });
  }
  return resolveProfile(parseProfile(bytes, path), subject) as LinuxSeccomp;
}
