/** Requests to a mirror's upstream: its certificates and tokens, its failures as answers of ours, bodies that must go on moving. */
import { type JsonValue, parseJson, VitrineError } from "../../../base/mod.ts";
import { Agents } from "../../client/agents.ts";
import { loadCertificates } from "../../client/certificates.ts";
import type { HttpResponse } from "../../client/http.ts";
import { Transport } from "../../client/transport.ts";
import { parseChallenges } from "../../protocol/challenge.ts";
import { BoundedCache } from "../bounded-cache.ts";
import { RegistryError } from "../errors.ts";

export interface UpstreamOptions {
  /** `https://registry-1.docker.io` */
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
  /** *.crt, *.cert and *.key for the upstream and whom it leads to, instead of those of certs.d. */
  readonly certificateDirectory?: string;
  /** HOME and XDG_CONFIG_HOME (certs.d), SSL_CERT_FILE, proxies; default nothing. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Where certs.d lies for all; default /etc. */
  readonly systemDirectory?: string;
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
/** As many clients may wait for different blobs. */
const socketsPerOrigin = 1000;

export class UpstreamConnection {
  private readonly options: UpstreamOptions;
  private readonly agents: Agents;
  private readonly transport: Transport;
  private readonly tokens = new BoundedCache<string>(rememberedTokens);

  constructor(options: UpstreamOptions) {
    const { certificateDirectory, environment = {}, systemDirectory = "/etc" } = options;
    const { answerMilliseconds = 30_000, idleMilliseconds = 60_000 } = options;
    this.options = options;
    this.agents = new Agents({
      environment,
      tls: (host) => ({
        verify: true,
        certificates: loadCertificates(host, {
          environment,
          systemDirectory,
          directory: certificateDirectory,
        }),
      }),
      connectTimeout: answerMilliseconds,
      socketsPerOrigin,
    });
    this.transport = new Transport({
      agents: this.agents,
      timing: {
        connect: answerMilliseconds,
        answer: answerMilliseconds,
        idle: idleMilliseconds,
        idleBytes: 1,
        backoff: 250,
        // Whoever asks us is told to wait, not kept waiting.
        longestPause: 0,
        // A connection that was kept may be gone: that shows with the next request.
        attempts: 2,
      },
      userAgent: "vitrine-registry",
      onNote: () => undefined,
    });
  }

  /** Lets idle connections go. */
  close(): void {
    this.agents.close();
  }

  /** One request about a repository, once more with a token when it asks for one. Error: 502 when nobody answers. */
  async ask(name: string, target: string, call: Call = {}): Promise<UpstreamAnswer> {
    const url = new URL(target, this.options.url);
    const first = await this.send(url, call, this.tokens.get(name));
    if (first.status !== 401) return first;
    await first.discard();
    const authorization = await this.authorize(name, first.header("www-authenticate") ?? "");
    if (authorization === undefined) throw unusable("the upstream does not let us in");
    this.tokens.set(name, authorization);
    return this.send(url, call, authorization);
  }

  private async send(url: URL, call: Call, authorization: string | undefined): Promise<UpstreamAnswer> {
    const { method = "GET", accept } = call;
    const headers = { "accept-encoding": "identity", ...(accept !== undefined && { accept }) };
    try {
      const response = await this.transport.send(
        { method, url, headers },
        authorization === undefined ? {} : { secret: { authorization } },
      );
      return new UpstreamAnswer(response);
    } catch (cause) {
      const isTls = cause instanceof VitrineError && /^(registry-(not-)?tls|certificate-)/.test(cause.code);
      const what = isTls ? "cannot be reached over TLS" : "cannot be reached";
      throw unusable(`the upstream registry ${what}`, cause);
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
  private readonly response: HttpResponse;

  constructor(response: HttpResponse) {
    this.status = response.status;
    this.response = response;
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  /** The first header of that name. */
  header(name: string): string | undefined {
    return this.response.headers.get(name);
  }

  /** Undefined where the upstream does not tell. */
  get contentLength(): number | undefined {
    const text = this.header("content-length");
    return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  }

  /** The body; error: 502 when it breaks off, or brings nothing for too long. */
  async *body(): AsyncGenerator<Uint8Array, void> {
    const chunks = this.response.body[Symbol.asyncIterator]();
    try {
      while (true) {
        const next = await chunks.next().catch((cause: unknown) => {
          const stalled = cause instanceof VitrineError && cause.code === "registry-timeout";
          throw unusable(stalled ? "the upstream stopped sending" : "the upstream's answer broke off", cause);
        });
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await chunks.return?.();
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
    await this.response.discard();
  }

  /** Errors: 429 with the upstream's Retry-After; 502 for everything else that is no success. */
  async requireOk(): Promise<void> {
    if (this.ok) return;
    await this.discard();
    if (this.status !== 429) throw unusable(`the upstream registry answered ${this.status}`);
    const after = this.header("retry-after") ?? "";
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
