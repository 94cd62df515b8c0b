/** The registry's page in a real browser, with hostile names and annotations, with and without scripts. */
import assert from "node:assert/strict";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { startRegistry } from "../../src/registry/mod.ts";
import { makePages } from "../../src/registry/server/mod.ts";
import { TestClient } from "../../src/registry/server/testing.ts";
import { type Browser, startBrowser } from "../support/browser.ts";
import { cannotRun, findProgram, makeWorld } from "./support.ts";

const world = makeWorld("page");
const program = findProgram("chromium");
let browser: Browser | undefined;
let registry: Awaited<ReturnType<typeof startRegistry>> | undefined;

before(async () => {
  if (program === undefined) return;
  registry = await startRegistry({ pages: makePages({}), root: path.join(world.directory, "registry") });
  const client = new TestClient(registry.url);
  await client.pushImage("team/app", "v1", {
    annotations: {
      "<script>document.title='run'</script>": '"><img src=x onerror="document.title=\'run\'">\u202e',
      "org.opencontainers.image.source": "javascript:document.title='run'",
    },
  });
  await client.pushImage("team/app", "v2");
  await client.pushImage("alone", "latest");
  browser = await startBrowser(program, world.directory);
});
after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

describe("the registry's page", () => {
  for (const scripts of [true, false]) {
    it(`leads from repositories to tags to a manifest ${scripts ? "" : "without JavaScript"}`, async (t) => {
      if (browser === undefined || registry === undefined) return cannotRun(t, "no chromium");
      await browser.setScripts(scripts);
      await browser.open(registry.url);
      assert.deepEqual(
        await browser.evaluate("[...document.querySelectorAll('td a')].map((a) => a.textContent)"),
        ["alone", "team/app"],
      );
      await browser.follow('a[href="/r/team/app"]');
      assert.equal(await browser.evaluate("document.querySelector('h1').textContent"), "team/app");
      assert.deepEqual(
        await browser.evaluate("[...document.querySelectorAll('td a')].map((a) => a.textContent)"),
        ["v1", "v2"],
      );
      await browser.follow('a[href="/r/team/app/-/v1"]');
      assert.equal(await browser.evaluate("document.querySelector('h1').textContent"), "team/app:v1");
      assert.match(
        await browser.evaluate<string>("document.querySelector('pre').textContent"),
        new RegExp(`^docker pull ${registry.address}/team/app:v1\n`),
      );
      // The style is there: the policy of the page lets it in.
      assert.equal(
        await browser.evaluate("getComputedStyle(document.querySelector('table')).borderCollapse"),
        "collapse",
      );
    });
  }

  it("finds by a part of a name, as the form asks without JavaScript", async (t) => {
    if (browser === undefined || registry === undefined) return cannotRun(t, "no chromium");
    await browser.setScripts(false);
    await browser.open(`${registry.url}/?q=APP`);
    assert.deepEqual(
      await browser.evaluate("[...document.querySelectorAll('td a')].map((a) => a.textContent)"),
      ["team/app"],
    );
    assert.equal(await browser.evaluate("document.querySelector('input').value"), "APP");
    // The policy of the page lets the form ask.
    await browser.follow("button");
    assert.match(await browser.evaluate<string>("location.href"), /\/\?q=APP$/);
    assert.deepEqual(browser.complaints, []);
  });

  it("runs nothing of what was pushed, and shows it as text", async (t) => {
    if (browser === undefined || registry === undefined) return cannotRun(t, "no chromium");
    await browser.setScripts(true);
    await browser.open(`${registry.url}/r/team/app/-/v1`);
    assert.equal(await browser.evaluate("document.title"), "team/app v1");
    assert.equal(await browser.evaluate("document.querySelectorAll('script, img, iframe').length"), 0);
    assert.match(
      await browser.evaluate<string>("document.body.textContent"),
      /<script>document\.title='run'<\/script>/,
    );
    assert.equal(await browser.evaluate("document.querySelectorAll('a[href^=javascript]').length"), 0);
  });

  it("fits a narrow screen, and a wide one", async (t) => {
    if (browser === undefined || registry === undefined) return cannotRun(t, "no chromium");
    await browser.open(`${registry.url}/r/team/app/-/v1`);
    const overflow = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    for (const width of [360, 1400]) {
      await browser.resize(width, 800);
      assert.equal(await browser.evaluate(overflow), true, `${width} pixels`);
    }
    assert.deepEqual(browser.complaints, []);
  });
});
