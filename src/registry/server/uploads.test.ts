import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { it } from "node:test";
import { digestOf } from "../../oci/mod.ts";
import { UploadArea } from "./uploads.ts";

async function* chunk(text: string): AsyncGenerator<Uint8Array, void> {
  yield Buffer.from(text);
}

it("uploads that nobody goes on with do not keep their files open, and are there all the same", async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-uploads-"));
  try {
    const area = new UploadArea(directory);
    const first = await area.create("a", "sha256");
    await first.append(chunk("begun, "), 1000);
    const used = await area.create("a", "sha256");
    const stopped = Promise.withResolvers<void>();
    const using = used.use(
      () => undefined,
      () => stopped.promise,
    );
    for (let count = 0; count < 400; count++) await area.create("a", "sha256");
    assert.equal(first.ended, true);
    assert.equal(used.ended, false, "one that is in use stays");
    assert.ok(area.active <= 257, `${area.active} are open`);
    const again = (await area.find("a", first.id))!;
    assert.equal(again.size, 7);
    await again.append(chunk("ended"), 1000);
    assert.equal(await again.digest("sha256"), digestOf(Buffer.from("begun, ended")));
    stopped.resolve();
    await using;
    await area.close();
    assert.equal(area.active, 0);
    assert.equal(fs.readdirSync(directory).length, 402);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
