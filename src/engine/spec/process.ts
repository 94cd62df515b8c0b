/** process: what is run, with which environment, where (config.md#process). */
import { VitrineError } from "../../base/mod.ts";
import type { Process, Rlimit } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import { badValue } from "../flags/bad-flag.ts";
import type { ResolvedUser } from "../users.ts";
import { inUserNamespace, type SpecInput } from "./input.ts";
import { byDefault, byFlag, byHost, byImage, type Notebook, type Sourced, sourced } from "./notebook.ts";

/** Entrypoint then command, as docker: --entrypoint also drops the image's Cmd. Error: `no-command`. */
export function args(input: SpecInput, notebook: Notebook): readonly string[] {
  const { options, image } = input;
  const ofImage = image?.config;
  const entrypoint =
    options.entrypoint !== undefined
      ? options.entrypoint.map((word) => sourced(word, byFlag("--entrypoint")))
      : (ofImage?.Entrypoint ?? []).map((word) => sourced(word, byImage("config.Entrypoint")));
  const command =
    options.command.length > 0
      ? options.command.map((word) => sourced(word, byFlag("COMMAND")))
      : options.entrypoint !== undefined
        ? []
        : (ofImage?.Cmd ?? []).map((word) => sourced(word, byImage("config.Cmd")));
  const words = [...entrypoint, ...command];
  if (words.length === 0) {
    throw new VitrineError("invalid", "there is no command to run: the image names none", {
      code: "no-command",
      operand: options.image,
      hint: `name one: vitrine run ${options.rootfs ? "--rootfs " : ""}${options.image} COMMAND`,
    });
  }
  return notebook.list("/process/args", words);
}

/** The last assignment of a name wins and stands where its first one stood. */
export function environment(input: SpecInput, user: ResolvedUser, notebook: Notebook): readonly string[] {
  const { options, image } = input;
  const variables = new Map<string, Sourced<string>>();
  const set = (name: string, item: Sourced<string>): void => {
    variables.set(name, item);
  };
  set("PATH", sourced(defaults.path.value, byDefault));
  if (options.tty) set("TERM", sourced(defaults.term.value, byDefault));
  const hostname = containerHostname(input);
  set("HOSTNAME", hostname);
  set("container", sourced(defaults.containerVariable.value, byDefault));
  if (options.unsetEnvironment) variables.clear();
  if (options.hostEnvironment) {
    for (const [name, value] of Object.entries(input.environment)) {
      if (value !== undefined) set(name, sourced(value, byFlag("--env-host")));
    }
  }
  if (options.httpProxy) {
    for (const name of ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"]) {
      for (const spelled of [name, name.toUpperCase()]) {
        const value = input.environment[spelled];
        if (value !== undefined) set(spelled, sourced(value, byFlag("--http-proxy")));
      }
    }
  }
  if (!options.unsetEnvironment) {
    for (const entry of image?.config?.Env ?? []) {
      const equals = entry.indexOf("=");
      if (equals > 0) set(entry.slice(0, equals), sourced(entry.slice(equals + 1), byImage("config.Env")));
    }
  }
  for (const change of options.environment) {
    if ("unset" in change) variables.delete(change.name);
    else set(change.name, sourced(change.value, byFlag(change.flag)));
  }
  const homeUnset = options.environment.some((change) => "unset" in change && change.name === "HOME");
  if (!homeUnset && (variables.get("HOME")?.value ?? "") === "") {
    set("HOME", sourced(user.home, user.name === undefined ? byDefault : byImage("/etc/passwd")));
  }
  return notebook.list(
    "/process/env",
    [...variables].map(([name, { value, origin }]) => sourced(`${name}=${value}`, origin)),
  );
}

/** The host name that the container sees. */
export function containerHostname({ options, id, hostname }: SpecInput): Sourced<string> {
  if (options.hostname !== undefined) return sourced(options.hostname, byFlag("--hostname"));
  if (options.uts?.mode === "host") return sourced(hostname, byFlag("--uts"));
  const shared = options.sharedNamespaces?.hostname;
  if (shared !== undefined) return sourced(shared, byFlag("--uts"));
  return sourced(id.slice(0, defaults.hostnameDigits.value), byDefault);
}

export function workingDirectory(input: SpecInput, notebook: Notebook): string {
  const { options, image } = input;
  const pointer = "/process/cwd";
  if (options.workdir !== undefined) {
    if (!options.workdir.startsWith("/")) {
      throw badValue("--workdir", options.workdir, "the path must be absolute");
    }
    return notebook.value(pointer, sourced(clean(options.workdir), byFlag("--workdir")));
  }
  const ofImage = image?.config?.WorkingDir ?? "";
  if (ofImage === "") return notebook.value(pointer, sourced(defaults.cwd.value, byDefault));
  return notebook.value(pointer, sourced(clean(`/${ofImage}`), byImage("config.WorkingDir")));
}

function clean(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/**
 * The caller's limits are inherited. Both JavaScript runtimes raise their own soft limit of open files to the hard
 * one when they start, so that one is set back.
 */
export function rlimits(input: SpecInput, notebook: Notebook): readonly Rlimit[] {
  const { options, host, callerOpenFiles } = input;
  const list = options.rlimits.map((limit) => sourced(limit, byFlag("--ulimit")));
  const { soft, hard } = host.limits.nofile;
  const infinity = (1n << 64n) - 1n;
  const asked = options.rlimits.some(({ type }) => type === "RLIMIT_NOFILE");
  if (!asked && callerOpenFiles !== undefined && callerOpenFiles !== (soft ?? infinity)) {
    const limit: Rlimit = { type: "RLIMIT_NOFILE", soft: callerOpenFiles, hard: hard ?? infinity };
    list.push(sourced(limit, options.hostRlimits ? byFlag("--ulimit") : byHost("the caller's limit")));
  }
  return notebook.list("/process/rlimits", list);
}

/** oom_score_adj: lowering it needs CAP_SYS_RESOURCE of the initial user namespace. */
export function oomScore(input: SpecInput, notebook: Notebook): Pick<Process, "oomScoreAdj"> {
  const { oomScoreAdjust } = input.options;
  if (oomScoreAdjust === undefined) return {};
  if (inUserNamespace(input) && oomScoreAdjust < 0) {
    notebook.warn("--oom-score-adj below the own one needs root: the kernel may refuse it");
  }
  return {
    oomScoreAdj: notebook.value("/process/oomScoreAdj", sourced(oomScoreAdjust, byFlag("--oom-score-adj"))),
  };
}
