/**
 * `cp`: one helper reads, another writes, and the bytes go from the one to the other: no JavaScript between them. Only archives
 * (`-`) pass through here.
 */
import {
  type ByteStream,
  errnoOf,
  type TarInput,
  TarParser,
  VitrineError,
  writeTar,
} from "../../base/mod.ts";
import { type FoundEntry, type Op, type PathBase, readTreeOp } from "../../kernel/mod.ts";
import type { Container } from "../containers/record.ts";
import { readConfig } from "../exec-container.ts";
import { Extractor, membersOf, plainMember, typeOf } from "./members.ts";
import {
  type CopyPath,
  type CopyPlan,
  type CopySource,
  type CopyTarget,
  notADirectory,
  planCopy,
  readCopyPath,
} from "./rules.ts";
import { type FileDeps, openHost, openRoot, type RootView } from "./view.ts";

export type CopyEnd =
  | { readonly kind: "container"; readonly container: Container; readonly path: string }
  /** Absolute, with the `/` or `/.` that the user gave it at its end. */
  | { readonly kind: "local"; readonly path: string };

export interface CopyOptions {
  /** Owners: those of the container's user in it, if it names one, else as they were. */
  readonly archive: boolean;
  /** A link that the source path names stands for what it leads to. */
  readonly followLink: boolean;
  /** A directory may replace a file, and the other way round. */
  readonly overwrite: boolean;
}

/**
 * Copies what one path names to another, one of them at least in a container.
 * Errors: those of `planCopy`, `copy-source-missing`, `copy-target-missing`, `copy-into-itself`, `copy-kind-differs`,
 * `copy-read-only`, `disk-full`, `container-busy`, `apply-failed`.
 */
export async function copyFiles(
  from: CopyEnd,
  to: CopyEnd,
  options: CopyOptions,
  deps: FileDeps,
): Promise<void> {
  const target = to.kind === "local" ? openHost(deps) : await openRoot(to.container, wholeToWrite, deps);
  let source: RootView | undefined;
  try {
    const found = await resolveTarget(target, to);
    const copyTo = await target.session.descriptor();
    source =
      from.kind === "local"
        ? openHost(deps, copyTo)
        : await openRoot(
            from.container,
            { write: false, view: "whole", copyTo, beside: beside(from, to) },
            deps,
          );
    const { entry, wanted } = await resolveSource(source, from, options.followLink);
    const plan = planCopy(wanted, found);
    requireApart(from, to, entry, plan);
    target.session.op(writeOptions(to, options));
    if (to.kind === "local") target.session.op({ op: "setWork", path: { base: "host", path: plan.into } });
    await target.session.flush();
    const owner = ownerOf(from, to, options, deps);
    source.session.op(
      readTreeOp(
        {
          path: { base: baseOf(from), path: pathOf(from, wanted) },
          follow: options.followLink || wanted.directory,
          name: placeOf(to, plan),
          top: plan.top,
          exclude: source.madeUp.length === 0 ? [] : excluded(source.madeUp, entry, placeOf(to, plan)),
          ...(owner === undefined ? {} : { owner }),
        },
        false,
      ),
    );
    await source.finish();
    source = undefined;
    target.session.op({ op: "layerEnd", sync: false });
    await target.finish();
  } catch (error) {
    await source?.abort();
    throw explained((await failureOf(target, error)) ?? error, to);
  }
}

/** `cp CONTAINER:PATH -`: a tar archive of it. */
export async function copyOut(
  from: Extract<CopyEnd, { kind: "container" }>,
  options: CopyOptions,
  deps: FileDeps,
  write: (stream: ByteStream) => Promise<void>,
): Promise<void> {
  const source = await openRoot(from.container, { write: false, view: "whole" }, deps);
  try {
    const { entry, wanted } = await resolveSource(source, from, options.followLink);
    if (wanted.directory && !wanted.isDirectory) throw notADirectory(from.path);
    const name = wanted.content ? "" : wanted.base;
    const events = source.reader.tree({
      path: { base: "root", path: pathOf(from, wanted) },
      follow: options.followLink || wanted.directory,
      name,
      exclude: excluded(source.madeUp, entry, name),
    });
    await write(writeTar(dotted(membersOf(events, plainMember), name === "")));
    await source.finish();
  } catch (error) {
    throw (await source.abort()) ?? error;
  }
}

