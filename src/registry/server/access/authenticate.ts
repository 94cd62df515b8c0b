/** Access by password file, by tokens of another service, or by tokens that this server gives out itself. */
import { generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import {
  type AccessScope,
  formatChallenge,
  formatScope,
  parseBasic,
  parseBearer,
  parseScopes,
} from "../../protocol/challenge.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";
import { FollowedFile } from "./followed-file.ts";
import { Htpasswd } from "./htpasswd.ts";
import { parseKeys, signToken, type VerificationKey, verifyToken } from "./jwt.ts";
import { type AccessRule, Rules } from "./rules.ts";
import type { Access, Action } from "./types.ts";

export interface AccessOptions {
  /** A file of `htpasswd -B`. */
  readonly htpasswd?: string;
  /** Tokens of another service; `keys` is a file (see `parseKeys`). */
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly keys: string;
  };
  /**
   * Gives out tokens at /token to the users of `htpasswd`. Default: when somebody without a name may do something, which
   * Docker's client can do only with a token.
   */
  readonly tokenService?: boolean;
  readonly rules?: readonly AccessRule[];
  /** How clients reach this server, e.g. `https://registry.example`; default by their `Host` header. */
  readonly publicUrl?: string;
  readonly now?: () => number;
  /** Called for wrong credentials. */
  readonly onFailure?: () => void;
}

export const tokenPath = "/token";
const tokenSeconds = 300;
const ownService = "vitrine-registry";

interface OwnTokens {
  readonly key: KeyObject;
  readonly id: string;
  readonly verification: VerificationKey;
}

export class AuthenticatedAccess implements Access {
  readonly open = false;
  private readonly options: AccessOptions;
  private rules: Rules;
  private readonly passwords: Htpasswd | undefined;
  private readonly foreignKeys: FollowedFile<readonly VerificationKey[]> | undefined;
  /** Of this process only: a restart ends the tokens, which live for minutes anyway. */
  private own: OwnTokens | undefined;
  private readonly now: () => number;

  /** Errors: those of `Htpasswd` and `parseKeys`; the system's when a file cannot be read. */
  constructor(options: AccessOptions) {
    this.options = options;
    this.now = options.now ?? Date.now;
    this.rules = new Rules(options.rules);
    this.passwords = options.htpasswd === undefined ? undefined : new Htpasswd(options.htpasswd, this.now);
    this.foreignKeys = options.token && new FollowedFile(options.token.keys, parseKeys, this.now);
    this.own = this.needsOwnTokens ? makeOwnTokens() : undefined;
  }

  /**
   * Instead of those that were, from the next request on; a token that was given out grants what it says until it ends. The token
   * service, once there, stays: clients know it.
   */
  useRules(rules: readonly AccessRule[] | undefined): void {
    this.rules = new Rules(rules);
    if (this.needsOwnTokens) this.own ??= makeOwnTokens();
  }

  private get needsOwnTokens(): boolean {
    const { tokenService, token } = this.options;
    return tokenService ?? (token === undefined && this.rules.letsAnonymousIn);
  }

  /** Whether GET /token is ours to answer. */
  get givesTokens(): boolean {
    return this.own !== undefined;
  }

  async authenticate(exchange: Exchange): Promise<void> {
    const header = exchange.header("authorization");
    if (header === undefined) {
      // Docker's client learns at /v2/, and only there, that there is something to log in to.
      const isPing = exchange.operation === "base";
      if (isPing || !this.rules.letsAnonymousIn) throw this.challenge(exchange, undefined, "pull");
      exchange.identity = { user: undefined };
      return;
    }
    const token = parseBearer(header);
    if (token !== undefined) {
      this.acceptToken(exchange, token);
      return;
    }
    exchange.identity = { user: await this.login(exchange, header) };
  }

  private async login(exchange: Exchange, header: string): Promise<string> {
    const basic = parseBasic(header);
    if (basic !== undefined && this.passwords !== undefined) {
      if (await this.passwords.verify(basic.user, basic.password)) return basic.user;
    }
    this.options.onFailure?.();
    throw this.challenge(exchange, undefined, "pull", "wrong user name or password");
  }

  private acceptToken(exchange: Exchange, token: string): void {
    const now = this.now();
    const { token: foreign } = this.options;
    let refused = "tokens are not accepted here";
    if (this.own !== undefined) {
      const expected = { keys: [this.own.verification], issuer: ownService, service: ownService, now };
      const claims = verifyToken(token, expected);
      if (typeof claims !== "string") {
        exchange.identity = { user: claims.subject, grants: claims.access, ours: true };
        return;
      }
      refused = claims;
    }
    if (foreign !== undefined && this.foreignKeys !== undefined) {
      const { issuer, service } = foreign;
      const claims = verifyToken(token, { keys: this.foreignKeys.current(), issuer, service, now });
      if (typeof claims !== "string") {
        exchange.identity = { user: claims.subject, grants: claims.access };
        return;
      }
      refused = claims;
    }
    this.options.onFailure?.();
    throw this.challenge(exchange, exchange.repository, actionOf(exchange), refused, "invalid_token");
  }

