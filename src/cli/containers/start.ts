/** Starting a container that is there, for start and restart. */
import { type Container, type Manner, prepareStart } from "../../engine/mod.ts";
import { becomeHelper, helperEnvironment } from "../../kernel/mod.ts";
import type { Context } from "../framework/context.ts";
import { runDeps } from "../run-deps.ts";

/** In the background; returns when its program runs. False: it did not start, and the helper has said why. */
export async function startDetached(
  context: Context,
  container: Container,
  announce: string,
): Promise<boolean> {
  const { planFile } = await prepareStart(container, { kind: "detached", announce }, runDeps(context));
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const done = spawnSync(context.helperPath(), ["run", planFile], {
    env: helperEnvironment(process.env),
    stdio: ["ignore", "inherit", "inherit"],
  });
  return done.status === 0;
}

/** The same, in place of this process. */
export async function becomeStarted(context: Context, container: Container, manner: Manner): Promise<never> {
  const { planFile, discard } = await prepareStart(container, manner, runDeps(context));
  try {
    return becomeHelper(context.helperPath(), planFile);
  } catch (error) {
    discard();
    throw error;
  }
}