/** `cp - CONTAINER:PATH`: an archive, unpacked in a directory of it. */
export async function copyIn(
  archive: ByteStream,
  to: Extract<CopyEnd, { kind: "container" }>,
  options: CopyOptions,
  deps: FileDeps,
): Promise<void> {
  const target = await openRoot(to.container, wholeToWrite, deps);
  try {
    const found = await resolveTarget(target, to);
    if (found.kind === "missing") throw missing(to.path, "copy-target-missing");
    if (found.kind === "other") throw notADirectory(to.path);
    const owner = options.archive ? userOf(to.container, deps) : undefined;
    target.session.op(writeOptions(to, options));
    const into = found.parent.replace(/^\/+/, "");
    const parser = new TarParser(
      new Extractor(target.session, owner === undefined ? { into } : { into, owner }),
    );
    for await (const chunk of archive) {
      parser.push(chunk);
      await target.session.drain();
    }
    parser.finish();
    target.session.op({ op: "layerEnd", sync: false });
    await target.finish();
  } catch (error) {
    throw explained((await target.abort()) ?? error, to);
  }
}

const wholeToWrite = { write: true, view: "whole" } as const;

/** Of one stopped container that is on both sides, the writer has its layers mounted already. */
function beside(from: CopyEnd, to: CopyEnd): boolean {
  return from.kind === "container" && to.kind === "container" && from.container.id === to.container.id;
}

// --- what the paths name ---

function baseOf({ kind }: CopyEnd): PathBase {
  return kind === "local" ? "host" : "root";
}

/** As the kernel is to take it: a slash at its end has a link followed. */
function pathOf(end: CopyEnd, { directory }: CopyPath): string {
  const path = end.path.startsWith("/") ? end.path : `/${end.path}`;
  return directory ? `${path}/` : path;
}

interface Source {
  readonly entry: FoundEntry;
  readonly wanted: CopySource;
}

async function resolveSource(view: RootView, from: CopyEnd, followLink: boolean): Promise<Source> {
  const wanted = readCopyPath(from.path);
  const path = { base: baseOf(from), path: pathOf(from, wanted) };
  const entry = await view.reader.entry(path, followLink || wanted.directory);
  if (typeof entry === "string") {
    if (entry === "ENOTDIR" && wanted.directory) throw notADirectory(from.path);
    throw lookupFailed(from.path, entry, "copy-source-missing");
  }
  return { entry, wanted: { ...wanted, isDirectory: typeOf(entry.entry) === "directory" } };
}

const linksMax = 40;

/** Follows a last link to where it leads, be something there or not. */
async function resolveTarget(view: RootView, to: CopyEnd): Promise<CopyTarget> {
  const wanted = readCopyPath(to.path);
  const base = baseOf(to);
  let path = pathOf(to, wanted);
  for (let links = 0; links < linksMax; links++) {
    const found = await view.reader.entry({ base, path }, false);
    if (typeof found !== "string") {
      if (typeOf(found.entry) === "symlink") {
        const text = String(found.entry.linkTarget);
        path = text.startsWith("/") ? text : `${directoryOf(found.path)}/${text}`;
        continue;
      }
      const directory = typeOf(found.entry) === "directory";
      return directory
        ? { ...wanted, kind: "directory", parent: found.path, name: "" }
        : { ...wanted, kind: "other", parent: directoryOf(found.path), name: nameOf(found.path) };
    }
    if (found === "ENOTDIR" && wanted.directory) throw notADirectory(to.path);
    if (found !== "ENOENT") throw lookupFailed(to.path, found, "copy-target-missing");
    const bare = path.replace(/(?:\/+\.?)+$/, "");
    if (bare !== path) {
      // `link/` of a link that leads nowhere: where it leads is what is missing.
      const last = await view.reader.entry({ base, path: bare }, false);
      if (typeof last !== "string" && typeOf(last.entry) === "symlink") {
        path = bare;
        continue;
      }
    }
    const parent = await view.reader.entry({ base, path: `${directoryOf(bare)}/` }, true);
    if (typeof parent === "string") throw lookupFailed(to.path, parent, "copy-target-missing");
    const name = nameOf(bare);
    if (name === ".." || name === "") throw missing(to.path, "copy-target-missing");
    return { ...wanted, kind: "missing", parent: parent.path, name };
  }
  throw lookupFailed(to.path, "ELOOP", "copy-target-missing");
}

function directoryOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0)) || "/";
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

// --- how it is copied ---

/** What the entries are called to the helper that writes: below the root of a container, or the directory on the host. */
function placeOf(to: CopyEnd, { into, name }: CopyPlan): string {
  if (to.kind === "local") return name;
  const directory = into.replace(/^\/+/, "");
  if (name === "") return directory;
  return directory === "" ? name : `${directory}/${name}`;
}

function writeOptions(to: CopyEnd, { overwrite }: CopyOptions): Op {
  const ids = to.kind === "local" ? undefined : to.container.ids;
  const mayMakeDevices = ids === undefined ? process.geteuid?.() === 0 : ids.kind === "none";
  return {
    op: "layerOptions",
    ignoreOwner: ids?.kind === "single",
    ignoreXattrs: true,
    skipDevices: !mayMakeDevices,
    keepKinds: !overwrite,
    beginFlush: false,
  };
}

