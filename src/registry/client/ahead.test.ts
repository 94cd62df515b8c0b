import assert from "node:assert/strict";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { parseReference } from "../../image/mod.ts";
import { openRegistryClient } from "./client.ts";

const digest = `sha256:${"a".repeat(64)}`;

test("what was asked ahead is asked once, and only of this machine's registry by its full name", async () => {
  const asked: string[] = [];
  const server = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(200, {
      "content-type": "application/vnd.oci.image.manifest.v1+json",
      "content-length": 7,
      "docker-content-digest": digest,
    });
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const name = `127.0.0.1:${(server.address() as AddressInfo).port}/app:1`;
  const client = openRegistryClient({ environment: {}, uid: 1, systemDirectory: "/nowhere" });
  try {
    await client.ahead(name);
    assert.equal((await client.head(parseReference(name)))?.digest, digest);
    assert.deepEqual(asked, ["HEAD /v2/app/manifests/1"]);
    // An answer is used once: later ones are as the registry has it then.
    assert.equal((await client.head(parseReference(name)))?.digest, digest);
    assert.equal(asked.length, 2);
    for (const other of [
      name.replace(/:1$/, `@${digest}`),
      "app:1",
      "registry.invalid/app:1",
      "not a name",
    ]) {
      await client.ahead(other);
    }
    assert.equal(asked.length, 2);
  } finally {
    client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
