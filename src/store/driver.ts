/** Which driver gives containers their root filesystem: found out once by really mounting an overlay. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, hashHex, temporaryName, VitrineError, writeFileAtomically } from "../base/mod.ts";
import type { Op } from "../kernel/mod.ts";
import { applySync } from "./apply.ts";
import { guarded, initialize, makeContext, type StoreContext } from "./context.ts";
import { giveToRoot, removeOwnedTree } from "./trees.ts";
import type { StoreDriver, StoreOptions } from "./types.ts";

export interface DriverChoice {
  readonly driver: StoreDriver;
  /** Marks are user.overlay.* (a user namespace cannot set trusted.overlay.*). */
  readonly userxattr: boolean;
}

/** The choice, undefined while `auto` has not been tried. Synchronous: on the hot path of `run`. */
export function driverOf(context: StoreContext): DriverChoice | undefined {
  const userxattr = context.ids.kind !== "none";
  if (context.driver !== "auto") return { driver: context.driver, userxattr };
  try {
    const { driver } = JSON.parse(fs.readFileSync(choiceFile(context), "utf8")) as { driver: StoreDriver };
    return { driver, userxattr };
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** RUNROOT may serve several stores, on filesystems of which one takes an overlay and another does not. */
function choiceFile(context: StoreContext): string {
  const root = hashHex("sha256", Buffer.from(context.root)).slice(0, 12);
  return path.join(context.runroot, `driver-${context.mapName}-${root}.json`);
}

/** As `driverOf`, trying when nothing is known. The answer lasts as long as RUNROOT: until the machine boots again. */
export function ensureDriver(context: StoreContext): DriverChoice {
  const known = driverOf(context);
  if (known !== undefined) return known;
  initialize(context);
  const refusal = tryOverlay(context);
  const driver: StoreDriver = refusal === undefined ? "overlay" : "copy";
  const text = JSON.stringify({ driver, refusal: refusal?.message });
  guarded(context, () => {
    fs.mkdirSync(context.runroot, { recursive: true, mode: 0o700 });
    writeFileAtomically(choiceFile(context), `${text}\n`, { sync: false });
  });
  return { driver, userxattr: context.ids.kind !== "none" };
}

const cloneNewNamespace = 0x00020000n;
const msPrivate = 1 << 18;

/** Undefined when an overlay with whiteouts can be mounted here, else why not: `apply-failed`, its cause with an errno. */
function tryOverlay(context: StoreContext): VitrineError | undefined {
  const directory = path.join(context.temporary, temporaryName("probe"));
  const at = (name: string): string => path.join(directory, name);
  return guarded(context, () => {
    fs.mkdirSync(directory, { mode: 0o700 });
    for (const name of ["low", "high", "upper", "work", "merged"]) fs.mkdirSync(at(name));
    giveToRoot(context, ["low", "high", "upper", "work"].map(at));
    try {
      const userxattr = context.ids.kind !== "none";
      // A mount namespace of its own: the mount goes with the helper, whatever happens.
      const ownMounts: readonly Op[] = [
        // A user namespace comes with one.
        ...(userxattr ? [] : [{ op: "unshareNamespaces", flags: cloneNewNamespace } as const]),
        {
          op: "mountPropagation",
          path: { base: "host", path: "/" },
          propagation: msPrivate,
          recursive: true,
        },
      ];
      applySync(context, [
        ...ownMounts,
        { op: "setWork", path: { base: "host", path: at("high") } },
        { op: "layerWhiteout", path: "gone", style: 1 },
        { op: "layerOpaque", path: ".", style: userxattr ? 2 : 1 },
        {
          op: "mountFilesystem",
          fstype: "overlay",
          source: "overlay",
          target: { base: "host", path: at("merged") },
          attributes: 0n,
          options: [
            `lowerdir+=${at("high")}`,
            `lowerdir+=${at("low")}`,
            `upperdir=${at("upper")}`,
            `workdir=${at("work")}`,
            ...(userxattr ? ["userxattr"] : []),
          ],
        },
      ]);
      return undefined;
    } catch (error) {
      if (error instanceof VitrineError && error.code === "apply-failed") return error;
      throw error;
    } finally {
      removeOwnedTree(context, directory);
    }
  });
}

/** What `vitrine doctor` asks: tries anew, remembers nothing. */
export function probeOverlay(
  options: StoreOptions,
): { readonly works: true } | { readonly works: false; readonly errno: string; readonly detail: string } {
  const context = makeContext(options);
  initialize(context);
  const refusal = tryOverlay(context);
  if (refusal === undefined) return { works: true };
  const detail = refusal.cause instanceof Error ? refusal.cause.message : refusal.message;
  return { works: false, errno: errnoOf(refusal.cause) ?? "", detail };
}
