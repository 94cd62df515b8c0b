/** Requests to a mirror's upstream: its tokens, its failures as answers of ours, bodies that must go on moving. */
import { type JsonValue, parseJson } from "../../base/mod.ts";
import { parseChallenges } from "../protocol/challenge.ts";
import { BoundedCache } from "./bounded-cache.ts";
import { RegistryError } from "./errors.ts";

export interface UpstreamOptions {
  /** `https://registry-1.docker.io` */
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
  /** How long an answer's headers may take; default 30 seconds. */
  readonly answerMilliseconds?: number;
  /** How long a body may bring nothing; default 60 seconds. */
  readonly idleMilliseconds?: number;
}

interface Call {
  readonly method?: "GET" | "HEAD";
  readonly accept?: string;
}

const tokenBytes = 1024 * 1024;
const rememberedTokens = 1000;

export class UpstreamConnection {
  private readonly options: UpstreamOptions;
  private readonly tokens = new BoundedCache<string>(rememberedTokens);

  constructor(options: UpstreamOptions) {
    this.options = options;
  }

  /** One request about a repository, once more with a token when it asks for one. Error: 502 when nobody answers. */
  async ask(name: string, target: string, call: Call = {}): Promise<UpstreamAnswer> {
    const url = new URL(target, this.options.url);
    const first = await this.send(url, call, this.tokens.get(name));
    if (first.status !== 401) return first;
    await first.discard();
    const authorization = await this.authorize(name, first.headers.get("www-authenticate") ?? "");
    if (authorization === undefined) throw unusable("the upstream does not let us in");
    this.tokens.set(name, authorization);
    return this.send(url, call, authorization);
  }

  private async send(url: URL, call: Call, authorization: string | undefined): Promise<UpstreamAnswer> {
    const { answerMilliseconds = 30_000, idleMilliseconds = 60_000 } = this.options;
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), answerMilliseconds);
    try {
      const response = await fetch(url, {
        method: call.method ?? "GET",
        headers: {
          "Accept-Encoding": "identity",
          "User-Agent": "vitrine-registry",
          ...(call.accept !== undefined && { Accept: call.accept }),
          ...(authorization !== undefined && { Authorization: authorization }),
        },
        signal: patience.signal,
      });
      return new UpstreamAnswer(response, idleMilliseconds, () => patience.abort());
    } catch (cause) {
      throw unusable("the upstream registry cannot be reached", cause);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Docker's tokens (distribution's spec/auth/token.md), or the password itself where that is asked for. */
  private async authorize(name: string, header: string): Promise<string | undefined> {
    const { user, password, url: upstream } = this.options;
    const basic =
      user === undefined ? undefined : `Basic ${Buffer.from(`${user}:${password ?? ""}`).toString("base64")}`;
    const challenges = parseChallenges(header);
    const bearer = challenges.find(({ scheme }) => scheme === "bearer")?.parameters;
    if (bearer === undefined) return challenges.some(({ scheme }) => scheme === "basic") ? basic : undefined;
    const realm = bearer["realm"] ?? "";
    if (!URL.canParse(realm, upstream)) throw unusable("the upstream names no place for tokens");
    const url = new URL(realm, upstream);
    if (url.protocol !== "https:" && url.protocol !== new URL(upstream).protocol) {
      throw unusable("the upstream wants the password without https");
    }
    if (bearer["service"] !== undefined) url.searchParams.set("service", bearer["service"]);
    url.searchParams.set("scope", `repository:${name}:pull`);
    const answer = await this.send(url, { accept: "application/json" }, basic);
    if (answer.status === 401 || answer.status === 403) {
      await answer.discard();
      return undefined;
    }
    await answer.requireOk();
    return tokenOf(await answer.all(tokenBytes));
  }
}

export class UpstreamAnswer {
  readonly status: number;
  readonly headers: Headers;
  private readonly response: Response;
  private readonly idleMilliseconds: number;
  private readonly abort: () => void;

  constructor(response: Response, idleMilliseconds: number, abort: () => void) {
    this.status = response.status;
    this.headers = response.headers;
    this.response = response;
    this.idleMilliseconds = idleMilliseconds;
    this.abort = abort;
  }

  get ok(): boolean {
    return this.response.ok;
  }

  /** Of the body as we read it; undefined where the upstream does not tell. */
  get contentLength(): number | undefined {
    // It was decoded already, and the length is of what was sent.
    if ((this.headers.get("content-encoding") ?? "identity") !== "identity") return undefined;
    const text = this.headers.get("content-length");
    return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  }

  /** The body; error: 502 when it breaks off, or brings nothing for too long. */
  async *body(): AsyncGenerator<Uint8Array, void> {
    const reader = this.response.body?.getReader();
    if (reader === undefined) return;
    let stalled = false;
    try {
      while (true) {
        // Only while we wait for the upstream: our own disk may take its time.
        const timer = setTimeout(() => {
          stalled = true;
          this.abort();
        }, this.idleMilliseconds);
        const { done, value } = await reader.read().finally(() => clearTimeout(timer));
        if (done) return;
        yield value;
      }
    } catch (cause) {
      if (cause instanceof RegistryError) throw cause;
      throw unusable(stalled ? "the upstream stopped sending" : "the upstream's answer broke off", cause);
    } finally {
      reader.cancel().catch(() => undefined);
    }
  }

  /** All of a small body. Error: 502 beyond `most`. */
  async all(most: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of this.body()) {
      bytes += chunk.length;
      if (bytes > most) throw unusable(`the upstream's answer has more than ${most} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  async discard(): Promise<void> {
    await this.response.body?.cancel().catch(() => undefined);
  }

  /** Errors: 429 with the upstream's Retry-After; 502 for everything else that is no success. */
  async requireOk(): Promise<void> {
    if (this.ok) return;
    await this.discard();
    if (this.status !== 429) throw unusable(`the upstream registry answered ${this.status}`);
    const after = this.headers.get("retry-after") ?? "";
    throw new RegistryError(429, "TOOMANYREQUESTS", {
      message: "the upstream registry asks for patience",
      headers: { "Retry-After": /^\d+$/.test(after) ? after : "60" },
    });
  }
}

function tokenOf(bytes: Uint8Array): string | undefined {
  const document = readUpstream("the upstream's token", () => parseJson(bytes, { maxBytes: tokenBytes }));
  if (typeof document !== "object" || document === null || Array.isArray(document)) return undefined;
  const { token, access_token } = document as Readonly<Record<string, JsonValue | undefined>>;
  const text = typeof token === "string" ? token : access_token;
  return typeof text === "string" && /^[\x21-\x7e]+$/.test(text) ? `Bearer ${text}` : undefined;
}

/** Reads what the upstream sent; that it cannot be read is the upstream's fault, not the client's, and not ours. */
export function readUpstream<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw unusable(`${what} cannot be read`, cause);
  }
}

export function unusable(message: string, cause?: unknown): RegistryError {
  return new RegistryError(502, "UNKNOWN", { message, cause });
}
