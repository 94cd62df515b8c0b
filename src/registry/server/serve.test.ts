import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { parseServeConfig } from "./config.ts";
import { serveRegistry } from "./serve.ts";

test("limits and the time of a stop are those of the config", async () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "vt-serve-"));
  const config = await parseServeConfig("addr: 127.0.0.1:0\nlimits: {blobBytes: 7}\nstopSeconds: 3", "f");
  {
    await using served = await serveRegistry({ ...config, root, onProblem: () => undefined });
    const { limits } = served.registry.service;
    assert.equal(limits.blobBytes, 7);
    assert.partialDeepStrictEqual(limits, { stopMilliseconds: 3000 });
  }
  fs.rmSync(root, { recursive: true });
});
