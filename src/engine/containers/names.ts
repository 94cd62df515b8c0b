/**
 * Names of containers. ROOT/names/NAME is a symbolic link whose text is the container's id: symlink(2) makes it with
 * its content in one step or not at all, so that two commands never share a name.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, noting, VitrineError, withLock } from "../../base/mod.ts";
import { containerDirectory, type EnginePaths } from "./record.ts";

const adjectives =
  "able agile amber ample avid azure bold brave brisk bright calm candid clear clever coral cosmic crisp curious dapper deft eager earnest easy fair fluent fond frank fresh gentle glad golden grand hardy honest humble ivory jolly keen kind lively loyal lucid lunar mellow merry mild modest neat nimble noble opal patient plucky polite prime proud quick quiet rapid ready robust rosy serene sharp silent silver smart solar solid spry steady stoic sunny swift tidy tranquil trusty upbeat vivid warm wise witty zesty".split(
    " ",
  );
/** Glassmakers, opticians, curators and builders of scientific instruments. */
const surnames =
  "abbe alhazen amici anthemius barovier beilby bontemps brewster cassegrain chance chihuly clark daguerre dollond drebbel edison foucault fraunhofer fresnel galle gernsheim gregory grubb hadley halley herschel hooke huygens isaacs janssen kepler kunckel lalique leeuwenhoek lippershey lister lomonosov lovell marinot maskelyne mayer merret messier moholy neri newton nobili orrefors petzval pilkington porro ravenscroft ritchey salvin schott secchi sloane steinheil talbot tiffany tradescant venini wollaston zeiss".split(
    " ",
  );

/** What made-up names are made of, for who makes one without us (docs/launch-record.md). */
export const nameWords = { adjectives, surnames } as const;

/** Of a name in a launch record: those that follow it have the same length. The most names have this one. */
const notedLength = 12;

/** `random` gives a number from 0 (inclusive) to 1. Later attempts get a number, so that they end. */
export function generateName(random: () => number, attempt = 0): string {
  const pick = (words: readonly string[]): string => words[Math.floor(random() * words.length)]!;
  const make = (): string => `${pick(adjectives)}_${pick(surnames)}`;
  let name = make();
  for (let tries = 0; noting.noter !== undefined && name.length !== notedLength && tries < 200; tries++)
    name = make();
  return attempt < 6 ? name : `${name}${Math.floor(random() * 10 ** Math.min(attempt - 4, 9))}`;
}

function link(paths: EnginePaths, name: string): string {
  return path.join(paths.root, "names", name);
}

/** The id of the container that has this name. */
export function idOfName(paths: EnginePaths, name: string): string | undefined {
  try {
    return fs.readlinkSync(link(paths, name));
  } catch {
    return undefined;
  }
}

/** True: the name is now this container's. The container's directory must be there already. */
function claim(paths: EnginePaths, name: string, id: string): boolean {
  const file = link(paths, name);
  for (let tries = 0; ; tries++) {
    try {
      fs.symlinkSync(id, file);
      return true;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EEXIST") return false;
      if (errno !== "ENOENT" || tries > 0) throw error;
      fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    }
  }
}

/** Takes a name for a container whose directory is there. Error: `name-in-use`. */
export async function claimName(paths: EnginePaths, id: string, name: string): Promise<void> {
  if (claim(paths, name, id)) return;
  await dropIfStale(paths, name);
  if (claim(paths, name, id)) return;
  const holder = idOfName(paths, name) ?? "";
  throw new VitrineError("exists", `the name ${name} is taken by container ${holder.slice(0, 12)}`, {
    code: "name-in-use",
    operand: name,
    hint: `remove that container (vitrine rm -f ${name}) or choose another name`,
  });
}

/**
 * A name whose container is gone. Under the lock, so that of two commands only one removes it and neither removes
 * what the other took meanwhile: a link that leads nowhere cannot come to lead somewhere, ids being used once.
 */
async function dropIfStale(paths: EnginePaths, name: string): Promise<void> {
  if (!isStale(paths, name)) return;
  await withLock(path.join(paths.root, "lock.db"), () => {
    if (isStale(paths, name)) fs.rmSync(link(paths, name), { force: true });
  });
}

/** Drops the names of containers whose directory went before them, as when a monitor is killed in its clean-up. */
export async function sweepNames(paths: EnginePaths): Promise<void> {
  for (const name of names(paths)) await dropIfStale(paths, name);
}

function names(paths: EnginePaths): readonly string[] {
  try {
    return fs.readdirSync(path.join(paths.root, "names"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

function isStale(paths: EnginePaths, name: string): boolean {
  const id = idOfName(paths, name);
  return id !== undefined && !fs.existsSync(containerDirectory(paths, id));
}

/** Gives a name back, if it is still this container's. */
export function releaseName(paths: EnginePaths, name: string, id: string): void {
  if (idOfName(paths, name) === id) fs.rmSync(link(paths, name), { force: true });
}
