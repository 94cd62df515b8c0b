import assert from "node:assert/strict";
import { test } from "node:test";
import { leftAfter } from "./chunked-body.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const left = (looked: string, pieces: readonly string[], consumed: number) =>
  leftAfter(bytes(looked), pieces.map(bytes), consumed);

test("what is left of a chunk follows from the frames that were read over", () => {
  // Five of the first chunk were still to come.
  const looked = "hello\r\n6\r\n world\r\n20\r\n0123456789";
  assert.equal(left(looked, ["hello", " wor"], 14), 4);
  // It stopped at a chunk's end, between CR and LF, where the next chunk begins.
  assert.equal(left(looked, ["hello", " world"], 16), 2);
  assert.equal(left(looked, ["hello", " world"], 17), 1);
  assert.equal(left(looked, ["hello", " world"], 18), 0);
  assert.equal(left(looked, ["hello", " world", "0"], 23), 33);
  // It began at a chunk's end, behind its CR, with the next chunk.
  assert.equal(left("\r\n6\r\n world\r\n3", [" wor"], 9), 4);
  assert.equal(left("\n6\r\n world\r\n3", [" world"], 10), 2);
  assert.equal(left("6\r\n world\r\n20\r\n012", [" world", "012"], 18), 31);
  // Content that looks like a frame is told from one by the pieces.
  assert.equal(left("\r\n4\r\n1234\r\n4\r\n1234\r\n", ["\r\n4\r\n1234", "1234"], 18), 2);
  // More was read than was looked at, but within the same chunk.
  assert.equal(left(looked, ["hello", " world", "0123456789abcdef"], 38), 18);
  assert.equal(left("\r\nFFfF\r\nxyz", ["xyz"], 11), 0xffff - 1);
});

test("where it does not follow, nothing is claimed", () => {
  const looked = "hello\r\n6\r\n world\r\n20\r\n0123456789";
  const never: readonly [string, readonly string[], number][] = [
    [looked, [], 0],
    // No end of a chunk was read over.
    [looked, ["hello"], 5],
    [looked, ["hello"], 9],
    // It stopped in a size.
    [looked, ["hello", " world"], 19],
    [looked, ["hello", " world"], 21],
    // The runtime made something else of it.
    [looked, ["hello", " world", "01"], 23],
    [looked, ["hello", " wor"], 16],
    [looked, ["hell", "o world"], 14],
    [looked, ["hel", "lo", " wor"], 14],
    // Content that looks like a frame.
    ["\r\n6\r\n world", ["\r\n6\r\n wor"], 9],
    // The next frame was not looked at, is the last, has an extension, or is none.
    ["hello\r\n6", ["hello", " wor"], 14],
    ["hello\r\n0\r\n\r\n", ["hello", ""], 12],
    ["hello\r\n6;a=b\r\n world", ["hello", " wor"], 18],
    ["hello\n6\n world", ["hello", " wor"], 12],
    ["hello\r\n\r\n", ["hello", "x"], 9],
    ["hello\r\n1000000000000\r\nx", ["hello", "x"], 23],
  ];
  for (const [text, pieces, consumed] of never) {
    assert.equal(left(text, pieces, consumed), undefined, `${text} ${pieces.join("|")} ${consumed}`);
  }
});
