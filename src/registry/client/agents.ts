/** Connections kept for the next request: one agent for each origin and the proxy on the way to it. */
import type * as http from "node:http";
import type * as https from "node:https";
import type { Socket } from "node:net";
import type * as tls from "node:tls";
import { VitrineError } from "../../base/mod.ts";
import type { Certificates } from "./certificates.ts";
import { proxyLogin } from "./failures.ts";
import { proxyFor } from "./proxy.ts";
import type { Environment } from "./types.ts";

export interface TlsPolicy {
  readonly verify: boolean;
  readonly certificates: Certificates;
}

export interface AgentOptions {
  readonly environment: Environment;
  /** Asked once for each origin that is https. */
  readonly tls: (host: string) => TlsPolicy;
  /** Milliseconds until a connection through a proxy stands. */
  readonly connectTimeout: number;
  /** Of more requests at once, the others wait; default 16. */
  readonly socketsPerOrigin?: number;
}

/** What a request needs to be sent to a URL. */
export interface Route {
  readonly agent: http.Agent | https.Agent;
  readonly request: typeof http.request;
  /** Of plain HTTP through a proxy: the absolute form, and who we are. */
  readonly options: http.RequestOptions;
}

const socketsPerOrigin = 16;

export class Agents {
  private readonly options: AgentOptions;
  private readonly routes = new Map<string, Promise<Route>>();

  constructor(options: AgentOptions) {
    this.options = options;
  }

  async to(url: URL): Promise<Route> {
    let route = this.routes.get(url.origin);
    if (route === undefined) {
      route = this.make(url);
      this.routes.set(url.origin, route);
      route.catch(() => this.routes.delete(url.origin));
    }
    const found = await route;
    const { path } = found.options;
    // A proxy for plain HTTP gets the whole URL as the request's target (RFC 9112 section 3.2.2).
    return path === undefined ? found : { ...found, options: { ...found.options, path: url.href } };
  }

  close(): void {
    for (const route of this.routes.values()) {
      route.then(
        ({ agent }) => agent.destroy(),
        () => undefined,
      );
    }
    this.routes.clear();
  }

  private async make(url: URL): Promise<Route> {
    const proxy = proxyFor(url, this.options.environment);
    const maxSockets = this.options.socketsPerOrigin ?? socketsPerOrigin;
    const keep = { keepAlive: true, maxSockets, scheduling: "lifo" } as const;
    // Loaded on use: it takes longer than all else that a short command does.
    const http = await import("node:http");
    if (url.protocol === "http:") {
      const agent = new http.Agent(keep);
      if (proxy === undefined) return { agent, request: http.request, options: placeOf(url) };
      return {
        agent,
        request: proxy.protocol === "https:" ? (await import("node:https")).request : http.request,
        options: { ...placeOf(proxy), path: "", headers: { host: url.host, ...proxyIdentity(proxy) } },
      };
    }
    const { Agent, request } = await import("node:https");
    const tlsOptions = await this.tlsOptions(url);
    const agent = new Agent({ ...keep, ...tlsOptions });
    if (proxy !== undefined) {
      const tunnel = await tunnelTo(url, proxy, tlsOptions, this.options.connectTimeout);
      agent.createConnection = tunnel as typeof agent.createConnection;
    }
    return { agent, request: request as typeof http.request, options: placeOf(url) };
  }

  private async tlsOptions(url: URL): Promise<tls.SecureContextOptions & { rejectUnauthorized: boolean }> {
    const { verify, certificates } = this.options.tls(url.host);
    const [first] = certificates.clients;
    return {
      rejectUnauthorized: verify,
      minVersion: "TLSv1.2",
      ...(certificates.authorities !== undefined && { ca: [...certificates.authorities] }),
      ...(first !== undefined && {
        cert: certificates.clients.map(({ certificate }) => certificate),
        key: certificates.clients.map(({ key }) => key),
      }),
    };
  }
}

function placeOf(url: URL): http.RequestOptions {
  return {
    protocol: url.protocol,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port || (url.protocol === "https:" ? 443 : 80),
  };
}

function proxyIdentity(proxy: URL): http.OutgoingHttpHeaders {
  if (proxy.username === "") return {};
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(pair).toString("base64")}` };
}

type Connected = (error: Error | null, socket?: Socket) => void;

/** An agent's `createConnection` that asks the proxy for a tunnel (CONNECT, RFC 9110 section 9.3.6) and speaks TLS in it. */
async function tunnelTo(
  url: URL,
  proxy: URL,
  tlsOptions: tls.ConnectionOptions,
  timeout: number,
): Promise<(options: unknown, connected: Connected) => undefined> {
  const { connect } = await import("node:tls");
  const http = await import("node:http");
  const request = proxy.protocol === "https:" ? (await import("node:https")).request : http.request;
  const { host, port } = placeOf(url);
  const authority = `${url.hostname}:${port}`;
  return (_options, connected) => {
    const asked = (request as typeof http.request)({
      ...placeOf(proxy),
      method: "CONNECT",
      path: authority,
      headers: { host: authority, ...proxyIdentity(proxy) },
      agent: false,
    });
    const fail = (error: Error): void => connected(error);
    const timer = setTimeout(() => asked.destroy(proxyError(proxy, "does not answer")), timeout);
    asked.once("error", (error) => {
      clearTimeout(timer);
      fail(error instanceof VitrineError ? error : proxyError(proxy, error.message, error));
    });
    asked.once("connect", (response: http.IncomingMessage, socket: Socket) => {
      clearTimeout(timer);
      if (response.statusCode !== 200) {
        socket.destroy();
        fail(proxyRefusal(proxy, authority, response.statusCode));
        return;
      }
      const secure = connect({ ...tlsOptions, socket, ...(isName(host) && { servername: host }) });
      secure.once("secureConnect", () => {
        secure.off("error", fail);
        connected(null, secure);
      });
      secure.once("error", fail);
    });
    // A proxy that answers CONNECT as any request (407, 403) sends a response, not a tunnel.
    asked.once("response", (response) => {
      clearTimeout(timer);
      response.destroy();
      fail(proxyRefusal(proxy, authority, response.statusCode));
    });
    asked.end();
    return undefined;
  };
}

/** Server names are no addresses (RFC 6066 section 3). */
function isName(host: string | null | undefined): host is string {
  return typeof host === "string" && process.getBuiltinModule("node:net").isIP(host) === 0;
}

/** A proxy that answers CONNECT with this status makes no tunnel. */
function proxyRefusal(proxy: URL, authority: string, status: number | undefined): VitrineError {
  if (status !== 407) return proxyError(proxy, `refuses ${authority} with status ${status}`);
  return new VitrineError("denied", `proxy ${proxy.host} wants a user name and a password, or others`, {
    code: "proxy-unauthorized",
    operand: proxy.host,
    hint: proxyLogin,
  });
}

function proxyError(proxy: URL, what: string, cause?: unknown): VitrineError {
  return new VitrineError("unavailable", `proxy ${proxy.host} ${what}`, {
    code: "proxy-failed",
    operand: proxy.host,
    hint: "it comes from HTTP_PROXY or HTTPS_PROXY; name registries that need none in NO_PROXY",
    cause,
  });
}
