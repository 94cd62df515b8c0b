/** `vitrine explain --diff A B`: in what two containers, bundles or images-as-run differ to the kernel. */
import * as path from "node:path";
import { VitrineError } from "../base/mod.ts";
import {
  containerDirectory,
  findContainer,
  loadContainerPlan,
  previewRun,
  runDirectory,
} from "../engine/mod.ts";
import { comparePlans, type PlanSide, renderComparison } from "../explain/mod.ts";
import { bundleContainerId, isBundle, planBundle } from "./explain-bundle.ts";
import { printExplanation } from "./explain-print.ts";
import type { Context } from "./framework/context.ts";
import { parseLine } from "./framework/parse.ts";
import { runDeps } from "./run-deps.ts";
import { parseRunOptions, type RunFlags, runOptionTable } from "./run-options.ts";

/** Exit status as diff's: 0 equal, 1 different. */
export async function explainDiff(
  sides: readonly string[],
  format: string,
  context: Context,
): Promise<number> {
  const [first, second] = sides;
  if (first === undefined || second === undefined || sides.length > 2) {
    throw new VitrineError("invalid", `--diff compares two things, and ${sides.length} are named`, {
      code: "argument-count",
      operand: "--diff",
      hint: "vitrine explain --diff A B; each a container, bundle:DIR or image:NAME",
    });
  }
  const comparison = comparePlans(await sideOf(first, context), await sideOf(second, context));
  printExplanation(context, format, comparison, (options) => renderComparison(comparison, options));
  return comparison.equal ? 0 : 1;
}

/** Errors: those of the kind of thing that it names; `container-not-found` where it names nothing. */
async function sideOf(label: string, context: Context): Promise<PlanSide> {
  const [, kind, rest] = /^(container|bundle|image):(.+)$/.exec(label) ?? [];
  if (kind === "bundle") return bundleSide(label, rest!, context);
  if (kind === "image") return imageSide(label, rest!, context);
  if (kind === "container") return containerSide(label, rest!, context);
  if (isBundle(label)) return bundleSide(label, label, context);
  try {
    return await containerSide(label, label, context);
  } catch (error) {
    if (!(error instanceof VitrineError) || error.code !== "container-not-found") throw error;
    return imageSide(label, label, context);
  }
}

async function containerSide(label: string, name: string, context: Context): Promise<PlanSide> {
  const container = findContainer(context.paths(), name);
  const { containerPlan } = await loadContainerPlan();
  const { plan } = await containerPlan(container, runDeps(context));
  return { label, plan, own: ownTexts(container.id, context) };
}

async function imageSide(label: string, name: string, context: Context): Promise<PlanSide> {
  const helpCommand = "vitrine explain --help";
  const line = parseLine([name], { options: runOptionTable, stopAtFirstPositional: true, helpCommand });
  const wanted = parseRunOptions(line.options as unknown as RunFlags, {
    positionals: line.positionals,
    given: line.given,
    environment: context.environment,
    directory: process.cwd(),
  });
  const { id, plan } = await previewRun(wanted, runDeps(context));
  return { label, plan, own: ownTexts(id, context) };
}

async function bundleSide(label: string, directory: string, context: Context): Promise<PlanSide> {
  const { plan, input } = await planBundle(directory, context);
  const bundle = path.resolve(directory);
  const { container } = input;
  const cgroup = container.cgroup.mode === "none" ? "" : container.cgroup.path;
  return {
    label,
    plan,
    own: [
      [container.stateDirectory, "STATE"],
      // A root elsewhere is as much its own as one in the bundle.
      [container.root.type === "directory" ? container.root.path : container.root.target, "ROOTFS"],
      [bundle, "BUNDLE"],
      [cgroup, "/CGROUP"],
      [`/${bundleContainerId}`, "/ID"],
    ],
  };
}

function ownTexts(id: string, context: Context): PlanSide["own"] {
  const paths = context.paths();
  return [
    [`${containerDirectory(paths, id)}/merged`, "ROOTFS"],
    [containerDirectory(paths, id), "CONTAINER"],
    [runDirectory(paths, id), "STATE"],
    [`/vitrine/${id}`, "/CGROUP"],
    [id, "ID"],
    [id.slice(0, 12), "ID"],
  ];
}
