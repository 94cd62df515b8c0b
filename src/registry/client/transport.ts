/** Requests as the rest of the client sees them: redirects followed, passing faults tried again. Nothing of credentials. */
import { noting, quoted, VitrineError } from "../../base/mod.ts";
import type { Agents } from "./agents.ts";
import { isTransient, retryAfter } from "./failures.ts";
import { exchange, type HttpRequest, type HttpResponse } from "./http.ts";
import type { Timing } from "./types.ts";

export const defaultTiming: Timing = {
  connect: 30_000,
  idle: 60_000,
  idleBytes: 1024,
  backoff: 250,
  longestPause: 60_000,
  attempts: 5,
};

/** Statuses that a later try may turn into another (RFC 9110 sections 15.5.9, 15.6; RFC 6585). */
export const passing: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
const mostRedirects = 10;

export interface SendOptions {
  /** The request may be sent again after a fault; default for GET and HEAD. */
  readonly repeatable?: boolean;
  /** Headers that only the first origin may see: who we are. */
  readonly secret?: Readonly<Record<string, string>>;
}

export interface TransportOptions {
  readonly agents: Agents;
  readonly timing: Timing;
  readonly userAgent: string;
  readonly onNote: (text: string) => void;
}

export class Transport {
  readonly timing: Timing;
  readonly userAgent: string;
  private readonly options: TransportOptions;

  constructor(options: TransportOptions) {
    this.options = options;
    this.timing = options.timing;
    this.userAgent = options.userAgent;
  }

  /** Errors: those of `exchange`; `redirect-loop`, `redirect-too-many`, `redirect-invalid`. Any status is a response. */
  async send(request: HttpRequest, options: SendOptions = {}): Promise<HttpResponse> {
    noting.noter?.giveUp("a registry was asked");
    const { timing, onNote } = this.options;
    const repeatable = options.repeatable ?? (request.method === "GET" || request.method === "HEAD");
    for (let attempt = 1; ; attempt++) {
      const last = !repeatable || attempt >= timing.attempts;
      // Half at random, so that a crowd that failed together does not come back together.
      const pause = timing.backoff * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
      try {
        const response = await this.follow(request, options.secret ?? {});
        if (last || !passing.has(response.status)) return response;
        const asked = retryAfter(response, Date.now());
        if (asked !== undefined && asked > timing.longestPause) return response;
        await response.discard();
        onNote(`${request.url.host} answers ${response.status} to ${request.method}: trying again`);
        await sleep(Math.max(asked ?? 0, pause));
      } catch (error) {
        if (last || !isTransient(error)) throw error;
        onNote(`${(error as Error).message}: trying again`);
        await sleep(attempt === 1 ? 0 : pause);
      }
    }
  }

  private async follow(
    request: HttpRequest,
    secret: Readonly<Record<string, string>>,
  ): Promise<HttpResponse> {
    const { agents, timing, userAgent } = this.options;
    const seen = new Set<string>();
    let { url } = request;
    while (true) {
      seen.add(url.href);
      const route = await agents.to(url);
      const headers = {
        "user-agent": userAgent,
        ...request.headers,
        // Another origin is another party, even on the same name (spec.md#api).
        ...(url.origin === request.url.origin && secret),
      };
      const response = await exchange({ ...request, url, headers }, route, timing);
      if (!isRedirect(response, request)) return response;
      await response.discard();
      const next = targetOf(response, url);
      if (seen.has(next.href)) throw redirectError("redirect-loop", request.url, "redirects in a circle");
      if (seen.size > mostRedirects) {
        throw redirectError("redirect-too-many", request.url, `redirects more than ${mostRedirects} times`);
      }
      url = next;
    }
  }
}

/** 303 and the older two keep GET and HEAD as they are; a request with content is only repeated on 307 and 308. */
function isRedirect(response: HttpResponse, { method }: HttpRequest): boolean {
  if (response.headers.get("location") === undefined) return false;
  if (response.status === 307 || response.status === 308) return true;
  return [301, 302, 303].includes(response.status) && (method === "GET" || method === "HEAD");
}

function targetOf(response: HttpResponse, from: URL): URL {
  const location = response.headers.get("location")!;
  const target = URL.canParse(location, from) ? new URL(location, from) : undefined;
  if (target === undefined || !["http:", "https:"].includes(target.protocol)) {
    throw redirectError("redirect-invalid", from, `redirects to ${quoted(location, 200)}`);
  }
  if (from.protocol === "https:" && target.protocol === "http:") {
    throw redirectError("redirect-invalid", from, "redirects from TLS to plain HTTP");
  }
  target.hash = "";
  // Whoever redirects does not choose what we say of ourselves.
  target.username = "";
  target.password = "";
  return target;
}

function redirectError(code: string, url: URL, what: string): VitrineError {
  return new VitrineError("unavailable", `${url.host} ${what}`, { code, operand: url.host });
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
