/** Programs that the config wants run around the container's life (config.md#posix-platform-hooks). */

import {
  type ContainerStatus,
  type Hook,
  type HookName,
  runtimeSpecVersion,
  type State,
} from "../oci/mod.ts";
import { askedByAnnotation } from "./annotations.ts";
import { bytesOf } from "./bytes.ts";
import type { Draft } from "./draft.ts";
import { processOf } from "./process.ts";

function hooksOf(draft: Draft, name: HookName): readonly Hook[] {
  return draft.input.config.hooks?.[name] ?? [];
}

/**
 * Before pivot_root, the namespaces and mounts made: prestart and createRuntime on the host, while init waits; then
 * createContainer in the container's namespaces, with programs of the host.
 */
export function runCreateHooks(draft: Draft): void {
  const onHost = [...hooksOf(draft, "prestart"), ...hooksOf(draft, "createRuntime")];
  if (onHost.length > 0) {
    const reason = { pointer: "/hooks", section: "config.md#createruntime-hooks" };
    draft.barrier(reason);
    runHooks(draft, "monitor", "prestart", "config.md#prestart", "creating");
    runHooks(draft, "monitor", "createRuntime", "config.md#createruntime-hooks", "creating");
    draft.barrier(reason);
  }
  runHooks(draft, "init", "createContainer", "config.md#createcontainer-hooks", "creating");
}

/** In the container as its user, just before the program. Without an environment of their own they have its. */
export function runStartHooks(draft: Draft): void {
  runHooks(draft, "init", "startContainer", "config.md#startcontainer-hooks", "created");
}

/** On the host, once the program runs. Where another command starts it, that one runs them (`planStart`). */
export function runPoststartHooks(draft: Draft): void {
  if (hooksOf(draft, "poststart").length > 0 && !startsLater(draft)) {
    draft.monitor({ op: "awaitExecute" }, { pointer: "/hooks/poststart", section: "config.md#poststart" });
    runHooks(draft, "monitor", "poststart", "config.md#poststart", "running");
  }
}

/** The poststart hooks for the `start` of a container that waits for it. False: there are none. */
export function planPoststartHooks(draft: Draft): boolean {
  if (hooksOf(draft, "poststart").length === 0 || !startsLater(draft)) {
    return false;
  }
  runHooks(draft, "monitor", "poststart", "config.md#poststart", "running");
  return true;
}

function startsLater({ input }: Draft): boolean {
  return input.container.release !== undefined && input.container.startFifo !== undefined;
}

/** On the host, when nothing of the container is left. */
export function runPoststopHooks(draft: Draft): void {
  runHooks(draft, "cleanup", "poststop", "config.md#poststop", "stopped");
}

function runHooks(
  draft: Draft,
  stage: "monitor" | "init" | "cleanup",
  name: HookName,
  section: string,
  status: ContainerStatus,
): void {
  // Behind the pivot the host's files are out of reach.
  const { hookOutput, hookErrors } = askedByAnnotation(draft.input.config);
  const told = name !== "startContainer";
  for (const [index, hook] of hooksOf(draft, name).entries()) {
    // In the container its own environment: the host's is nothing for it.
    const inherited =
      name === "startContainer" ? processOf(draft).env : draft.input.container.hookEnvironment;
    const env = hook.env ?? inherited;
    draft[stage](
      {
        op: "runProgram",
        path: hook.path,
        argv: hook.args === undefined || hook.args.length === 0 ? [hook.path] : hook.args,
        env: env ?? [],
        stdin: bytesOf(JSON.stringify(stateJson(draft, status))),
        timeoutSeconds: hook.timeout ?? 0,
        stateOnStdin: true,
        outputFile: told ? hookOutput : "",
        errorFile: told ? hookErrors : "",
      },
      { pointer: `/hooks/${name}/${index}`, section },
    );
  }
}

/** The state (runtime.md#state). `pid` is 0: the helper puts the real one in its place, which nobody knows yet. */
export function stateJson(draft: Draft, status: ContainerStatus): State {
  const { container, config } = draft.input;
  const state: State = {
    ociVersion: runtimeSpecVersion,
    id: container.id,
    status,
    pid: 0,
    bundle: container.bundle,
  };
  return config.annotations === undefined ? state : { ...state, annotations: config.annotations };
}
