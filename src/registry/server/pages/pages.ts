/** What is not the API: health, metrics, tokens, and the page for people. */
import type { AuthenticatedAccess } from "../access/authenticate.ts";
import { tokenPath } from "../access/authenticate.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";
import type { Service } from "../service.ts";
import { browse } from "./browse.ts";

export interface PageOptions {
  readonly access?: AuthenticatedAccess;
  /** Default true: /metrics is answered to everybody who reaches the server. */
  readonly metrics?: boolean;
  /** Default true: the page at /. */
  readonly browse?: boolean;
}

export function makePages(options: PageOptions): (service: Service, exchange: Exchange) => Promise<boolean> {
  return async (service, exchange) => {
    const { path, method } = exchange;
    if (path === tokenPath && options.access?.givesTokens === true) {
      exchange.operation = "token";
      requireRead(exchange);
      await options.access.giveToken(exchange);
      return true;
    }
    if (path === "/healthz") {
      exchange.operation = "health";
      requireRead(exchange);
      await health(service, exchange);
      return true;
    }
    if (path === "/metrics" && options.metrics !== false) {
      exchange.operation = "metrics";
      requireRead(exchange);
      exchange.send(
        200,
        { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" },
        service.metrics.render(),
      );
      return true;
    }
    if (options.browse === false || (method !== "GET" && method !== "HEAD")) return false;
    exchange.operation = "page";
    return browse(service, exchange);
  };
}

function requireRead(exchange: Exchange): void {
  if (exchange.method === "GET" || exchange.method === "HEAD") return;
  throw new RegistryError(405, "UNSUPPORTED", { headers: { Allow: "GET, HEAD" } });
}

/** 200 when the storage answers, 503 when it does not. */
async function health(service: Service, exchange: Exchange): Promise<void> {
  try {
    const { storage } = service.repositories;
    await (storage.probe?.() ?? storage.documents.get("health"));
    exchange.json(200, { "Cache-Control": "no-store" }, { status: "ok" });
  } catch {
    exchange.json(503, { "Cache-Control": "no-store" }, { status: "storage-unavailable" });
  }
}
