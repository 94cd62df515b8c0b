import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VitrineError } from "../../base/mod.ts";
import { OutputClosed } from "./context.ts";
import { failureOf } from "./failure.ts";
import { Interrupted, interruptible } from "./interrupt.ts";

describe("failureOf", () => {
  const error = new VitrineError("not-found", "no image x\x1b[2J", {
    code: "image-not-found",
    hint: "do this",
  });

  it("tells the message and the hint, printable", () => {
    const failure = failureOf(error, false);
    assert.equal(failure.text, "error: no image x\\e[2J\nhint: do this\n");
    assert.equal(failure.status, 125);
  });
  it("lets a command map a kind to a status", () => {
    assert.equal(failureOf(error, false, { exitCodes: { "not-found": 1 } }).status, 1);
  });
  it("gives the statuses of a shell to commands that do not run", () => {
    assert.equal(
      failureOf(new VitrineError("not-found", "x", { code: "command-not-found" }), false).status,
      127,
    );
    assert.equal(
      failureOf(new VitrineError("denied", "x", { code: "command-not-executable" }), false).status,
      126,
    );
  });
  it("shows causes only when asked to", () => {
    const outer = new VitrineError("internal", "outer", { code: "o", cause: new Error("inner") });
    assert.doesNotMatch(failureOf(outer, false).text, /inner/);
    assert.match(failureOf(outer, true).text, /caused by: Error: inner/);
  });
  it("survives a cause that is its own", () => {
    const loop = new Error("loop");
    loop.cause = loop;
    assert.match(failureOf(loop, true).text, /loop/);
  });
  it("puts what the machine refused into words", () => {
    for (const code of ["ENOSPC", "EROFS", "EACCES", "EDQUOT"]) {
      const system = Object.assign(new Error("raw"), { code, path: "/x" });
      const { text, status } = failureOf(system, false);
      assert.match(text, /^error: \/x: /);
      assert.match(text, /\nhint: /);
      assert.equal(status, 125);
    }
  });
  it("names a fault of its own without source text", () => {
    const { text } = failureOf(new TypeError("undefined is not a function"), false);
    assert.match(text, /^error: internal error: undefined is not a function\nhint: .*--debug/);
    assert.doesNotMatch(text, /^\s+at /m);
  });
  it("is quiet when the reader left or the user stopped it", () => {
    assert.deepEqual(failureOf(new OutputClosed(), true), { status: 141, text: "" });
    assert.deepEqual(failureOf(Object.assign(new Error(), { code: "EPIPE" }), true), {
      status: 141,
      text: "",
    });
    assert.deepEqual(failureOf(new Interrupted("SIGINT"), true), { status: 130, text: "" });
    assert.deepEqual(failureOf(new Interrupted("SIGTERM"), true), { status: 143, text: "" });
  });
});

describe("interruptible", () => {
  it("throws out of a read that waits, and runs what cleans up", async () => {
    let cleaned = false;
    async function* silent(): AsyncGenerator<Uint8Array, void> {
      yield new Uint8Array(1);
      await new Promise((resolve) => setTimeout(resolve, 60_000).unref());
    }
    const done = interruptible(async ({ guard }) => {
      try {
        for await (const _ of guard(silent())) process.emit("SIGINT");
      } finally {
        cleaned = true;
      }
    });
    await assert.rejects(done, Interrupted);
    assert.equal(cleaned, true);
    assert.equal(process.listenerCount("SIGINT"), 0);
  });
  it("does not wait for what no stream tells of", async () => {
    const done = interruptible(async () => {
      setTimeout(() => process.emit("SIGTERM"), 10);
      await new Promise((resolve) => setTimeout(resolve, 60_000).unref());
    });
    await assert.rejects(done, { status: 143 });
    assert.equal(process.listenerCount("SIGTERM"), 0);
  });
  it("calls it an interruption when the terminal's signal reached a helper first", async () => {
    const failed = new VitrineError("internal", "the helper failed", { code: "apply-failed" });
    const done = interruptible(async () => {
      setTimeout(() => process.emit("SIGINT"), 10);
      throw failed;
    });
    await assert.rejects(done, Interrupted);
    const alone = interruptible(async () => {
      throw failed;
    });
    await assert.rejects(alone, failed);
  });
});
