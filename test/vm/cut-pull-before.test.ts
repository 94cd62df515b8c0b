/**
 * A large pull does not wait for the disk (src/store/unflushed.ts). Here the power really goes before anything is flushed: the kernel
 * has written the names, and of the content what it liked, which is nothing.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { fixtures, helper, vitrine } from "../integration/support.ts";
import { bootID, image, largeBytes, type Note, noteFile, serve } from "./cut-pull.ts";
import { good, root } from "./reboot.ts";

test("the power goes after a pull, and nobody has flushed it", async () => {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "vt-cut-"));
  const large = randomBytes(largeBytes);
  fs.writeFileSync(path.join(work, "large"), large);
  const tarball = path.join(work, "image.tar");
  fs.copyFileSync(path.join(fixtures, "probe.tar"), tarball);
  assert.equal(spawnSync("tar", ["-C", work, "-rf", tarball, "large"]).status, 0);
  await using _registry = await serve();
  good("import", tarball, "large");
  good("push", "-q", "large", image);
  good("rmi", "--all", "--force");
  const sha256 = createHash("sha256").update(large).digest("hex");
  const note: Note = { boot: fs.readFileSync(bootID, "utf8"), sha256 };
  fs.writeFileSync(noteFile, JSON.stringify(note));
  assert.equal(spawnSync("sync").status, 0);

  // The kernel is not to be faster than the test.
  fs.writeFileSync("/proc/sys/vm/dirty_writeback_centisecs", "0");
  const neverFlushes = path.join(work, "never-flushes");
  fs.writeFileSync(
    neverFlushes,
    `#!/bin/sh\ncase $(readlink /proc/$$/fd/0) in */tmp/flush.*) exit 1;; esac\nexec ${helper} "$@"\n`,
    { mode: 0o755 },
  );
  const env = { ...process.env, VITRINE_HELPER: neverFlushes };
  const pulled = spawnSync(vitrine, ["pull", "-q", image], { env, encoding: "utf8" });
  assert.equal(pulled.status, 0, pulled.stderr);
  assert.equal(fs.readdirSync(path.join(root, "unflushed")).length, 1);
});
