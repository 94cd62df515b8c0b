/** The helper in stage apply, with the id map of the store: fed with ops for a layer, or run once for a few. */
import { errnoOf, VitrineError } from "../base/mod.ts";
import {
  type ApplyOptions,
  type ApplyResult,
  ApplySession as HelperSession,
  type Inflation,
  type Op,
  runApply,
} from "../kernel/mod.ts";
import { diskError, type StoreContext } from "./context.ts";
import type { LayerOps } from "./layers/writer.ts";
import type { StoreIds } from "./types.ts";

export interface ApplySession extends LayerOps {
  /** Waits until the helper has taken what was queued, so that a slow disk slows the reader. Throws when it failed. */
  drain(): Promise<void>;
  /** Lets go what was gathered, so that the helper works on it. */
  send(): void;
  /** What inflates for this session; undefined where nothing does. */
  inflation(): Promise<Inflation | undefined>;
  /** The end of the ops: how it went. Errors: `apply-failed`, those of the disk. */
  end(): Promise<ApplyResult>;
  /** Ends the helper; the error to throw: the helper's own when that came first. */
  abort(error: unknown): Promise<unknown>;
}

/** How the helper is started to work under these ids. */
export function applyOptions(helperPath: string, ids: StoreIds): ApplyOptions {
  if (ids.kind === "none") return { helperPath };
  const { uids, gids } = ids;
  return ids.kind === "single" || ids.newuidmap === ""
    ? { helperPath, ids: { uids, gids } }
    : { helperPath, ids: { uids, gids, newuidmap: ids.newuidmap, newgidmap: ids.newgidmap } };
}

/** A full or read-only disk is the disk's fault; a refused call need not be. */
function ownError(context: StoreContext, error: unknown): unknown {
  if (!(error instanceof VitrineError) || error.code !== "apply-failed") return error;
  const name = errnoOf(error.cause);
  const full = name === "ENOSPC" || name === "EDQUOT" || name === "EROFS";
  return full ? diskError(context, error.cause) : error;
}

/** Runs a few ops and waits, under the ids of the store or others. Errors: `helper-missing`, `apply-failed`, those of the disk. */
export function applySync(context: StoreContext, ops: readonly Op[], ids = context.ids): ApplyResult {
  try {
    return runApply(applyOptions(context.helperPath, ids), ops);
  } catch (error) {
    throw ownError(context, error);
  }
}

/** `inflate`: with a process that inflates this gzip file, open for reading. */
export function startApply(context: StoreContext, options: { readonly inflate?: number } = {}): ApplySession {
  return new Session(context, options.inflate);
}

class Session implements ApplySession {
  private readonly context: StoreContext;
  private readonly session: HelperSession;

  constructor(context: StoreContext, inflate: number | undefined) {
    this.context = context;
    this.session = new HelperSession(applyOptions(context.helperPath, context.ids), { inflate });
  }

  send(): void {
    this.session.send();
  }

  inflation(): Promise<Inflation | undefined> {
    return this.session.inflation();
  }

  op(op: Op): void {
    this.session.op(op);
  }

  data(offset: number, chunk: Uint8Array): void {
    this.session.data(offset, chunk);
  }

  async drain(): Promise<void> {
    try {
      await this.session.drain();
    } catch (error) {
      throw ownError(this.context, error);
    }
  }

  async end(): Promise<ApplyResult> {
    try {
      return await this.session.end();
    } catch (error) {
      throw ownError(this.context, error);
    }
  }

  async abort(error: unknown): Promise<unknown> {
    const early = await this.session.abort();
    return early === undefined ? diskError(this.context, error) : ownError(this.context, early);
  }
}
