import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VitrineError } from "../../base/mod.ts";
import type { Store } from "../../store/mod.ts";
import { helloName, namesHello } from "./embedded-hello.ts";
import { embeddedName, resolveImage } from "./resolve.ts";

describe("resolveImage", () => {
  it("knows the embedded image by the name it gets", () => {
    assert.equal(embeddedName, helloName);
    assert.ok(namesHello("hello") && namesHello(embeddedName) && !namesHello("docker.io/library/hello"));
  });
  const missing = new VitrineError("not-found", "no", { code: "image-not-found" });
  const storeWith = (...names: readonly string[]) =>
    ({
      resolve(name: string) {
        if (names.includes(name)) return { id: name };
        throw missing;
      },
    }) as unknown as Store;
  it("takes the user's own hello before the embedded one", async () => {
    assert.equal((await resolveImage(storeWith("hello", embeddedName), "hello")).id, "hello");
    assert.equal((await resolveImage(storeWith(embeddedName), "hello:latest")).id, embeddedName);
  });
  it("does not take the embedded one for another name", async () => {
    const notFound = (error: { code?: string; hint?: string }) =>
      error.code === "image-not-found" && error.hint !== undefined;
    await assert.rejects(resolveImage(storeWith(embeddedName), "hello:1"), notFound);
    await assert.rejects(resolveImage(storeWith(embeddedName), "docker.io/library/hello"), notFound);
  });
});
