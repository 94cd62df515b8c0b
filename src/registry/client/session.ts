/** One registry: which scheme it speaks, and requests to it with the right `Authorization`. */
import { quoted, VitrineError } from "../../base/mod.ts";
import { type AccessScope, headerNames, parseWarnings, paths } from "../protocol/mod.ts";
import { Authorizer } from "./auth.ts";
import type { HttpRequest, HttpResponse, Method, RequestBody } from "./http.ts";
import { isLoopback } from "./proxy.ts";
import type { SendOptions, Transport } from "./transport.ts";
import type { Credentials } from "./types.ts";

/** Where Docker Hub's API is. */
const addresses: Readonly<Record<string, string>> = { "docker.io": "registry-1.docker.io" };

export interface SessionOptions {
  readonly transport: Transport;
  /** As in references. */
  readonly registry: string;
  /** Undefined: by `insecure`, and plain HTTP where the machine itself does not speak TLS. */
  readonly tlsVerify: boolean | undefined;
  readonly insecure: boolean;
  readonly credentials: (name: string | undefined) => Promise<Credentials | undefined>;
  readonly onWarning: (text: string) => void;
}

export interface RegistryRequest {
  readonly method: Method;
  /** A path of the API with its query, or a URL that the registry gave us. */
  readonly target: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  readonly scopes: readonly AccessScope[];
  readonly repeatable?: boolean;
}

/** How often one request may be told 401. */
const mostChallenges = 3;

export class Session {
  readonly registry: string;
  private readonly options: SessionOptions;
  private readonly authorizer: Authorizer;
  private base: Promise<URL> | undefined;

  constructor(options: SessionOptions) {
    this.options = options;
    this.registry = options.registry;
    this.authorizer = new Authorizer({
      transport: options.transport,
      registry: options.registry,
      insecure: this.mayBePlain(),
      credentials: options.credentials,
    });
  }

  /** Any status is a response; 401 only once there is nothing left to try. Errors: those of `Transport.send` and of tokens. */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    const url = await this.resolve(request.target);
    let { scopes } = request;
    for (let round = 1; ; round++) {
      const trusted = url.origin === (await this.baseUrl()).origin;
      const authorization = trusted ? await this.authorizer.header(scopes) : undefined;
      const response = await this.sendOnce(request, url, authorization);
      this.report(response);
      if (response.status !== 401 || !trusted || round >= mostChallenges) return response;
      // A challenge of whoever we were redirected to is not the registry's.
      if (response.url.origin !== url.origin) return response;
      const wanted = this.authorizer.learn(response, scopes, authorization);
      if (wanted === undefined) {
        const refusesCredentials = authorization !== undefined && this.authorizer.sendsCredentials;
        return {
          ...response,
          refusesCredentials,
          knowsUs: authorization !== undefined && this.authorizer.knowsUs,
        };
      }
      // Without credentials there is nothing to answer Basic with.
      if ((await this.authorizer.header(wanted)) === undefined) return response;
      scopes = wanted;
      await response.discard();
    }
  }

  /** For who sends by himself: what `send` would say of us there, as far as the registry asked by now. */
  async headersFor(url: URL, scopes: readonly AccessScope[]): Promise<Readonly<Record<string, string>>> {
    const trusted = url.origin === (await this.baseUrl()).origin;
    const authorization = trusted ? await this.authorizer.header(scopes) : undefined;
    return {
      "user-agent": this.options.transport.userAgent,
      ...(authorization !== undefined && { authorization }),
    };
  }

  /** A place that the registry named, in a header or a list; `from` is the response's URL. */
  locate(location: string, from: URL): URL {
    const url = URL.canParse(location, from) ? new URL(location, from) : undefined;
    const plain = url?.protocol === "http:" && (from.protocol === "http:" || this.mayBePlain());
    if (url !== undefined && (url.protocol === "https:" || plain)) {
      // Behind a proxy that ends TLS, many registries believe they are plain HTTP.
      if (url.protocol === "http:" && from.protocol === "https:" && url.host === from.host)
        url.protocol = "https:";
      return url;
    }
    if (url?.protocol === "http:" && url.hostname === from.hostname) {
      url.protocol = "https:";
      return url;
    }
    throw new VitrineError("unavailable", `${this.registry} leads us to ${quoted(location, 200)}`, {
      code: "registry-location-invalid",
      operand: this.registry,
    });
  }

  private async resolve(target: string | URL): Promise<URL> {
    return typeof target === "string" ? new URL(target, await this.baseUrl()) : target;
  }

  private sendOnce(
    request: RegistryRequest,
    url: URL,
    authorization: string | undefined,
  ): Promise<HttpResponse> {
    const { method, headers, body, repeatable } = request;
    const plain: HttpRequest = { method, url, headers, body };
    const options: SendOptions = {
      repeatable,
      ...(authorization !== undefined && { secret: { authorization } }),
    };
    return this.options.transport.send(plain, options);
  }

  private report(response: HttpResponse): void {
    for (const value of response.headers.all(headerNames.warning)) {
      for (const text of parseWarnings(value)) this.options.onWarning(text);
    }
  }

  private baseUrl(): Promise<URL> {
    this.base ??= this.findBase();
    return this.base;
  }

  private mayBePlain(): boolean {
    const { tlsVerify, insecure, registry } = this.options;
    if (tlsVerify !== undefined) return !tlsVerify;
    return insecure || isLoopback(hostOf(registry));
  }

  /** TLS unless told otherwise. Where plain HTTP is allowed, what the port speaks decides. */
  private async findBase(): Promise<URL> {
    const host = addresses[this.registry] ?? this.registry;
    const secure = new URL(`https://${host}/`);
    if (!this.mayBePlain()) return secure;
    const plain = new URL(`http://${host}/`);
    // The machine itself hears no secret in a ping, and to be ready for TLS takes ten times as long.
    const [first, second] = isLoopback(hostOf(host)) ? [plain, secure] : [secure, plain];
    const failure = await this.ping(first);
    if (failure === undefined) return first;
    const other = await this.ping(second);
    if (other === undefined) return second;
    // Neither: said of what the registry should speak, unless nobody is there at all.
    const [ofSecure, ofPlain] = first === secure ? [failure, other] : [other, failure];
    throw ofPlain.code === "registry-unreachable" ? ofPlain : ofSecure;
  }

  /** Undefined when something answers as a registry of this scheme may. Errors of another kind are thrown. */
  private async ping(base: URL): Promise<VitrineError | undefined> {
    const url = new URL(paths.base, base);
    try {
      const response = await this.options.transport.send({ method: "GET", url }, { repeatable: false });
      await response.discard();
      // What a server for TLS says to plain HTTP.
      if (response.status !== 400 || base.protocol === "https:") return undefined;
      return new VitrineError("unavailable", `${base.host} does not speak plain HTTP`, {
        code: "registry-malformed-response",
        operand: base.host,
      });
    } catch (error) {
      if (error instanceof VitrineError && speaksOther.has(error.code)) return error;
      throw error;
    }
  }
}

function hostOf(authority: string): string {
  return authority.replace(/:[0-9]+$/, "");
}

/** After these the other scheme is tried. */
const speaksOther: ReadonlySet<string> = new Set([
  "registry-not-tls",
  "registry-unreachable",
  "registry-connection-broken",
  "registry-malformed-response",
  "registry-timeout",
]);
