/** From a request to its answer: the API below /v2, else the pages; an error becomes its answer too. */
import { RegistryError } from "../errors.ts";
import type { Service } from "../service.ts";
import type { Exchange } from "./exchange.ts";
import { answerOf } from "./failures.ts";
import { routeApi } from "./route.ts";

export interface AnswerOptions {
  /** Called after each answer: the access log. */
  readonly onAnswer?: (exchange: Exchange, status: number) => void;
  /** Called for an error that is the server's own fault. */
  readonly onFault?: (error: unknown, exchange: Exchange) => void;
  /** Answers what is not below /v2 (the page, metrics); false where it does not know the path. */
  readonly pages?: (service: Service, exchange: Exchange) => Promise<boolean>;
}

/** Answers a request, whatever happens; undefined: it is answered already. Never rejects. */
export function answerRequest(
  service: Service,
  options: AnswerOptions,
  exchange: Exchange,
): Promise<void> | undefined {
  try {
    requirePlainChunks(exchange);
    const handled = exchange.path.startsWith("/v2")
      ? routeApi(service, exchange)
      : otherPages(service, options, exchange);
    return handled?.catch((error: unknown) => fail(options, exchange, error));
  } catch (error) {
    fail(options, exchange, error);
    return undefined;
  }
}

/** The runtime's parser takes "gzip, chunked" as well, and would give what is still compressed (RFC 9112 section 6.1). */
function requirePlainChunks(exchange: Exchange): void {
  const coding = exchange.header("transfer-encoding");
  if (coding === undefined || coding.toLowerCase() === "chunked") return;
  throw new RegistryError(501, "UNSUPPORTED", {
    message: "of transfer codings only chunked is known here",
    headers: { Connection: "close" },
  });
}

async function otherPages(service: Service, options: AnswerOptions, exchange: Exchange): Promise<void> {
  if (options.pages !== undefined && (await options.pages(service, exchange))) return;
  throw new RegistryError(404, "UNSUPPORTED", { message: "no such page; the API is at /v2/" });
}

function fail(options: AnswerOptions, exchange: Exchange, error: unknown): void {
  const answer = answerOf(error);
  if (answer === undefined) {
    exchange.abandon();
    return;
  }
  if (answer.status >= 500) options.onFault?.(error, exchange);
  try {
    exchange.fail(answer);
  } catch (cause) {
    options.onFault?.(cause, exchange);
    exchange.abandon();
  }
}

/** After each answer: metrics, and the access log. */
export function recordAnswer(service: Service, options: AnswerOptions, exchange: Exchange): void {
  const { metrics } = service;
  const { response } = exchange;
  // 499: the client left before the answer (as in nginx's log).
  const status = response.headersSent ? response.statusCode : 499;
  const seconds = (performance.now() - exchange.started) / 1000;
  metrics.observe(exchange.operation, knownMethod(exchange.method), status, seconds);
  metrics.add("vitrine_registry_received_bytes_total", exchange.receivedBytes);
  metrics.add("vitrine_registry_sent_bytes_total", exchange.sentBytes);
  options.onAnswer?.(exchange, status);
}

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);
function knownMethod(method: string): string {
  return methods.has(method) ? method : "other";
}
