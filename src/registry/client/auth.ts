/**
 * Authorisation of requests to one registry: Basic, and Docker's tokens (distribution's spec/auth/token.md and oauth.md). Nothing
 * secret is sent before the registry asked for it, and never to another origin than the one that asked or named its realm.
 */
import { collect, type JsonValue, parseJson, quoted, VitrineError } from "../../base/mod.ts";
import {
  type AccessScope,
  type Challenge,
  formatScope,
  parseChallenges,
  parseScopes,
} from "../protocol/mod.ts";
import { isTransient, responseError, wrongCredentials } from "./failures.ts";
import type { HttpResponse } from "./http.ts";
import type { Transport } from "./transport.ts";
import type { Credentials } from "./types.ts";

/** Docker's default, where a token does not say how long it lives (token.md). */
const shortestLife = 60_000;
/** Before a token ends we ask for the next, so that none ends on the way. */
const margin = 10_000;
const tokenBytes = 1024 * 1024;
const clientId = "vitrine";

interface Token {
  readonly value: string;
  /** By performance.now(). */
  readonly until: number;
}

export interface AuthorizerOptions {
  readonly transport: Transport;
  /** As in references. */
  readonly registry: string;
  /** Plain HTTP is allowed for the realm where it is for the registry. */
  readonly insecure: boolean;
  /** Looked up when the registry asks, once for each repository. */
  readonly credentials: (name: string | undefined) => Promise<Credentials | undefined>;
}

export class Authorizer {
  private readonly options: AuthorizerOptions;
  private challenge: Challenge | undefined;
  private tokenOfOurs = false;
  private readonly tokens = new Map<string, Token>();
  private readonly pending = new Map<string, Promise<Token>>();
  private readonly found = new Map<string, Promise<Credentials | undefined>>();

  constructor(options: AuthorizerOptions) {
    this.options = options;
  }

  /** Whether `header` gives what the user logged in with itself, not a token that was got for it. */
  get sendsCredentials(): boolean {
    return this.challenge?.scheme === "basic";
  }

  /** Whether a token was got with credentials: the registry knows who asks. */
  get knowsUs(): boolean {
    return this.tokenOfOurs;
  }

  /** The `Authorization` for a request that needs `scopes`; undefined while the registry has not asked. */
  async header(scopes: readonly AccessScope[]): Promise<string | undefined> {
    if (this.challenge === undefined) return undefined;
    if (this.challenge.scheme === "basic") return this.basic(scopes);
    const key = keyOf(scopes);
    const token = this.tokens.get(key);
    if (token !== undefined && token.until > performance.now()) return `Bearer ${token.value}`;
    let asked = this.pending.get(key);
    if (asked === undefined) {
      // Layers start together: one token serves them all.
      asked = this.fetchToken(scopes).finally(() => this.pending.delete(key));
      this.pending.set(key, asked);
    }
    const fresh = await asked;
    this.tokens.set(key, fresh);
    return `Bearer ${fresh.value}`;
  }

  /**
   * Takes in a 401. Returns the scopes to ask for now, or undefined when asking again would change nothing.
   * `used` is the header that was refused.
   */
  learn(
    response: HttpResponse,
    scopes: readonly AccessScope[],
    used: string | undefined,
  ): readonly AccessScope[] | undefined {
    const challenges = response.headers.all("www-authenticate").flatMap(parseChallenges);
    const chosen =
      challenges.find(({ scheme, parameters }) => scheme === "bearer" && parameters["realm"] !== undefined) ??
      challenges.find(({ scheme }) => scheme === "basic");
    if (chosen === undefined) return undefined;
    const before = this.challenge;
    this.challenge = chosen;
    if (chosen.scheme === "basic") return used === undefined ? scopes : undefined;
    const wanted = union(scopes, parseScopes(chosen.parameters["scope"] ?? ""));
    if (used === undefined) return wanted;
    this.tokens.delete(keyOf(scopes));
    // A token that was refused: it may have ended early, or the registry wants more than we thought.
    const changed =
      keyOf(wanted) !== keyOf(scopes) || before?.parameters["realm"] !== chosen.parameters["realm"];
    return changed || chosen.parameters["error"] === "invalid_token" ? wanted : undefined;
  }

  private async basic(scopes: readonly AccessScope[]): Promise<string | undefined> {
    const credentials = await this.credentialsFor(scopes);
    if (credentials === undefined) return undefined;
    switch (credentials.kind) {
      case "password":
        return basicHeader(credentials.user, credentials.password);
      case "token":
        return `Bearer ${credentials.registryToken}`;
      case "identity":
        // Docker's own name for a token in place of a password.
        return basicHeader("<token>", credentials.identityToken);
    }
  }

  private credentialsFor(scopes: readonly AccessScope[]): Promise<Credentials | undefined> {
    const name = scopes.find(({ type }) => type === "repository")?.name;
    const key = name ?? "";
    let asked = this.found.get(key);
    if (asked === undefined) {
      asked = this.options.credentials(name);
      this.found.set(key, asked);
    }
    return asked;
  }

