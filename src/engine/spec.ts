/**
 * Image config + options + host → config.json, with the origin of each of its fields. Pure: all that is read arrives
 * in `SpecInput`.
 */
import type { Origin } from "../kernel/mod.ts";
import { type Process, type RootfsPropagation, type RuntimeConfig, runtimeSpecVersion } from "../oci/mod.ts";
import { defaults } from "./defaults.ts";
import { annotations } from "./spec/annotations.ts";
import { capabilities } from "./spec/capabilities.ts";
import { devices } from "./spec/devices.ts";
import type { SpecInput } from "./spec/input.ts";
import { mounts } from "./spec/mounts.ts";
import { isPrivate, namespaces } from "./spec/namespaces.ts";
import { type GeneratedFile, generatedFiles, sysctls } from "./spec/network-files.ts";
import { byDefault, byFlag, Notebook, type Sourced, sourced } from "./spec/notebook.ts";
import { args, containerHostname, environment, oomScore, rlimits, workingDirectory } from "./spec/process.ts";
import { resources } from "./spec/resources.ts";
import { label, noNewPrivileges, paths, type SeccompSources, seccomp } from "./spec/security.ts";
import { user } from "./spec/user.ts";
import type { UserMounts } from "./spec/user-mounts.ts";

export interface Specification {
  readonly config: RuntimeConfig;
  /** By JSON pointer into `config`. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** Lines for the user. */
  readonly warnings: readonly string[];
  /** To be written before the container starts. */
  readonly files: readonly GeneratedFile[];
  readonly user: UserMounts;
  /** `linux.seccomp` is the default profile, which the build has compiled. */
  readonly defaultSeccomp: boolean;
  readonly stopSignal: string;
  /** A flag or the image says so. */
  readonly stopSignalChosen: boolean;
}

/** Errors: those of the flags (`invalid-flag-value`, `flag-conflict`), `no-command`, `user-not-found`, … */
export function makeSpecification(input: SpecInput, seccompSources: SeccompSources): Specification {
  const notebook = new Notebook();
  for (const warning of input.idChoice.warnings) notebook.warn(warning);
  const who = user(input, notebook);
  const generated = generatedFiles(input, who.passwd);
  const deviceParts = devices(input, notebook);
  const { mounts: mountList, ...userMounts } = mounts(
    input,
    [...generated.mounts, ...deviceParts.mounts],
    notebook,
  );
  const caps = capabilities(input, who.user.uid, notebook);
  const filter = seccomp(input, caps.bounding ?? [], seccompSources, notebook);
  const sysctl = sysctls(input, notebook);
  const limits = rlimits(input, notebook);

  const process: Process = {
    terminal: notebook.value(
      "/process/terminal",
      sourced(input.options.tty, input.options.tty ? byFlag("--tty") : byDefault),
    ),
    user: who.user,
    args: args(input, notebook),
    env: environment(input, who.resolved, notebook),
    cwd: workingDirectory(input, notebook),
    capabilities: caps,
    ...(limits.length === 0 ? {} : { rlimits: limits }),
    noNewPrivileges: noNewPrivileges(input, notebook),
    ...label(input, notebook),
    ...oomScore(input, notebook),
  };
  const config: RuntimeConfig = {
    ociVersion: runtimeSpecVersion,
    process,
    root: root(input, notebook),
    ...names(input, notebook),
    mounts: mountList,
    annotations: annotations(input, notebook),
    linux: {
      ...namespaces(input, notebook),
      ...(deviceParts.devices.length === 0 ? {} : { devices: deviceParts.devices }),
      ...resources(input, deviceParts, notebook),
      rootfsPropagation: notebook.value("/linux/rootfsPropagation", rootfsPropagation(input)),
      ...(filter.profile === undefined ? {} : { seccomp: filter.profile }),
      ...(Object.keys(sysctl).length === 0 ? {} : { sysctl }),
      ...paths(input, notebook),
    },
  };
  const chosenSignal = input.options.stopSignal ?? input.image?.config?.StopSignal;
  return {
    config,
    origins: notebook.origins,
    warnings: notebook.warnings,
    files: generated.files,
    user: userMounts,
    defaultSeccomp: filter.isDefault,
    stopSignal: chosenSignal ?? defaults.stopSignal.value,
    stopSignalChosen: chosenSignal !== undefined,
  };
}

function root(input: SpecInput, notebook: Notebook): RuntimeConfig["root"] {
  const { readOnly } = input.options;
  notebook.note("/root", byDefault);
  notebook.note("/root/readonly", readOnly ? byFlag("--read-only") : byDefault);
  return { path: input.rootPath, readonly: readOnly };
}

/** A mount can be a peer or a slave of the host's only if the root was not cut off before (docker does the same). */
function rootfsPropagation({ options }: SpecInput): Sourced<RootfsPropagation> {
  const asked = options.mounts.filter((mount) => mount.kind === "bind" && mount.propagation !== undefined);
  for (const [word, result] of [
    ["shared", "rshared"],
    ["slave", "rslave"],
  ] as const) {
    const found = asked.find((mount) => mount.kind === "bind" && mount.propagation?.endsWith(word));
    if (found !== undefined) return sourced(result, byFlag(found.flag));
  }
  return sourced(defaults.rootfsPropagation.value, byDefault);
}

function names(input: SpecInput, notebook: Notebook): Pick<RuntimeConfig, "hostname" | "domainname"> {
  if (!isPrivate(input, "uts")) return {};
  const { domainname } = input.options;
  return {
    hostname: notebook.value("/hostname", containerHostname(input)),
    ...(domainname === undefined
      ? {}
      : { domainname: notebook.value("/domainname", sourced(domainname, byFlag("--domainname"))) }),
  };
}
