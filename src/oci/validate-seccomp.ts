/** `linux.seccomp` of config.json, and profiles in files of the same form (config-linux.md#seccomp). */
import { limits, parseJson } from "../base/mod.ts";
import { compact, type DocumentKind, Field } from "./field.ts";
import {
  type LinuxSeccomp,
  type SeccompAction,
  type SeccompArg,
  type SeccompSyscall,
  seccompActions,
  seccompArchitectures,
  seccompFlags,
  seccompOperators,
} from "./runtime-config.ts";

const complaint = { code: "runtime-config-seccomp-invalid" };
const profileKind: DocumentKind = {
  name: "seccomp profile",
  code: "seccomp-profile-invalid",
  errorKind: "invalid",
};

/** A profile from a file (`--security-opt seccomp=FILE`): the value of `linux.seccomp`, not Docker's templates. */
export function parseSeccompProfile(bytes: Uint8Array): LinuxSeccomp {
  const value = parseJson(bytes, {
    maxBytes: limits.seccompProfileBytes,
    name: profileKind.name,
    exactIntegers: true,
  });
  return readSeccomp(Field.root(profileKind, value));
}

export function readSeccomp(field: Field): LinuxSeccomp {
  const seccomp: LinuxSeccomp = compact({
    defaultAction: field.at("defaultAction").oneOf(seccompActions),
    defaultErrnoRet: readErrno(field.at("defaultErrnoRet"), field.at("defaultAction")),
    architectures: field
      .at("architectures")
      .optional((list) => list.array((name) => name.oneOf(seccompArchitectures))),
    flags: field.at("flags").optional((flags) => flags.array((flag) => flag.oneOf(seccompFlags))),
    listenerPath: field.at("listenerPath").optional((path) => path.string()),
    listenerMetadata: field.at("listenerMetadata").optional((text) => text.text()),
    syscalls: field.at("syscalls").optional((list) => list.array(readSyscall)),
  });
  checkListener(field, seccomp);
  return seccomp;
}

function readSyscall(field: Field): SeccompSyscall {
  const names = field.at("names").filledStrings();
  if (names.length === 0) {
    field.at("names").fail("must name at least one system call", complaint);
  }
  return compact({
    names,
    action: field.at("action").oneOf(seccompActions),
    errnoRet: readErrno(field.at("errnoRet"), field.at("action")),
    args: field.at("args").optional((args) => args.array(readArgument)),
  });
}

function readArgument(field: Field): SeccompArg {
  return compact({
    index: field.at("index").integer(0, 5),
    value: field.at("value").uint64(),
    valueTwo: field.at("valueTwo").optional((value) => value.uint64()),
    op: field.at("op").oneOf(seccompOperators),
  });
}

/** Only two actions carry a number; with any other one it must not be there. The kernel has 4095 errnos. */
function readErrno(field: Field, action: Field): number | undefined {
  return field.optional((errno) => {
    const name = action.oneOf(seccompActions);
    if (name !== "SCMP_ACT_ERRNO" && name !== "SCMP_ACT_TRACE") {
      errno.fail(`goes with SCMP_ACT_ERRNO and SCMP_ACT_TRACE, not with ${name}`, complaint);
    }
    return errno.integer(0, name === "SCMP_ACT_ERRNO" ? 4095 : 0xffff);
  });
}

const notify: SeccompAction = "SCMP_ACT_NOTIFY";

function checkListener(field: Field, seccomp: LinuxSeccomp): void {
  const { defaultAction, syscalls = [], listenerPath = "", listenerMetadata = "" } = seccomp;
  if (listenerMetadata !== "" && listenerPath === "") {
    field.at("listenerMetadata").fail("must not be set without listenerPath", complaint);
  }
  if (defaultAction === notify) {
    // The helper could not even hand the descriptor over: its own sendmsg would wait for the agent.
    field.at("defaultAction").fail(`cannot be ${notify}`, { kind: "unsupported", ...complaint });
  }
  syscalls.forEach((rule, index) => {
    if (rule.action !== notify) return;
    const entry = field.at("syscalls").elements()[index]!;
    if (listenerPath === "") {
      entry.at("action").fail(`is ${notify}, which needs /linux/seccomp/listenerPath`, complaint);
    }
    const word = ["write", "sendmsg"].find((name) => rule.names.includes(name));
    if (word !== undefined) {
      entry
        .at("names")
        .fail(`has what hands the listener over: ${notify} cannot be used for the ${word} syscall`, {
          kind: "unsupported",
          ...complaint,
        });
    }
  });
}
