/** Pulling with the user watching: bars, and Ctrl-C that leaves what came for the next time. */
import {
  type PullEnds,
  type Pulled,
  type PullWatch,
  type PullWishes,
  pullByName as pullName,
  pullReference as pullOne,
} from "../../api/mod.ts";
import { printable } from "../../base/mod.ts";
import type { ImageReference } from "../../image/mod.ts";
import type { RegistryClient } from "../../registry/mod.ts";
import type { Store } from "../../store/mod.ts";
import type { Context } from "../framework/context.ts";
import { Interrupted, interruptible } from "../framework/interrupt.ts";
import { BlobBoard } from "./blob-board.ts";
import { watchedSource } from "./watched.ts";

export type { Pulled } from "../../api/mod.ts";

export interface WatchedPullWishes extends PullWishes {
  readonly quiet: boolean;
  /** Called before anything is fetched: may start the command again, compiled (framework/restart.ts). */
  readonly beforeLongWork?: (() => void) | undefined;
}

export function pullByName(
  text: string,
  client: RegistryClient,
  store: Store,
  context: Context,
  wishes: WatchedPullWishes,
): Promise<Pulled> {
  return watched(wishes, (watch) => pullName(text, { client, store, machine: context }, wishes, watch));
}

export function pullReference(
  reference: ImageReference,
  client: RegistryClient,
  store: Store,
  context: Context,
  wishes: WatchedPullWishes,
): Promise<Pulled> {
  const ends: PullEnds = { client, store, machine: context };
  return watched(wishes, (watch) => pullOne(reference, ends, wishes, watch));
}

async function watched<T>(
  { quiet, beforeLongWork }: WatchedPullWishes,
  body: (watch: PullWatch) => Promise<T>,
): Promise<T> {
  const board = new BlobBoard({ quiet });
  try {
    return await interruptible((guard) =>
      body({
        ...(beforeLongWork !== undefined && { onAbsent: beforeLongWork }),
        onFound(name, from) {
          board.say(`Pulling ${printable(name)}`);
          if (from !== undefined) board.say(`from ${printable(from)}`);
        },
        watched: (source) => watchedSource(source, guard, (blob, bytes) => board.progress(blob, bytes)),
        onBlob(blob, state) {
          if (state === "fetching") board.begin(blob);
          else board.end(blob, state === "done" ? "pulled" : "is here already");
        },
      }),
    );
  } catch (error) {
    if (error instanceof Interrupted)
      board.say("interrupted: what came is kept, the next pull goes on from it");
    throw error;
  } finally {
    board.close();
  }
}
