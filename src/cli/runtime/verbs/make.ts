/** What `create` and `run` share: options, and from a bundle to the helper. */
import * as fs from "node:fs";
import * as path from "node:path";
import { fileKind, VitrineError } from "../../../base/mod.ts";
import { type HostFacts, probeHost } from "../../../kernel/mod.ts";
import {
  type CreateOptions,
  cannotRaise,
  compileBundle,
  gatherSystemd,
  type SystemdPlace,
  writeContainer,
} from "../../../runtime/mod.ts";
import { becomePreserving, runArguments } from "../../become.ts";
import type { OptionTable, OptionValues } from "../../framework/command.ts";
import { failureCommand } from "../self.ts";
import type { VerbInvocation } from "../verb.ts";

export const makeOptions = {
  bundle: {
    type: "string",
    short: "b",
    value: "DIR",
    default: ".",
    help: "the bundle; default: this directory",
  },
  config: {
    type: "string",
    short: "f",
    value: "FILE",
    help: "in place of the bundle's config.json; begins at the bundle",
  },
  "console-socket": { type: "string", value: "PATH", help: "a unix socket that gets the terminal" },
  "pidfd-socket": { type: "string", value: "PATH", help: "a unix socket that gets the pidfd" },
  "pid-file": { type: "string", value: "FILE", help: "a file that gets the pid" },
  "preserve-fds": { type: "number", value: "N", default: 0, help: "so many descriptors from 3 on stay open" },
  "no-pivot": { type: "boolean", help: "MS_MOVE and chroot in place of pivot_root" },
  "no-new-keyring": { type: "boolean", help: "the caller's session keyring stays" },
  "no-subreaper": { type: "boolean", hidden: true, help: "ignored: nobody stays to reap" },
} as const satisfies OptionTable;

export async function makeContainer(
  invocation: VerbInvocation<typeof makeOptions>,
  how: {
    readonly verb: string;
    readonly waits: boolean;
    readonly detach: boolean;
    readonly keep?: boolean;
  },
): Promise<never> {
  const { options, globals, log, context } = invocation;
  const facts = probeHost();
  const environment = process.env;
  const sockets = socketActivation(environment["LISTEN_FDS"]);
  const create: CreateOptions = {
    id: invocation.positionals[0] ?? "",
    bundle: path.resolve(options.bundle),
    root: globals.root,
    waits: how.waits,
    detach: how.detach,
    keep: how.keep === true,
    ...(options.config === undefined ? {} : { configFile: path.resolve(options.bundle, options.config) }),
    ...(options["pid-file"] === undefined ? {} : { pidFile: path.resolve(options["pid-file"]) }),
    ...(options["console-socket"] === undefined
      ? {}
      : { consoleSocket: requireSocket(path.resolve(options["console-socket"])) }),
    ...(options["pidfd-socket"] === undefined
      ? {}
      : { pidfdSocket: requireSocket(path.resolve(options["pidfd-socket"]), "pidfd") }),
    ...(environment["NOTIFY_SOCKET"] ? { notifySocket: environment["NOTIFY_SOCKET"] } : {}),
    noPivot: options["no-pivot"],
    keepKeyring: options["no-new-keyring"],
    preserveDescriptors: requireDescriptors(options) + sockets.count,
    ...(globals.systemdCgroup ? { systemd: requireSystemd(facts, environment, context.helperPath()) } : {}),
    environment: sockets.environment,
    hookEnvironment: ownEnvironment(environment),
    reportFailure: failureCommand(invocation, how.verb),
    reportStartFailure: failureCommand(invocation, "start"),
  };
  const host = { facts, now: context.now };
  const bundle = await compileBundle(create, host);
  for (const warning of bundle.warnings) {
    if (warning.includes(cannotRaise)) log.warning(warning.replace(/^config\.json\S*: /, ""));
    else log.debug(warning);
  }
  if (globals.debug && bundle.input.seccompFilter !== undefined) {
    log.debug(`seccomp filter flags: ${bundle.input.seccompFilter.flags}`);
  }
  const helper = context.helperPath();
  const plan = writeContainer(bundle, create, host);
  try {
    const kept = create.preserveDescriptors;
    return await becomePreserving(helper, runArguments(plan, kept), kept);
  } catch (error) {
    fs.rmSync(`${create.root}/${create.id}`, { recursive: true, force: true });
    throw error;
  }
}

/** Error: `systemd-unreachable`. */
export function requireSystemd(
  facts: HostFacts,
  environment: NodeJS.ProcessEnv,
  helper: string,
): SystemdPlace {
  const found = gatherSystemd(facts, environment, path.join(path.dirname(helper), "vitrine-engine"));
  if (found !== undefined) return found;
  throw new VitrineError("unavailable", "--systemd-cgroup: there is no systemd that could be asked", {
    code: "systemd-unreachable",
    operand: "--systemd-cgroup",
    hint: "leave it out where systemd does not run the machine",
  });
}

function requireDescriptors(options: OptionValues<typeof makeOptions>): number {
  const count = options["preserve-fds"];
  if (count >= 0 && count <= 4096) return count;
  throw new VitrineError("invalid", `--preserve-fds ${count} is not a number of descriptors`, {
    code: "invalid-flag-value",
    operand: "--preserve-fds",
  });
}

/** sd_listen_fds(3): the descriptors go on to the program, which looks for its own pid: 1 in its namespace. */
function socketActivation(listen: string | undefined): { count: number; environment: readonly string[] } {
  const count = /^\d{1,3}$/.test(listen ?? "") ? Number(listen) : 0;
  return count === 0
    ? { count, environment: [] }
    : { count, environment: [`LISTEN_FDS=${count}`, "LISTEN_PID=1"] };
}

/** Known to be wrong before anything is made. Errors: `console-socket-unusable`, `pidfd-socket-unusable`. */
export function requireSocket(socket: string, what: "console" | "pidfd" = "console"): string {
  const kind = fileKind(socket);
  if (kind === "socket") return socket;
  throw new VitrineError(
    "invalid",
    `${what} socket ${socket}: ${kind === "missing" ? "no such file or directory" : "not a socket"}`,
    {
      code: `${what}-socket-unusable`,
      operand: `--${what}-socket`,
    },
  );
}

/** Without what the launcher put there for the engine. */
function ownEnvironment(environment: NodeJS.ProcessEnv): readonly string[] {
  return Object.entries(environment)
    .filter(([name]) => !name.startsWith("BUN_") && name !== "VITRINE_DESCRIPTORS")
    .map(([name, value]) => `${name}=${value}`);
}
