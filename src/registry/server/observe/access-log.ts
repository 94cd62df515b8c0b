/** One line of JSON for each answer. */
import { printable } from "../../../base/mod.ts";
import type { Exchange } from "../http/exchange.ts";

/** The line, with its newline. The query is left out: upload URLs and tokens are nobody's business. */
export function accessLogLine(exchange: Exchange, status: number, now: number): string {
  const agent = exchange.header("user-agent");
  return `${JSON.stringify({
    time: new Date(now).toISOString(),
    remote: exchange.remote,
    user: exchange.identity?.user,
    method: printable(exchange.method),
    path: printable(exchange.path.slice(0, 1024)),
    status,
    milliseconds: Math.round((performance.now() - exchange.started) * 10) / 10,
    received: exchange.receivedBytes,
    sent: exchange.sentBytes,
    agent: agent === undefined ? undefined : printable(agent.slice(0, 256)),
  })}\n`;
}
