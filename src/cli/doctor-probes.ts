/** What `vitrine doctor` looks at on this machine. Every probe answers; none throws. */
import * as fs from "node:fs";
import * as path from "node:path";
import { chooseMachineIds } from "../api/mod.ts";
import { errnoOf, VitrineError } from "../base/mod.ts";
import type { DoctorProbes, OverlayProbeResult, StoreProbeResult } from "../explain/mod.ts";
import { hostPlatform } from "../image/mod.ts";
import { tryUser } from "../kernel/mod.ts";
import { probeOverlay } from "../store/mod.ts";
import type { Context } from "./framework/context.ts";

/** Programs that vitrine uses, or that doctor's advice speaks of. */
const toolNames = ["newuidmap", "newgidmap", "sysctl", "modprobe", "usermod", "apparmor_parser"];

export async function gatherProbes(context: Context): Promise<DoctorProbes> {
  const host = await context.host();
  const helper = helperOf(context);
  const { environment } = context;
  return {
    host,
    helper,
    user: tryUser({ host, helperPath: helper, environment }),
    overlay: await overlay(context),
    tools: new Map(
      toolNames.flatMap((name) => {
        const found = findProgram(name, environment["PATH"]);
        return found === undefined ? [] : [[name, found] as const];
      }),
    ),
    store: storeOf(context),
  };
}

/** That it is missing is one of the findings. */
function helperOf(context: Context): string | undefined {
  try {
    return context.helperPath();
  } catch (error) {
    if (error instanceof VitrineError && error.code === "helper-missing") return undefined;
    throw error;
  }
}

/** An overlay in the store's own filesystem, mounted as a container would get it. */
async function overlay(context: Context): Promise<OverlayProbeResult> {
  try {
    const ids = await chooseMachineIds(context);
    const result = probeOverlay({
      ...context.paths(),
      driver: "auto",
      ids,
      helperPath: context.helperPath(),
      now: context.now,
      platform: hostPlatform(),
    });
    if (!result.works) return result;
    return { works: true, how: ids.kind === "none" ? "as root" : "in a user namespace, with userxattr" };
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    return {
      works: false,
      errno: errnoOf(error) ?? errnoOf(cause) ?? "",
      detail: error instanceof Error ? error.message : String(error),
    };
  }
}

/** Of the store's directory, or the nearest one above it that is there. */
function storeOf(context: Context): StoreProbeResult {
  let root: string;
  try {
    root = context.paths().root;
  } catch (error) {
    return { root: error instanceof Error ? error.message : String(error), writable: false, free: undefined };
  }
  let existing = root;
  while (!fs.existsSync(existing) && existing !== "/") existing = path.dirname(existing);
  return { root, writable: isWritable(existing), free: freeBytes(existing) };
}

function isWritable(directory: string): boolean {
  try {
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function freeBytes(directory: string): bigint | undefined {
  try {
    const { bavail, bsize } = fs.statfsSync(directory, { bigint: true });
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** Tools of the administrator are often not in a user's PATH, but there. */
function findProgram(name: string, searchPath: string | undefined): string | undefined {
  const directories = [...(searchPath ?? "").split(":"), "/usr/sbin", "/sbin", "/usr/local/sbin"];
  return directories
    .filter((directory) => path.isAbsolute(directory))
    .map((directory) => path.join(directory, name))
    .find((candidate) => {
      try {
        fs.accessSync(candidate, fs.constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
