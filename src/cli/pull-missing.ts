/** The image of `run` and `create`, pulled where --pull says so, with the user watching. */
import { type PullPolicy, pullingResolver as pullingWith, type Resolver } from "../api/mod.ts";
import { noting } from "../base/mod.ts";
import type { Context } from "./framework/context.ts";
import type { RegistryFlags } from "./remote/options.ts";

export type { PullPolicy } from "../api/mod.ts";

export interface PullMissingOptions {
  readonly policy: PullPolicy;
  readonly quiet: boolean;
  /** Called before anything is fetched: may start the command again, compiled (framework/restart.ts). */
  readonly beforeLongWork?: () => void;
  readonly flags?: RegistryFlags;
  readonly given?: ReadonlySet<string>;
}

/** The client is loaded only when something must be pulled. Errors: those of `resolveImage` and of `pull`. */
export function pullingResolver(context: Context, options: PullMissingOptions): Resolver {
  return pullingWith(context, options.policy, async (store, reference, platform) => {
    noting.noter?.giveUp("a registry was asked");
    const [{ withClient }, { pullByName }] = await Promise.all([
      import("./remote/client.ts"),
      import("./remote/pull-image.ts"),
    ]);
    const pulled = await withClient(context, options.flags ?? {}, options.given ?? new Set(), (client) =>
      pullByName(reference, client, store, context, {
        quiet: options.quiet,
        beforeLongWork: options.beforeLongWork,
        ...(platform !== undefined && { platform, strict: true }),
      }),
    );
    return store.resolve(pulled.name, platform);
  });
}
