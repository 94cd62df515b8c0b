/** Who asks, and what they may. */
import type { AccessScope } from "../../protocol/challenge.ts";
import type { Exchange } from "../http/exchange.ts";

/** `pull` reads, `push` adds content and tags, `delete` removes them; `list` is the catalog. */
export type Action = "pull" | "push" | "delete" | "list";

export interface Identity {
  /** Undefined for nobody in particular. */
  readonly user: string | undefined;
  /** What a token grants; undefined where the rules decide alone. */
  readonly grants?: readonly AccessScope[];
  /** Whether the token is one that this server gave out. */
  readonly ours?: boolean;
}

export interface Access {
  /** Whether the server asks who it is at all. */
  readonly open: boolean;
  /**
   * Finds out who asks and keeps it on the exchange. Throws RegistryError 401 when credentials are wrong, or missing
   * where nobody may come in without.
   */
  authenticate(exchange: Exchange): Promise<void>;
  /** Whether the one who asks may; never throws. `repository` is undefined for the catalog. */
  allows(exchange: Exchange, repository: string | undefined, action: Action): boolean;
  /** Whether the catalog, where the one who asks may list it, shows this repository to him; never throws. */
  shows(exchange: Exchange, repository: string): boolean;
  /** The 401 or 403 for what `allows` refused. */
  refusal(exchange: Exchange, repository: string | undefined, action: Action): Error;
}
