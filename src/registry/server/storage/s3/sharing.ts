/**
 * Several registries on one bucket: how one of them removes garbage while the others push.
 * ```
 * PREFIX/collecting        who collects: made on the condition that it is not there, renewed while he works
 * PREFIX/removing/SCOPE    he removes things below SCOPE at this moment
 * ```
 * Who removes announces it first, and looks then; who writes looks for an announcement afterwards, waits for its end, and looks
 * whether what he wrote is still there. So one of the two sees the other, whatever the order. One who announces and then sleeps
 * (a machine that was suspended) must not remove anything when he wakes: his removals are signed to be taken only for a while
 * after the announcement, by the store's own clock, and an announcement counts for longer than that.
 */
import { randomUUID } from "node:crypto";
import * as os from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { printable, VitrineError } from "../../../../base/mod.ts";
import type { CollectLease, Sharing } from "../types.ts";
import type { S3Client } from "./client.ts";

export interface SharingTimes {
  /** The lease counts for so long without a sign of life; default a minute. */
  readonly leaseMilliseconds?: number;
  /** Removals are taken for so long after the announcement was renewed; default 20. */
  readonly fenceSeconds?: number;
  /** An announcement counts for so long without being renewed; default 40 seconds: more than the fence by what clocks round. */
  readonly announcementMilliseconds?: number;
  /** Between two looks whether it has ended; default 300. */
  readonly pollMilliseconds?: number;
  /** False: as one who sleeps does. */
  readonly renew?: boolean;
}

export interface Fence {
  readonly since: number;
  readonly seconds: number;
}

const takeAttempts = 5;

export class S3Sharing implements Sharing {
  private readonly client: S3Client;
  private readonly prefix: string;
  private readonly times: Required<SharingTimes>;
  private readonly fences = new Map<string, Fence>();

  constructor(client: S3Client, prefix: string, times: SharingTimes = {}) {
    this.client = client;
    this.prefix = prefix;
    this.times = {
      leaseMilliseconds: 60_000,
      fenceSeconds: 20,
      announcementMilliseconds: 40_000,
      pollMilliseconds: 300,
      renew: true,
      ...times,
    };
  }

  async settle(scope: string): Promise<boolean> {
    const key = this.announcementOf(scope);
    for (let found = false; ; found = true) {
      const announced = await this.client.head(key);
      if (announced === undefined) return found;
      if (announced.answered - announced.modified >= this.times.announcementMilliseconds) return found;
      await sleep(this.times.pollMilliseconds);
    }
  }

  /** Until when a removal below `scope` may be carried out, where this process announced one. */
  fenceOf(scope: string): Fence | undefined {
    return this.fences.get(scope);
  }

  async lease(): Promise<CollectLease> {
    const taken = await this.take();
    const announce = <T>(scope: string, body: () => Promise<T>): Promise<T> => this.announce(scope, body);
    if (taken === undefined)
      return { exclusive: false, announce, [Symbol.asyncDispose]: async () => undefined };
    const { stop, isHeld } = this.keep(taken);
    return {
      exclusive: true,
      announce: (scope, body) => {
        if (!isHeld()) throw leaseLost(this.leaseKey);
        return announce(scope, body);
      },
      [Symbol.asyncDispose]: stop,
    };
  }

  private get leaseKey(): string {
    return `${this.prefix}collecting`;
  }

  private announcementOf(scope: string): string {
    return `${this.prefix}removing/${scope.replace(":", "/")}`;
  }

  private async announce<T>(scope: string, body: () => Promise<T>): Promise<T> {
    const key = this.announcementOf(scope);
    const { fenceSeconds: seconds, renew } = this.times;
    const write = async (): Promise<void> => {
      const since = await this.client.put(key, Buffer.from(os.hostname()));
      this.fences.set(scope, { since, seconds });
    };
    await write();
    const renewed = repeat(renew ? (seconds * 1000) / 4 : undefined, write);
    try {
      return await body();
    } finally {
      await renewed.stop();
      const fence = this.fences.get(scope);
      this.fences.delete(scope);
      // Too late, it may be another one's by now: nobody heeds ours any more.
      await this.client.delete(key, fence).catch(() => false);
    }
  }

