import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "smol-toml";
import { parsePlainToml } from "./plain-toml.ts";

const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

test("what is read plainly is what the parser reads", () => {
  for (const text of [
    "",
    '# only comments\n\n\t# indented, with [a] = "table"\n',
    '[aliases]\n  # almalinux\n  "almalinux" = "docker.io/library/almalinux"\n"b/c"="quay.io/b/c" # both\r\nbare-key_1 = ""\n',
    '[aliases]\n"__proto__" = "docker.io/x"\nconstructor = "docker.io/y"\n[other]\na = "b"\n',
  ]) {
    const read = parsePlainToml(text);
    assert.notEqual(read, undefined, text);
    assert.deepEqual(
      Object.entries(read!).map(([name, table]) => [name, Object.entries(table)]),
      Object.entries(parse(text)).map(([name, table]) => [name, Object.entries(plain(table))]),
      text,
    );
  }
});

test("all else is left to the parser", () => {
  for (const text of [
    'a = "b"\n',
    '[aliases]\na = "b"\na = "c"\n',
    "[aliases]\n[aliases]\n",
    "[[registry]]\n",
    '[a.b]\nc = "d"\n',
    '[aliases]\na = "b\\u0041"\n',
    "[aliases]\na = 'b'\n",
    "[aliases]\na = 1\n",
    '[aliases]\na = """b"""\n',
    '[aliases]\na.b = "c"\n',
    '[aliases]\na = "b" c\n',
    "[aliases]\na = [\n",
    "# \u0001\n",
    '[aliases]\n"\u00e4" = "b"\n',
  ]) {
    assert.equal(parsePlainToml(text), undefined, text);
  }
});
