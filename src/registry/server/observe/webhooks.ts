/** Events to HTTP endpoints as CloudEvents 1.0 (structured JSON), in order, with retries; a slow endpoint never slows the registry. */
import { randomUUID } from "node:crypto";
import type { EventSink, RegistryEvent } from "./events.ts";
import type { Metrics } from "./metrics.ts";

export interface Webhook {
  readonly url: string;
  /** Sent with each request, e.g. `Authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default `push` and `delete`. */
  readonly events?: readonly RegistryEvent["type"][];
}

export interface WebhookOptions {
  /** `source` of the events: the registry's own URL or name. */
  readonly source: string;
  readonly now?: () => number;
  readonly metrics?: () => Metrics | undefined;
  /** Pauses between attempts; as many as there are. Default 1, 5 and 30 seconds. */
  readonly retryMilliseconds?: readonly number[];
}

const mostQueued = 10_000;
const attemptMilliseconds = 10_000;
const defaultRetries = [1000, 5000, 30_000];
const defaultEvents: readonly RegistryEvent["type"][] = ["push", "delete"];

export interface Webhooks extends EventSink {
  /** Waits for what is queued, for so long at most. */
  close(milliseconds: number): Promise<void>;
}

export function startWebhooks(hooks: readonly Webhook[], options: WebhookOptions): Webhooks {
  const queues = hooks.map((hook) => new Queue(hook, options));
  return {
    emit(event) {
      for (const queue of queues) queue.add(event);
    },
    async close(milliseconds) {
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, milliseconds).unref());
      await Promise.race([Promise.all(queues.map((queue) => queue.idle())), timeout]);
      for (const queue of queues) queue.stop();
    },
  };
}

class Queue {
  private readonly hook: Webhook;
  private readonly options: WebhookOptions;
  private readonly events: string[] = [];
  private readonly stopped = new AbortController();
  private running: Promise<void> | undefined;

  constructor(hook: Webhook, options: WebhookOptions) {
    this.hook = hook;
    this.options = options;
  }

  add(event: RegistryEvent): void {
    if (!(this.hook.events ?? defaultEvents).includes(event.type) || this.stopped.signal.aborted) return;
    if (this.events.length >= mostQueued) {
      this.dropped();
      return;
    }
    this.events.push(JSON.stringify(toCloudEvent(event, this.options)));
    this.running ??= this.deliver();
  }

  async idle(): Promise<void> {
    await this.running;
  }

  stop(): void {
    this.stopped.abort();
  }

  private async deliver(): Promise<void> {
    for (let event = this.events.shift(); event !== undefined; event = this.events.shift()) {
      if (!(await this.send(event))) this.dropped();
    }
    // In the same turn as the last look, so that no event comes between the two.
    this.running = undefined;
  }

  private async send(body: string): Promise<boolean> {
    const pauses = this.options.retryMilliseconds ?? defaultRetries;
    for (let attempt = 0; ; attempt++) {
      if (await this.attempt(body)) return true;
      const pause = pauses[attempt];
      if (pause === undefined || this.stopped.signal.aborted) return false;
      await new Promise((resolve) => setTimeout(resolve, pause).unref());
    }
  }

  private async attempt(body: string): Promise<boolean> {
    try {
      const response = await fetch(this.hook.url, {
        method: "POST",
        body,
        headers: { ...this.hook.headers, "Content-Type": "application/cloudevents+json; charset=utf-8" },
        // A header that authorises must not follow to another host.
        redirect: "manual",
        signal: AbortSignal.any([this.stopped.signal, AbortSignal.timeout(attemptMilliseconds)]),
      });
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }

  private dropped(): void {
    this.options.metrics?.()?.add("vitrine_registry_events_dropped_total");
  }
}

/** CloudEvents 1.0 (cloudevents/spec, json-format.md). */
export function toCloudEvent(event: RegistryEvent, options: WebhookOptions): object {
  const { type, what, repository, digest, tags } = event;
  return {
    specversion: "1.0",
    id: randomUUID(),
    source: options.source,
    type: `io.vitrine.registry.${what}.${type}`,
    subject: `${repository}${tags?.length === 1 ? `:${tags[0]}` : digest === undefined ? "" : `@${digest}`}`,
    time: new Date((options.now ?? Date.now)()).toISOString(),
    datacontenttype: "application/json",
    data: event,
  };
}
