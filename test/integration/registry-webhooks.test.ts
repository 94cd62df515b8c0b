/** Webhooks of a registry that is killed: what was acknowledged is told, after the next start where it has to be. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import * as path from "node:path";
import { describe, it } from "node:test";
import { TestClient } from "../../src/registry/server/testing.ts";
import { serve } from "../support/served.ts";
import { until } from "./run-support.ts";
import { makeWorld } from "./support.ts";

interface Told {
  readonly id: string;
  readonly type: string;
  readonly data: { readonly digest?: string };
}

describe("webhooks of a registry that is killed", () => {
  it("tell of every push that was acknowledged, by the same id each time", async () => {
    await using world = makeWorld("webhooks");
    let up = false;
    const bodies = new Map<string, string>();
    const told: Told[] = [];
    const hook = createServer(async (request, response) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
      const body = Buffer.concat(chunks).toString();
      const event: Told = JSON.parse(body);
      assert.equal(bodies.get(event.id) ?? body, body);
      bodies.set(event.id, body);
      if (up) told.push(event);
      response.writeHead(up ? 204 : 503).end();
    });
    await new Promise<void>((resolve) => hook.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
      const config = path.join(world.directory, "registry.json");
      fs.writeFileSync(config, JSON.stringify({ webhooks: [{ url }] }));
      const flags = ["--root", path.join(world.directory, "registry"), "--config", config];
      const acknowledged = new Set<string>();
      for (const kill of [1, 7, 20]) {
        const registry = await serve(world, flags);
        const ended = new Promise((resolve) => registry.process.once("exit", resolve));
        const client = new TestClient(`http://${registry.address}`);
        const pusher = async (worker: number): Promise<void> => {
          for (let at = 0; ; at++) {
            const annotations = { of: `${kill} ${worker} ${at}` };
            acknowledged.add((await client.pushImage("a", `t${worker}`, { annotations })).digest);
            if (acknowledged.size >= kill) registry.process.kill("SIGKILL");
          }
        };
        // Each ends with its connection.
        await Promise.allSettled([pusher(1), pusher(2)]);
        await ended;
      }
      {
        // An orderly stop with a receiver that is down loses nothing either.
        await using registry = await serve(world, flags);
        const client = new TestClient(`http://${registry.address}`);
        acknowledged.add((await client.pushImage("a", "last", { annotations: { of: "last" } })).digest);
        const metrics = (await client.get("/metrics")).text();
        const waiting = Number(/^vitrine_registry_events_waiting (\d+)$/m.exec(metrics)?.[1]);
        assert.ok(waiting >= acknowledged.size, metrics);
      }
      up = true;
      await using registry = await serve(world, flags);
      const client = new TestClient(`http://${registry.address}`);
      const next = (await client.pushImage("a", "next", { annotations: { of: "next" } })).digest;
      await until(() => told.some(({ data }) => data.digest === next) || undefined, "the newest event");
      const manifests = new Set(
        told.flatMap(({ type, data }) => (type.endsWith(".manifest.push") ? (data.digest ?? []) : [])),
      );
      for (const digest of acknowledged) assert.ok(manifests.has(digest), digest);
    } finally {
      hook.closeAllConnections();
      await new Promise((resolve) => hook.close(resolve));
    }
  });
});
