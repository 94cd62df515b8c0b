/**
 * Events to HTTP endpoints as CloudEvents 1.0 (structured JSON), in order, each at least once, with retries; a slow endpoint never
 * slows the registry. With a directory, what waits there outlives the process.
 */
import { createHash, randomUUID } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { makePrivateDirectory, printable } from "../../../base/mod.ts";
import { EventJournal } from "./event-journal.ts";
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
  /** Pauses between attempts; the last one is repeated. Default 1, 5, 30 seconds, 2 and 5 minutes. */
  readonly retryMilliseconds?: readonly number[];
  /** An event is given up when it is so old; default a day. One that is refused (4xx) is given up after four attempts. */
  readonly keepMilliseconds?: number;
  /** Where events wait; without, in memory alone. One process at a time. */
  readonly directory?: string;
  /** Tells of what is given up. */
  readonly onProblem?: (message: string) => void;
}

const mostWaiting = 10_000;
const mostWaitingBytes = 32 * 1024 * 1024;
const attemptMilliseconds = 10_000;
const defaultRetries = [1000, 5000, 30_000, 120_000, 300_000];
const defaultKeep = 24 * 3600 * 1000;
const mostRefusals = 4;
const longestRetryAfterSeconds = 300;
const defaultEvents: readonly RegistryEvent["type"][] = ["push", "delete"];

export interface Webhooks extends EventSink {
  /** How many events wait. */
  readonly waiting: number;
  /** Waits for what is queued, for so long at most; what is left stays in the directory for the next process. */
  close(milliseconds: number): Promise<void>;
}

/** Throws what the system says where the directory cannot be used. */
export function startWebhooks(hooks: readonly Webhook[], options: WebhookOptions): Webhooks {
  const keys = keysOf(hooks);
  if (options.directory !== undefined) {
    makePrivateDirectory(options.directory);
    forgetOthers(options.directory, keys, options);
  }
  const queues = hooks.map((hook, index) => new Queue(hook, keys[index]!, options));
  return {
    get waiting() {
      return queues.reduce((sum, queue) => sum + queue.waiting, 0);
    },
    emit(event) {
      if (queues.length === 0) return;
      const body = JSON.stringify(toCloudEvent(event, options));
      for (const queue of queues) queue.add(event.type, body);
    },
    async close(milliseconds) {
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, milliseconds).unref());
      await Promise.race([Promise.all(queues.map((queue) => queue.idle())), timeout]);
      await Promise.all(queues.map((queue) => queue.stop()));
    },
  };
}

/** By their URL: a webhook finds its events again wherever it stands in the config. */
function keysOf(hooks: readonly Webhook[]): readonly string[] {
  return hooks.map(({ url }, index) => {
    const before = hooks.slice(0, index).filter((other) => other.url === url).length;
    return createHash("sha256").update(`${url} ${before}`).digest("hex").slice(0, 32);
  });
}

/** Events of webhooks that the config has no more. */
function forgetOthers(directory: string, keys: readonly string[], options: WebhookOptions): void {
  for (const name of fs.readdirSync(directory)) {
    const match = /^([0-9a-f]{32})\.(?:log|at)$/.exec(name);
    if (match === null || keys.includes(match[1]!)) continue;
    const file = path.join(directory, name);
    if (name.endsWith(".log") && fs.statSync(file).size > 0) {
      options.onProblem?.("events of a webhook that the config has no more are dropped");
    }
    fs.rmSync(file);
  }
}

interface Waiting {
  /** In the journal, if it is there. */
  readonly number: number | undefined;
  readonly body: string;
}

class Queue {
  private readonly hook: Webhook;
  private readonly options: WebhookOptions;
  private readonly journal: EventJournal | undefined;
  private readonly events: Waiting[] = [];
  private bytes = 0;
  private readonly stopped = new AbortController();
  private running: Promise<void> | undefined;
  /** The receiver did not take the last attempt. */
  private failing = false;
  private attempted = Promise.withResolvers<void>();
  private overflowing = false;

  constructor(hook: Webhook, key: string, options: WebhookOptions) {
    this.hook = hook;
    this.options = options;
    if (options.directory === undefined) return;
    this.journal = new EventJournal(options.directory, key);
    for (const { number, event } of this.journal.left) this.queue({ number, body: event });
  }

  get waiting(): number {
    return this.events.length;
  }

