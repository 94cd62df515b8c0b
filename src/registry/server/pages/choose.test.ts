import assert from "node:assert/strict";
import { test } from "node:test";
import { choose } from "./choose.ts";
import { more } from "./layout.ts";

const names = Array.from({ length: 1200 }, (_, index) => `v${1000 + index}`);

test("names are shown 500 at a time, all of them in the end", () => {
  const seen: string[] = [];
  let query = new URLSearchParams();
  for (let page = 0; page < 3; page++) {
    const { fitting, shown } = choose(query, names);
    assert.equal(fitting.length, names.length);
    assert.equal(shown.length, page < 2 ? 500 : 200);
    seen.push(...shown);
    const link = more(shown, fitting, "/r/a", "");
    query = new URLSearchParams(
      /href="\/r\/a\?([^"]*)"/.exec(typeof link === "string" ? "" : link.text)?.[1],
    );
  }
  assert.deepEqual(seen, names);
  assert.equal(query.size, 0);
});

test("a part of a name finds it, in whatever case, and the link to more asks for the same", () => {
  const { asked, fitting, shown } = choose(new URLSearchParams({ q: " V1 " }), names);
  assert.equal(asked, "V1");
  assert.equal(fitting.length, 1000);
  const link = more(shown, fitting, "/", 'V1 "&');
  assert.ok(typeof link !== "string" && link.text.includes('href="/?q=V1%20%22%26&amp;after=v1499"'));
  assert.deepEqual(choose(new URLSearchParams({ q: "v2199" }), names).shown, ["v2199"]);
  assert.deepEqual(choose(new URLSearchParams({ q: "w" }), names).shown, []);
});
