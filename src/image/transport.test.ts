import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../base/mod.ts";
import { parseTransport } from "./transport.ts";

test("places of images", () => {
  const alpine = { domain: "docker.io", path: "library/alpine", tag: "latest" };
  for (const [text, expected] of [
    ["docker://alpine", { transport: "docker", reference: alpine }],
    ["docker-archive:/tmp/a.tar", { transport: "docker-archive", path: "/tmp/a.tar" }],
    ["docker-archive:a.tar:alpine", { transport: "docker-archive", path: "a.tar", reference: alpine }],
    ["docker-archive:a.tar:@2", { transport: "docker-archive", path: "a.tar", index: 2 }],
    ["oci:dir", { transport: "oci", path: "dir" }],
    ["oci:./dir:v1", { transport: "oci", path: "./dir", name: "v1" }],
    ["oci:dir:localhost:5000/a:b", { transport: "oci", path: "dir", name: "localhost:5000/a:b" }],
    ["oci-archive:a.tar:@0", { transport: "oci-archive", path: "a.tar", index: 0 }],
    ["dir:/tmp/x:y", { transport: "dir", path: "/tmp/x:y" }],
  ] as const) {
    assert.deepEqual(parseTransport(text), expected, text);
  }
});

test("what begins with no transport is left to others", () => {
  for (const text of ["alpine", "alpine:latest", "localhost:5000/oci:x", "./oci", "", ":x", "/a/b.tar"]) {
    assert.equal(parseTransport(text), undefined, text);
  }
});

test("incomplete and foreign places are refused", () => {
  for (const [text, code] of [
    ["docker:alpine", "transport-invalid"],
    ["oci:", "transport-invalid"],
    ["oci::x", "transport-invalid"],
    ["oci:dir:", "transport-invalid"],
    ["oci:dir:@x", "transport-invalid"],
    ["dir:", "transport-invalid"],
    ["docker-archive:a.tar:@-1", "transport-invalid"],
    ["docker-archive:a.tar:UPPER", "reference-uppercase"],
    ["docker-daemon:alpine", "transport-unsupported"],
    ["containers-storage:alpine", "transport-unsupported"],
  ] as const) {
    assert.throws(
      () => parseTransport(text),
      (error: unknown) => error instanceof VitrineError && error.code === code,
      text,
    );
  }
});

test("a store of another tool is told with the way out of it", () => {
  for (const [text, hint] of [
    ["docker-daemon:app:1", /docker save -o image\.tar app:1,/],
    ["containers-storage:app", /podman save .* app,/],
    ["ostree:app", /vitrine:NAME/],
  ] as const) {
    assert.throws(
      () => parseTransport(text),
      (error: unknown) => error instanceof VitrineError && hint.test(error.hint ?? ""),
      text,
    );
  }
});