  add(type: RegistryEvent["type"], body: string): void {
    if (!(this.hook.events ?? defaultEvents).includes(type) || this.stopped.signal.aborted) return;
    if (this.events.length >= mostWaiting || this.bytes >= mostWaitingBytes) {
      if (!this.overflowing) this.tell(`${this.events.length} events wait: those that come now are dropped`);
      this.overflowing = true;
      this.dropped();
      return;
    }
    this.overflowing = false;
    this.queue({ number: this.keep(body), body });
  }

  /** When all is delivered; with a journal also when the receiver is not to be had for now. */
  async idle(): Promise<void> {
    while (this.running !== undefined && !(this.journal !== undefined && this.failing)) {
      await Promise.race([this.running, this.attempted.promise]);
    }
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    await this.running;
    this.journal?.[Symbol.dispose]();
  }

  private keep(body: string): number | undefined {
    try {
      return this.journal?.append(body);
    } catch (error) {
      this.tell(`an event cannot be kept on disk: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  /** Delivering goes on whatever the disk says. */
  private forget(number: number): void {
    try {
      this.journal?.done(number);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.tell(`an event that is done with stays on disk, and may be sent again after a restart: ${why}`);
    }
  }

  private queue(event: Waiting): void {
    this.events.push(event);
    this.bytes += event.body.length;
    this.running ??= this.deliver();
  }

  private async deliver(): Promise<void> {
    for (let event = this.events[0]; event !== undefined; event = this.events[0]) {
      const taken = await this.send(event.body);
      if (this.stopped.signal.aborted && taken !== "taken") break;
      if (taken !== "taken") {
        this.dropped();
        this.tell(`event ${describe(event.body)} is given up: ${taken}`);
      }
      this.events.shift();
      this.bytes -= event.body.length;
      if (event.number !== undefined) this.forget(event.number);
    }
    // In the same turn as the last look, so that no event comes between the two.
    this.running = undefined;
  }

  /** `taken`, or why it was given up. */
  private async send(body: string): Promise<string> {
    const { retryMilliseconds: pauses = defaultRetries, keepMilliseconds = defaultKeep } = this.options;
    const now = this.options.now ?? Date.now;
    const before = timeOf(body) + keepMilliseconds;
    for (let attempt = 0, refusals = 0; ; attempt++) {
      const result = await this.attempt(body);
      this.failing = result !== "taken";
      this.attempted.resolve();
      this.attempted = Promise.withResolvers<void>();
      if (result === "taken") return "taken";
      if (this.stopped.signal.aborted) return "the registry stops";
      if (result.refused && ++refusals >= mostRefusals) return result.reason;
      if (now() >= before) return `${result.reason}, for too long`;
      await this.pause(Math.max(pauses[Math.min(attempt, pauses.length - 1)] ?? 0, result.afterMilliseconds));
    }
  }

  private pause(milliseconds: number): Promise<void> {
    const { signal } = this.stopped;
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      timer.unref();
      signal.addEventListener("abort", end);
    });
  }

  private async attempt(
    body: string,
  ): Promise<
    "taken" | { readonly refused: boolean; readonly reason: string; readonly afterMilliseconds: number }
  > {
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
      if (response.ok) return "taken";
      const { status } = response;
      const asked = Number(response.headers.get("retry-after") ?? 0) || 0;
      return {
        // What asks for patience is no refusal.
        refused: status < 500 && ![408, 425, 429].includes(status),
        reason: `the receiver answered ${status}`,
        afterMilliseconds: Math.min(Math.max(asked, 0), longestRetryAfterSeconds) * 1000,
      };
    } catch {
      return { refused: false, reason: "the receiver cannot be reached", afterMilliseconds: 0 };
    }
  }

  private dropped(): void {
    this.options.metrics?.()?.add("vitrine_registry_events_dropped_total");
  }

  private tell(message: string): void {
    // The rest of the URL may be a secret.
    this.options.onProblem?.(`webhook ${new URL(this.hook.url).origin}: ${message}`);
  }
}

function timeOf(body: string): number {
  const time = Date.parse(String(JSON.parse(body).time));
  return Number.isNaN(time) ? 0 : time;
}

function describe(body: string): string {
  const { id, type, subject } = JSON.parse(body);
  return printable(`${id} (${type} of ${subject})`);
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