  /** Undefined where the store does not know, or does not heed, conditions. Error: `collect-leased`. */
  private async take(): Promise<Taken | undefined> {
    const owner = randomUUID();
    for (let attempt = 1; ; attempt++) {
      const made = await this.client.putIf(this.leaseKey, contentOf(owner, 0), { absent: true });
      if (made === "unsupported") return undefined;
      if (made !== "refused") return this.heeded({ owner, ...made });
      const found = await this.client.getTagged(this.leaseKey);
      if (found !== undefined) {
        if (ownerOf(found.bytes) === owner)
          return this.heeded({ owner, tag: found.tag, answered: this.client.now() });
        if (found.age < this.times.leaseMilliseconds) throw leased(found.bytes);
        const condition = { tag: found.tag };
        const taken = await this.client.putIf(this.leaseKey, contentOf(owner, 0), condition);
        if (typeof taken === "object") return this.heeded({ owner, ...taken });
      }
      if (attempt >= takeAttempts) throw leased(found?.bytes);
    }
  }

  /** Some stores take conditions and do not heed them. */
  private async heeded(taken: Taken): Promise<Taken | undefined> {
    for (const condition of [{ absent: true }, { tag: '"00000000000000000000000000000000"' }] as const) {
      const again = await this.client.putIf(this.leaseKey, contentOf(taken.owner, 0), condition);
      if (again !== "refused") return undefined;
    }
    return taken;
  }

  private keep(taken: Taken): { readonly isHeld: () => boolean; readonly stop: () => Promise<void> } {
    const { leaseMilliseconds, renew } = this.times;
    let { tag, answered } = taken;
    let count = 0;
    let lost = false;
    let renewed = performance.now();
    const again = async (): Promise<void> => {
      const before = performance.now();
      count += 1;
      const made = await this.client.putIf(this.leaseKey, contentOf(taken.owner, count), { tag });
      if (typeof made === "object") {
        ({ tag, answered } = made);
      } else {
        // The answer to our own write may have got lost.
        const found = await this.client.getTagged(this.leaseKey);
        if (found === undefined || ownerOf(found.bytes) !== taken.owner) {
          lost = true;
          return;
        }
        tag = found.tag;
      }
      renewed = before;
    };
    const timer = repeat(renew ? leaseMilliseconds / 4 : undefined, again);
    return {
      isHeld: () => !lost && performance.now() - renewed < (leaseMilliseconds * 3) / 4,
      stop: async () => {
        await timer.stop();
        if (lost) return;
        await this.client.delete(this.leaseKey, {
          since: answered,
          seconds: Math.max(1, Math.floor(leaseMilliseconds / 2000)),
        });
      },
    };
  }
}

interface Taken {
  readonly owner: string;
  readonly tag: string;
  /** The store's time of that. */
  readonly answered: number;
}

/** One after another; what fails is tried again the next time. */
function repeat(milliseconds: number | undefined, body: () => Promise<void>): { stop(): Promise<void> } {
  if (milliseconds === undefined) return { stop: async () => undefined };
  let running: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    running = running.then(body).catch(() => undefined);
  }, milliseconds);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}

/** No two are the same, so that their entity tags are not. */
function contentOf(owner: string, count: number): Buffer {
  return Buffer.from(`${owner} ${count} ${os.hostname()}, process ${process.pid}`);
}

function ownerOf(content: Buffer): string | undefined {
  return content.toString("utf8").split(" ")[0];
}

function leased(content: Buffer | undefined): VitrineError {
  const who = content?.toString("utf8").split(" ").slice(2).join(" ").slice(0, 200);
  return new VitrineError(
    "unavailable",
    `another registry collects garbage in the same bucket${who === undefined ? "" : ` (${printable(who)})`}`,
    { code: "collect-leased", hint: "try again when it is done" },
  );
}

export function leaseLost(key: string): VitrineError {
  return new VitrineError("unavailable", "the garbage collection was too slow to go on safely", {
    code: "collect-lease-lost",
    operand: key,
    hint: "the object store or this machine stood still for a while; the next collection goes on",
  });
}
