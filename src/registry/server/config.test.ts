import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseServeConfig } from "./config.ts";
import { parseAddress } from "./serve.ts";

describe("parseServeConfig", () => {
  const yaml = `
addr: :5000
auth:
  htpasswd: users
  rules:
    - {repositories: "**", users: [anonymous], actions: [pull]}
rules:
  - repositories: team/**
    quotaBytes: 1000
    immutableTags: [v*]
    retention: {keepTags: 3, untaggedDays: 7}
webhooks:
  - {url: "https://hooks.example/x", events: [push], headers: {X-Key: secret}}
mirror: {url: "https://registry-1.docker.io", tagSeconds: 30}
`;
  it("reads YAML, and JSON of the same", async () => {
    const config = await parseServeConfig(yaml, "f");
    assert.equal(config.addr, ":5000");
    assert.deepEqual(config.auth, {
      htpasswd: "users",
      rules: [{ repositories: "**", users: ["anonymous"], actions: ["pull"] }],
    });
    assert.deepEqual(config.rules?.[0]?.retention, { keepTags: 3, untaggedDays: 7 });
    assert.deepEqual(config.webhooks?.[0]?.headers, { "X-Key": "secret" });
    assert.equal(config.mirror?.tagSeconds, 30);
    assert.deepEqual(await parseServeConfig(JSON.stringify(config), "f"), config);
    assert.deepEqual(await parseServeConfig("", "f"), {});
  });
  it("refuses what does not exist or does not fit, by its place", async () => {
    for (const [text, place] of [
      ["quota: 1", "/quota"],
      ["rules: [{repositories: a, quotabytes: 1}]", "/rules/0/quotabytes"],
      ["rules: [{}]", "/rules/0/repositories"],
      ["readOnly: 1", "/readOnly"],
      ["auth: {}", "/auth"],
      [
        "auth: {htpasswd: f, rules: [{repositories: a, users: [b], actions: [fly]}]}",
        "/auth/rules/0/actions/0",
      ],
      ["webhooks: [{url: 'file:///etc/passwd'}]", "/webhooks/0/url"],
      ["mirror: {url: nowhere}", "/mirror/url"],
      ["mirror: {url: 'https://host/path'}", "/mirror/url"],
      ["mirror: {url: 'https://user:secret@host'}", "/mirror/url"],
      ["s3: {endpoint: 'http://h', bucket: b, prefix: 'a//b'}", "/s3/prefix"],
      ["stopSeconds: -1", "/stopSeconds"],
      ["rules: [{repositories: a, quotaBytes: -1}]", "/rules/0/quotaBytes"],
      ["[]", ""],
    ]) {
      await assert.rejects(
        parseServeConfig(text!, "f"),
        { code: "registry-config-invalid", operand: place },
        text,
      );
    }
    await assert.rejects(parseServeConfig("a: [", "f"), { code: "registry-config-invalid" });
  });
});

it("a prefix in the bucket may have slashes around it", async () => {
  for (const prefix of ["a/b", "/a/b/", "a/b/"]) {
    const { s3 } = await parseServeConfig(`s3: {endpoint: "http://h", bucket: b, prefix: "${prefix}"}`, "f");
    assert.equal(s3?.prefix, "a/b");
  }
  assert.equal(
    (await parseServeConfig('s3: {endpoint: "http://h", bucket: b, prefix: "/"}', "f")).s3?.prefix,
    "",
  );
});

describe("parseAddress", () => {
  it("reads what people write", () => {
    assert.deepEqual(parseAddress("127.0.0.1:5000"), { host: "127.0.0.1", port: 5000 });
    assert.deepEqual(parseAddress(":80"), { host: "::", port: 80 });
    assert.deepEqual(parseAddress("[::1]:80"), { host: "::1", port: 80 });
    assert.deepEqual(parseAddress("5000"), { host: "127.0.0.1", port: 5000 });
    for (const bad of ["", "a", "a:b", "a:99999", "::1:80", "a:1:2"]) {
      assert.throws(() => parseAddress(bad), { code: "address-invalid" }, bad);
    }
  });
});