  allows(exchange: Exchange, repository: string | undefined, action: Action): boolean {
    const { identity } = exchange;
    if (identity === undefined) return false;
    if (identity.grants !== undefined) {
      const type = repository === undefined ? "registry" : "repository";
      const name = repository ?? catalogGrant;
      return identity.grants.some(
        (grant) =>
          grant.type === type &&
          grant.name === name &&
          (grant.actions.includes(action) || grant.actions.includes("*")),
      );
    }
    return this.rules.allows(identity.user, repository, action);
  }

  shows(exchange: Exchange, repository: string): boolean {
    const { identity } = exchange;
    if (identity?.grants === undefined) return this.allows(exchange, repository, "pull");
    // A token for the catalog names no repositories. One of ours is for a user whom the rules know; what another service
    // lets somebody list is all there is.
    return identity.ours !== true || this.rules.allows(identity.user, repository, "pull");
  }

  refusal(exchange: Exchange, repository: string | undefined, action: Action): RegistryError {
    const { identity } = exchange;
    // With a password the answer stays the same; with a token, or nothing, another one may let it in.
    const final = identity?.user !== undefined && identity.grants === undefined;
    if (final) return new RegistryError(403, "DENIED");
    return this.challenge(exchange, repository, action, undefined, identity?.grants && "insufficient_scope");
  }

  private challenge(
    exchange: Exchange,
    repository: string | undefined,
    action: Action,
    message?: string,
    error?: string,
  ): RegistryError {
    const header = this.challengeHeader(exchange, repository ?? exchange.repository, action, error);
    return new RegistryError(401, "UNAUTHORIZED", { message, headers: { "WWW-Authenticate": header } });
  }

  private challengeHeader(
    exchange: Exchange,
    repository: string | undefined,
    action: Action,
    error: string | undefined,
  ): string {
    const { token } = this.options;
    // A browser knows no tokens.
    const isPage = exchange.operation === "page" && this.passwords !== undefined;
    if ((token === undefined && this.own === undefined) || isPage) {
      return formatChallenge("Basic", { realm: ownService, charset: "UTF-8" });
    }
    const scope = scopeOf(repository, action, exchange);
    return formatChallenge("Bearer", {
      realm: token?.realm ?? `${this.urlOf(exchange)}${tokenPath}`,
      service: token?.service ?? ownService,
      ...(scope !== undefined && { scope }),
      ...(error !== undefined && { error }),
    });
  }

  private urlOf(exchange: Exchange): string {
    if (this.options.publicUrl !== undefined) return this.options.publicUrl.replace(/\/$/, "");
    const host = (exchange.header("host") ?? "localhost").replace(/[^A-Za-z0-9.:[\]-]/g, "");
    return `${exchange.secure ? "https" : "http"}://${host}`;
  }

  /** GET /token (Docker's token specification): what of the scopes asked for the rules grant to the one who asks. */
  async giveToken(exchange: Exchange): Promise<void> {
    const { own } = this;
    if (own === undefined) throw new RegistryError(404, "UNSUPPORTED");
    const header = exchange.header("authorization");
    const user = header === undefined ? undefined : await this.login(exchange, header);
    const access = exchange.query
      .getAll("scope")
      .flatMap((text) => parseScopes(text))
      .map((scope) => ({ ...scope, actions: this.granted(user, scope) }))
      .filter(({ actions }) => actions.length > 0);
    const issued = Math.floor(this.now() / 1000);
    const token = signToken(own.key, own.id, {
      iss: ownService,
      aud: ownService,
      sub: user ?? "",
      iat: issued,
      nbf: issued - 5,
      exp: issued + tokenSeconds,
      jti: randomUUID(),
      access,
    });
    exchange.json(
      200,
      { "Cache-Control": "no-store" },
      {
        token,
        access_token: token,
        expires_in: tokenSeconds,
        issued_at: new Date(issued * 1000).toISOString(),
      },
    );
  }

  private granted(user: string | undefined, scope: AccessScope): readonly string[] {
    if (scope.type === "registry") {
      return scope.name === catalogGrant && this.rules.allows(user, undefined, "list") ? ["*"] : [];
    }
    if (scope.type !== "repository") return [];
    const wanted: readonly string[] = scope.actions.includes("*")
      ? ["pull", "push", "delete"]
      : scope.actions;
    return wanted.filter(
      (action) =>
        (action === "pull" || action === "push" || action === "delete") &&
        this.rules.allows(user, scope.name, action),
    );
  }
}

function makeOwnTokens(): OwnTokens {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const id = randomUUID();
  return { key: privateKey, id, verification: { key: publicKey, id } };
}

/** Docker's name of the catalog in scopes: `registry:catalog:*`. */
const catalogGrant = "catalog";

function actionOf(exchange: Exchange): Action {
  if (exchange.method === "GET" || exchange.method === "HEAD") return "pull";
  return exchange.method === "DELETE" && exchange.operation !== "upload" ? "delete" : "push";
}

function scopeOf(repository: string | undefined, action: Action, exchange: Exchange): string | undefined {
  if (action === "list") return formatScope({ type: "registry", name: catalogGrant, actions: ["*"] });
  if (repository === undefined) return undefined;
  const actions = action === "push" ? ["pull", "push"] : [action];
  const scope = formatScope({ type: "repository", name: repository, actions });
  // A mount reads from another repository.
  const from = action === "push" ? exchange.query.get("from") : null;
  if (from === null || !/^[a-z0-9/._-]+$/.test(from)) return scope;
  return `${scope} ${formatScope({ type: "repository", name: from, actions: ["pull"] })}`;
}