  private async fetchToken(scopes: readonly AccessScope[]): Promise<Token> {
    const credentials = await this.credentialsFor(scopes);
    if (credentials?.kind === "token") {
      return { value: credentials.registryToken, until: Number.POSITIVE_INFINITY };
    }
    const { parameters } = this.challenge!;
    const realm = this.realm(parameters["realm"] ?? "", credentials);
    const service = parameters["service"];
    const list = scopes.map(formatScope);
    const response =
      credentials?.kind === "identity"
        ? await this.post(realm, service, list, credentials.identityToken)
        : await this.get(realm, service, list, credentials);
    if (response.status !== 200) throw await this.refused(response, credentials);
    this.tokenOfOurs = credentials !== undefined;
    return readToken(response, this.options.registry);
  }

  private get(
    realm: URL,
    service: string | undefined,
    scopes: readonly string[],
    credentials: Extract<Credentials, { kind: "password" }> | undefined,
  ): Promise<HttpResponse> {
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set("service", service);
    for (const scope of scopes) url.searchParams.append("scope", scope);
    if (credentials === undefined) return this.options.transport.send({ method: "GET", url });
    url.searchParams.set("account", credentials.user);
    const secret = { authorization: basicHeader(credentials.user, credentials.password) };
    return this.options.transport.send({ method: "GET", url }, { secret });
  }

  /** oauth.md: an identity token is a refresh token. */
  private post(
    url: URL,
    service: string | undefined,
    scopes: readonly string[],
    identityToken: string,
  ): Promise<HttpResponse> {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      client_id: clientId,
      refresh_token: identityToken,
      ...(service !== undefined && { service }),
      ...(scopes.length > 0 && { scope: scopes.join(" ") }),
    });
    const bytes = Buffer.from(form.toString());
    return this.options.transport.send(
      {
        method: "POST",
        url,
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: { length: bytes.length, open: () => once(bytes) },
      },
      { repeatable: true },
    );
  }

  private realm(text: string, credentials: Credentials | undefined): URL {
    const { registry, insecure } = this.options;
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
      throw new VitrineError("unavailable", `${registry} sends us to ${quoted(text, 200)} for a token`, {
        code: "auth-realm-invalid",
        operand: registry,
      });
    }
    if (url.protocol === "http:" && credentials !== undefined && !insecure) {
      throw new VitrineError("denied", `${registry} wants the password sent to ${url.host} in the clear`, {
        code: "auth-realm-insecure",
        operand: registry,
        hint: "if you trust the network: --tls-verify=false, or insecure = true in registries.conf",
      });
    }
    return url;
  }

  private async refused(response: HttpResponse, credentials: Credentials | undefined): Promise<VitrineError> {
    const { registry } = this.options;
    const error = await responseError(response, registry);
    if (response.status !== 401 && response.status !== 403) return error;
    if (credentials !== undefined) return wrongCredentials(registry, error);
    return new VitrineError("denied", `${registry} gives no token to somebody who is not logged in`, {
      code: "registry-unauthorized",
      operand: registry,
      hint: `vitrine login ${registry}`,
      cause: error,
    });
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

async function readToken(response: HttpResponse, registry: string): Promise<Token> {
  const broken = (cause: unknown): VitrineError =>
    new VitrineError("unavailable", `${registry} sent no token that can be read`, {
      code: "auth-token-invalid",
      operand: registry,
      cause,
    });
  let value: JsonValue;
  try {
    value = parseJson(await collect(response.body, tokenBytes), { maxBytes: tokenBytes, name: "token" });
  } catch (cause) {
    if (isTransient(cause)) throw cause;
    throw broken(cause);
  }
  const fields = (value ?? {}) as Readonly<Record<string, JsonValue | undefined>>;
  const token = [fields["token"], fields["access_token"]].find(
    (text) => typeof text === "string" && text !== "",
  );
  // What goes into a header must not be able to end it.
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) throw broken(undefined);
  const seconds = typeof fields["expires_in"] === "number" ? fields["expires_in"] : 0;
  const life = Math.max(seconds * 1000, shortestLife);
  return { value: token, until: performance.now() + life - margin };
}

function basicHeader(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function keyOf(scopes: readonly AccessScope[]): string {
  return scopes.map(formatScope).sort().join(" ");
}

/** One scope a resource, with all actions of either list. */
function union(left: readonly AccessScope[], right: readonly AccessScope[]): readonly AccessScope[] {
  const merged = new Map<string, AccessScope>();
  for (const scope of [...left, ...right]) {
    const key = `${scope.type}:${scope.name}`;
    const actions = new Set([...(merged.get(key)?.actions ?? []), ...scope.actions]);
    merged.set(key, { ...scope, actions: [...actions] });
  }
  return [...merged.values()];
}
