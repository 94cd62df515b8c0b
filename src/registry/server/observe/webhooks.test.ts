/** Events that wait: what outlives the process, and what is given up. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { describe, it } from "node:test";
import { EventJournal } from "./event-journal.ts";
import type { RegistryEvent } from "./events.ts";
import { Metrics } from "./metrics.ts";
import { startWebhooks, type WebhookOptions } from "./webhooks.ts";

const event = (repository: string): RegistryEvent => ({ type: "push", what: "manifest", repository });

function temporary(): Disposable & { readonly path: string } {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-events-"));
  return { path: directory, [Symbol.dispose]: () => fs.rmSync(directory, { recursive: true, force: true }) };
}

interface Received {
  readonly id: string;
  readonly subject: string;
}

/** Answers with what `answer` says, and keeps what it took. */
async function receiver(answer: (received: Received) => number) {
  const taken: Received[] = [];
  let asked = 0;
  const waiting: (() => void)[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
    const received = JSON.parse(Buffer.concat(chunks).toString());
    const status = answer(received);
    if (status === 200) taken.push(received);
    asked += 1;
    response.writeHead(status).end();
    for (const look of waiting) look();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret`,
    taken,
    /** When it was asked so often. */
    asked: (times: number) =>
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (asked >= times) resolve();
        };
        waiting.push(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe("webhooks with a directory", () => {
  it("send after a restart what was not taken, in order, as the same events", async () => {
    using directory = temporary();
    let up = false;
    const ids: string[] = [];
    await using hook = await receiver(({ id }) => {
      ids.push(id);
      return up ? 200 : 503;
    });
    const options: WebhookOptions = { source: "test", directory: directory.path, retryMilliseconds: [1] };
    {
      const events = startWebhooks([hook], options);
      for (const name of ["a", "b", "c"]) events.emit(event(name));
      await hook.asked(3);
      assert.equal(events.waiting, 3);
      await events.close(60_000);
    }
    up = true;
    const before = ids.length;
    const events = startWebhooks([hook], options);
    events.emit(event("d"));
    await hook.asked(before + 4);
    await events.close(60_000);
    assert.deepEqual(
      hook.taken.map(({ subject }) => subject),
      ["a", "b", "c", "d"],
    );
    assert.equal(new Set(ids.slice(0, before + 1)).size, 1);
    const [log] = fs.readdirSync(directory.path).filter((name) => name.endsWith(".log"));
    assert.equal(fs.statSync(path.join(directory.path, log!)).size, 0);
    const again = startWebhooks([hook], options);
    assert.equal(again.waiting, 0);
    await again.close(60_000);
  });
  it("drop and tell what the receiver refuses, or does not take for too long, and go on", async () => {
    using directory = temporary();
    await using hook = await receiver(({ subject }) =>
      subject === "bad" ? 400 : subject === "late" ? 503 : 200,
    );
    const metrics = new Metrics();
    const told: string[] = [];
    let now = Date.now();
    const events = startWebhooks([hook], {
      source: "test",
      directory: directory.path,
      retryMilliseconds: [0],
      keepMilliseconds: 1000,
      now: () => now++,
      metrics: () => metrics,
      onProblem: (message) => told.push(message),
    });
    for (const name of ["bad", "late", "good"]) events.emit(event(name));
    await hook.asked(4);
    now += 1000;
    while (hook.taken.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await events.close(60_000);
    assert.deepEqual(
      hook.taken.map(({ subject }) => subject),
      ["good"],
    );
    assert.match(metrics.render(), /^vitrine_registry_events_dropped_total 2$/m);
    assert.match(
      told[0]!,
      /^webhook http:\/\/127\.0\.0\.1:\d+: event .* of bad\) is given up: the receiver answered 400$/,
    );
    assert.match(told[1]!, /of late\) is given up: the receiver answered 503, for too long$/);
    assert.ok(!told.some((message) => message.includes("secret")));
  });
  it("go on where the disk fails, and tell", async () => {
    using directory = temporary();
    await using hook = await receiver(() => 200);
    const told: string[] = [];
    const events = startWebhooks([hook], {
      source: "test",
      directory: directory.path,
      onProblem: (message) => told.push(message),
    });
    const names = Array.from({ length: 8 }, (_, at) => String(at).repeat(1024 * 1024));
    for (const name of names) events.emit(event(name));
    // The files are open; a new one cannot be made any more.
    fs.rmSync(directory.path, { recursive: true });
    await hook.asked(names.length);
    await events.close(60_000);
    assert.deepEqual(
      hook.taken.map(({ subject }) => subject[0]),
      names.map((name) => name[0]),
    );
    assert.ok(told.length > 0);
    for (const message of told) assert.match(message, /stays on disk, and may be sent again .*ENOENT/);
  });
  it("forget, and tell, what waits for a webhook that is no more", async () => {
    using directory = temporary();
    await using hook = await receiver(() => 503);
    const options: WebhookOptions = { source: "test", directory: directory.path, retryMilliseconds: [1] };
    const first = startWebhooks([hook], options);
    first.emit(event("a"));
    await hook.asked(1);
    await first.close(60_000);
    const told: string[] = [];
    const events = startWebhooks([], { ...options, onProblem: (message) => told.push(message) });
    await events.close(60_000);
    assert.deepEqual(told, ["events of a webhook that the config has no more are dropped"]);
    assert.deepEqual(fs.readdirSync(directory.path), []);
  });
});

describe("EventJournal", () => {
  it("keeps what was appended, but for what a crash cut off", () => {
    using directory = temporary();
    {
      using journal = new EventJournal(directory.path, "k");
      assert.deepEqual(
        [1, 2, 3].map((of) => journal.append(`{"of":${of}}`)),
        [1, 2, 3],
      );
      journal.done(1);
    }
    fs.appendFileSync(path.join(directory.path, "k.log"), '4 {"of":');
    using journal = new EventJournal(directory.path, "k");
    assert.deepEqual(journal.left, [
      { number: 2, event: '{"of":2}' },
      { number: 3, event: '{"of":3}' },
    ]);
    assert.equal(journal.append('{"of":4}'), 4);
    using other = new EventJournal(directory.path, "k");
    assert.deepEqual(
      other.left.map(({ number }) => number),
      [2, 3, 4],
    );
  });
  it("takes as much room as what waits, in time, and none when nothing does", () => {
    using directory = temporary();
    const file = path.join(directory.path, "k.log");
    using journal = new EventJournal(directory.path, "k");
    const large = JSON.stringify({ text: "x".repeat(1024 * 1024) });
    journal.append(large);
    for (let number = 2; number <= 20; number++) {
      journal.append(large);
      journal.done(number - 1);
    }
    assert.ok(fs.statSync(file).size < 8 * large.length, String(fs.statSync(file).size));
    using other = new EventJournal(directory.path, "k");
    assert.deepEqual(
      other.left.map(({ number, event }) => [number, event.length]),
      [[20, large.length]],
    );
    journal.done(20);
    assert.equal(fs.statSync(file).size, 0);
    assert.equal(journal.append("{}"), 21);
  });
});
