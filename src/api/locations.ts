/** Where vitrine keeps its state and where its helper is. A door of its own: every start of the command loads it. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, VitrineError } from "../base/mod.ts";
import type { StatePaths } from "./machine/machine.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Relative directories given by the user count from the current directory. */
export function statePaths(
  chosen: { readonly root: string | undefined; readonly runroot: string | undefined },
  environment: Environment,
  uid: number,
  warn: (message: string) => void,
): StatePaths {
  return {
    root: stateRoot(chosen.root, environment, uid),
    runroot: path.resolve(
      chosen.runroot ?? (uid === 0 ? "/run/vitrine" : userRunroot(environment, uid, warn)),
    ),
  };
}

function stateRoot(chosen: string | undefined, environment: Environment, uid: number): string {
  return path.resolve(
    chosen ?? (uid === 0 ? "/var/lib/vitrine" : path.join(dataHome(environment), "vitrine")),
  );
}

/**
 * Whether the store may hold what a power cut has damaged (src/store/unflushed.ts): whoever opens it settles that. For every
 * command: a container is started without the store.
 */
export function mayBeUnsettled(chosen: string | undefined, environment: Environment, uid: number): boolean {
  try {
    return fs.existsSync(path.join(stateRoot(chosen, environment, uid), "unflushed"));
  } catch {
    // Without a home there is no store, and a command that needs one says so.
    return false;
  }
}

/** XDG Base Directory Specification: a relative path counts as not set. */
function dataHome(environment: Environment): string {
  const set = environment["XDG_DATA_HOME"];
  if (set !== undefined && path.isAbsolute(set)) return set;
  return path.join(homeDirectory(environment), ".local/share");
}

function homeDirectory(environment: Environment): string {
  const set = environment["HOME"];
  if (set !== undefined && path.isAbsolute(set)) return set;
  try {
    return process.getBuiltinModule("node:os").userInfo().homedir;
  } catch (cause) {
    throw new VitrineError("invalid", "the home directory of this user is not known", {
      code: "home-unknown",
      hint: "set HOME, or name the directories with --root DIR and --runroot DIR",
      cause,
    });
  }
}

/**
 * $XDG_RUNTIME_DIR/vitrine; where that is missing or not private, /run/user/UID/vitrine; where there is none
 * either (no login session), /tmp/vitrine-run-UID, which anybody could have made first: it must be ours and 0700.
 */
function userRunroot(environment: Environment, uid: number, warn: (message: string) => void): string {
  const set = environment["XDG_RUNTIME_DIR"];
  if (set !== undefined && set !== "") {
    const problem = path.isAbsolute(set) ? privacyProblem(set, uid) : "is not absolute";
    if (problem === undefined) return path.join(set, "vitrine");
    warn(`XDG_RUNTIME_DIR is not used: ${set} ${problem}`);
  }
  const session = `/run/user/${uid}`;
  if (session !== set && privacyProblem(session, uid) === undefined) return path.join(session, "vitrine");

  const fallback = `/tmp/vitrine-run-${uid}`;
  try {
    fs.mkdirSync(fallback, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  const problem = privacyProblem(fallback, uid);
  if (problem === undefined) return fallback;
  throw new VitrineError("denied", `${fallback} ${problem}`, {
    code: "runroot-unsafe",
    operand: fallback,
    hint: "set XDG_RUNTIME_DIR to a directory of yours with mode 0700, or use --runroot DIR",
  });
}

/** Why a directory must not hold private state; undefined when it may. A symbolic link never may. */
function privacyProblem(directory: string, uid: number): string | undefined {
  let stat: fs.Stats;
  try {
    stat = fs.lstatSync(directory);
  } catch {
    return "cannot be read";
  }
  if (!stat.isDirectory()) return "is not a directory";
  if (stat.uid !== uid) return `belongs to user ${stat.uid}`;
  if ((stat.mode & 0o077) !== 0) return `is open to others (mode ${(stat.mode & 0o7777).toString(8)})`;
  return undefined;
}

/**
 * The helper: $VITRINE_HELPER, beside the executable, or in PREFIX/libexec of an installed one. Run from its
 * sources (node or bun execute a script), it is the checkout's dist/.
 */
export function findHelper(environment: Environment, executable: string): string {
  const { found, expected } = searchHelper(environment, executable);
  if (found !== undefined) return found;
  throw new VitrineError("unavailable", "vitrine-helper is not there", {
    code: "helper-missing",
    operand: expected,
    hint: `its place is ${expected}; 'make build' and 'make install' put it there`,
  });
}

/** For those who may never need it: where it is, or where it should be. */
export function expectedHelper(environment: Environment, executable: string): string {
  const { found, expected } = searchHelper(environment, executable);
  return found ?? expected;
}

function searchHelper(
  environment: Environment,
  executable: string,
): { found: string | undefined; expected: string } {
  const set = environment["VITRINE_HELPER"];
  if (set !== undefined && set !== "") return { found: path.resolve(set), expected: path.resolve(set) };
  const directory = path.dirname(executable);
  const candidates = [
    path.join(directory, "vitrine-helper"),
    path.join(directory, "../libexec/vitrine/vitrine-helper"),
    ...(import.meta.dirname.startsWith("/$bunfs")
      ? []
      : [path.resolve(import.meta.dirname, "../../dist/vitrine-helper")]),
  ];
  return { found: candidates.find((candidate) => fs.existsSync(candidate)), expected: candidates[0]! };
}