/**
 * Out of a container everything is the caller's, with `archive` as it is where the caller may give files away. Into one it
 * keeps its ids; with `archive` it is the user's that flags or the image name, and keeps them where nobody is named: docker's way.
 */
function ownerOf(from: CopyEnd, to: CopyEnd, { archive }: CopyOptions, deps: FileDeps): Owner | undefined {
  if (to.kind === "container")
    return archive && from.kind === "local" ? userOf(to.container, deps) : undefined;
  const uid = process.geteuid?.() ?? 0;
  return archive && uid === 0 ? undefined : { uid, gid: process.getegid?.() ?? 0 };
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whom its program runs as, where that was asked for. */
function userOf({ id, asked }: Container, { paths }: FileDeps): Owner | undefined {
  return asked?.user === undefined ? undefined : readConfig(paths, id).process?.user;
}

/** Names below what is copied, as the copy calls them. */
function excluded(madeUp: readonly string[], { path }: FoundEntry, name: string): readonly string[] {
  const top = path.replace(/^\/+|\/+$/g, "");
  return madeUp.flatMap((each) => {
    const below = top === "" ? each : each.startsWith(`${top}/`) ? each.slice(top.length + 1) : undefined;
    return below === undefined ? [] : [name === "" ? below : `${name}/${below}`];
  });
}

function requireApart(from: CopyEnd, to: CopyEnd, source: FoundEntry, plan: CopyPlan): void {
  if (!beside(from, to) || typeOf(source.entry) !== "directory") return;
  const copy = `${plan.into}/${plan.name}`.replace(/\/+/g, "/");
  const top = source.path.replace(/\/+$/, "");
  if (copy !== top && !copy.startsWith(`${top}/`)) return;
  throw new VitrineError("invalid", `${JSON.stringify(from.path)} cannot be copied into itself`, {
    code: "copy-into-itself",
    operand: to.path,
    hint: "name a directory outside of it",
  });
}

/** An archive of a directory's content has `./` first, and its names begin with it. */
async function* dotted(members: AsyncGenerator<TarInput, void>, on: boolean): AsyncGenerator<TarInput, void> {
  for await (const member of members) {
    if (!on || member.path === ".") yield member;
    else if (member.type === "hardlink")
      yield { ...member, path: `./${member.path}`, linkTarget: `./${member.linkTarget}` };
    else yield { ...member, path: `./${member.path}` };
  }
}

// --- failures ---

/** Nobody reads what is copied any more: the one that writes says why, as soon as it has ended. */
async function failureOf(target: RootView, error: unknown): Promise<unknown> {
  const broken =
    error instanceof VitrineError && error.code === "apply-failed" && errnoOf(error.cause) === "EPIPE";
  if (!broken) return target.abort();
  try {
    await target.finish();
    return undefined;
  } catch (early) {
    return early;
  }
}

function missing(path: string, code: string): VitrineError {
  return new VitrineError("not-found", `there is no ${JSON.stringify(path)}`, {
    code,
    operand: path,
    hint: code === "copy-target-missing" ? "make its directory first" : "check the path",
  });
}

function lookupFailed(path: string, errno: string, code: string): VitrineError {
  if (errno === "ENOENT" || errno === "ENOTDIR") return missing(path, code);
  const denied = errno === "EACCES" || errno === "EPERM";
  return new VitrineError(denied ? "denied" : "invalid", `cannot look at ${JSON.stringify(path)}: ${errno}`, {
    code: "copy-path-unusable",
    operand: path,
    hint: denied ? "you may not read it" : "check the path",
  });
}

function explained(error: unknown, to: CopyEnd): unknown {
  if (!(error instanceof VitrineError) || (error.code !== "apply-failed" && error.code !== "read-failed"))
    return error;
  const errno = errnoOf(error.cause);
  if (errno === "EISDIR" || errno === "ENOTDIR") {
    const what = errno === "EISDIR" ? "a directory with a file" : "a file with a directory";
    return new VitrineError("invalid", `cannot replace ${what}: ${error.message}`, {
      code: "copy-kind-differs",
      operand: to.path,
      hint: "--overwrite replaces it",
      cause: error,
    });
  }
  if (errno === "EROFS") {
    return new VitrineError("denied", `${JSON.stringify(to.path)} is read-only`, {
      code: "copy-read-only",
      operand: to.path,
      hint: "copy to a volume that may be written to, or make the container without --read-only",
      cause: error,
    });
  }
  if (errno !== "ENOSPC" && errno !== "EDQUOT") return error;
  return new VitrineError("unavailable", `no space left for ${JSON.stringify(to.path)}`, {
    code: "disk-full",
    operand: to.path,
    hint: "what was copied before is there",
    cause: error,
  });
}
