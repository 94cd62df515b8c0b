import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../base/mod.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  imageIdPrefix,
  isFullImageId,
  parseReference,
  repositoryName,
} from "./reference.ts";

const hex = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";

/** Written → full → short, as Docker's `reference` package has them. */
const valid: readonly (readonly [text: string, full: string, familiar: string])[] = [
  ["alpine", "docker.io/library/alpine:latest", "alpine:latest"],
  ["alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"],
  [`alpine@sha256:${hex}`, `docker.io/library/alpine@sha256:${hex}`, `alpine@sha256:${hex}`],
  [`alpine:3@sha256:${hex}`, `docker.io/library/alpine:3@sha256:${hex}`, `alpine:3@sha256:${hex}`],
  ["user/app", "docker.io/user/app:latest", "user/app:latest"],
  ["library/debian", "docker.io/library/debian:latest", "debian:latest"],
  ["library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"],
  ["docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"],
  ["index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"],
  ["index.docker.io/user/app", "docker.io/user/app:latest", "user/app:latest"],
  ["localhost/app", "localhost/app:latest", "localhost/app:latest"],
  ["localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"],
  ["localhost", "docker.io/library/localhost:latest", "localhost:latest"],
  ["quay.io/team/sub/app", "quay.io/team/sub/app:latest", "quay.io/team/sub/app:latest"],
  ["127.0.0.1:5000/debian", "127.0.0.1:5000/debian:latest", "127.0.0.1:5000/debian:latest"],
  ["[fc00::1]:5000/docker", "[fc00::1]:5000/docker:latest", "[fc00::1]:5000/docker:latest"],
  ["[2001:db8::1]/repo:tag", "[2001:db8::1]/repo:tag", "[2001:db8::1]/repo:tag"],
  ["test.com:5000", "docker.io/library/test.com:5000", "test.com:5000"],
  ["foo_bar.com:8080", "docker.io/library/foo_bar.com:8080", "foo_bar.com:8080"],
  ["test:5000/repo", "test:5000/repo:latest", "test:5000/repo:latest"],
  ["LOCALDOMAIN/debian", "LOCALDOMAIN/debian:latest", "LOCALDOMAIN/debian:latest"],
  ["docker---rules/docker", "docker.io/docker---rules/docker:latest", "docker---rules/docker:latest"],
  ["dock__er/a.b_c-d", "docker.io/dock__er/a.b_c-d:latest", "dock__er/a.b_c-d:latest"],
  ["xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com"],
  ["lowercase:Uppercase_.-", "docker.io/library/lowercase:Uppercase_.-", "lowercase:Uppercase_.-"],
  [`docker.io/${hex}`, `docker.io/library/${hex}:latest`, `${hex}:latest`],
  ["cafe", "docker.io/library/cafe:latest", "cafe:latest"],
];

test("references are normalised, and shortened for display", () => {
  for (const [text, full, familiar] of valid) {
    const reference = parseReference(text);
    assert.equal(formatReference(reference), full, text);
    assert.equal(familiarReference(reference), familiar, text);
    // What we write parses to the same value, in both forms.
    assert.deepEqual(parseReference(full), reference, text);
    if (familiarName(reference) !== hex && text !== "localhost") {
      assert.deepEqual(parseReference(familiar), reference, text);
    }
  }
});

test("the repository has no tag", () => {
  const reference = parseReference(`quay.io/a/b:c@sha256:${hex}`);
  assert.equal(repositoryName(reference), "quay.io/a/b");
  assert.equal(familiarName(parseReference("docker.io/library/a")), "a");
  assert.deepEqual(reference, { domain: "quay.io", path: "a/b", tag: "c", digest: `sha256:${hex}` });
});

test("the longest parts are accepted", () => {
  parseReference(`example.com/${"a".repeat(255)}:${"t".repeat(128)}`);
  parseReference(`${"a/".repeat(127)}a`);
  parseReference(`a@sha512:${"f".repeat(128)}`);
});

const invalid: readonly (readonly [text: string, code: string])[] = [
  ["", "reference-invalid"],
  [":tag", "reference-invalid"],
  [`@sha256:${hex}`, "reference-invalid"],
  ["https://github.com/docker/docker", "reference-invalid"],
  ["docker://alpine", "reference-invalid"],
  ["-docker", "reference-invalid"],
  ["-docker/docker", "reference-invalid"],
  ["docker-/docker", "reference-invalid"],
  ["-docker.io/docker/docker", "reference-invalid"],
  ["docker///docker", "reference-invalid"],
  ["docker/", "reference-invalid"],
  ["/docker", "reference-invalid"],
  ["docker.io/", "reference-invalid"],
  ["____/____", "reference-invalid"],
  ["dock..er/docker", "reference-invalid"],
  ["dock_.er/docker", "reference-invalid"],
  ["a___b", "reference-invalid"],
  ["aa/asdf$$^/aa", "reference-invalid"],
  ["../../etc/passwd", "reference-invalid"],
  ["a/../b", "reference-invalid"],
  ["./alpine", "reference-invalid"],
  ["alpine latest", "reference-invalid"],
  ["alpine\n", "reference-invalid"],
  ["alpine\0", "reference-invalid"],
  ["[fc00::1]", "reference-invalid"],
  ["[fc00::1]:5000", "reference-invalid"],
  ["fc00::1:5000/debian", "reference-invalid"],
  ["[fe80::1%eth0]:5000/debian", "reference-invalid"],
  ["host:port/a", "reference-invalid"],
  ["docker/Docker", "reference-uppercase"],
  ["Alpine", "reference-uppercase"],
  ["test:5000/Uppercase/lowercase:tag", "reference-uppercase"],
  ["alpine:", "reference-tag-invalid"],
  ["alpine:.x", "reference-tag-invalid"],
  ["alpine:-x", "reference-tag-invalid"],
  ["alpine:a:b", "reference-tag-invalid"],
  ["alpine:a/b", "reference-invalid"],
  [`alpine:${"t".repeat(129)}`, "reference-tag-invalid"],
  [`domain/${"a".repeat(256)}`, "reference-too-long"],
  ["a".repeat(5000), "reference-too-long"],
  [hex, "reference-is-id"],
  ["repo@sha256:ffff", "digest-invalid"],
  ["repo@", "digest-invalid"],
  [`repo@SHA256:${hex}`, "digest-invalid"],
  [`repo@sha384:${hex}`, "digest-algorithm-unsupported"],
];

test("what is no reference is refused, and the message is safe to print", () => {
  for (const [text, code] of invalid) {
    assert.throws(
      () => parseReference(text),
      (error: unknown) => {
        assert.ok(error instanceof VitrineError);
        assert.equal(error.code, code, `${text}: ${error.message}`);
        assert.doesNotMatch(error.message, /[\x00-\x1f]/);
        return true;
      },
    );
  }
});

test("a wrong name comes with the right one", () => {
  assert.throws(() => parseReference("docker/Docker:1"), { hint: 'did you mean "docker/docker:1"?' });
  assert.throws(() => parseReference("Alpine:3"), { hint: 'did you mean "alpine:3"?' });
  assert.throws(() => parseReference("docker://alpine"), { hint: 'leave docker:// out: "alpine"' });
});

test("image IDs and their prefixes are told from names", () => {
  assert.equal(imageIdPrefix(hex), hex);
  assert.equal(imageIdPrefix(`sha256:${hex}`), hex);
  assert.equal(imageIdPrefix("cafe"), "cafe");
  assert.equal(imageIdPrefix("sha256:cafe01"), "cafe01");
  for (const text of ["caf", "CAFE", "alpine", `${hex}0`, "sha512:cafe", "sha256:", "cafe:1", ""]) {
    assert.equal(imageIdPrefix(text), undefined, text);
  }
  assert.equal(isFullImageId(hex), true);
  assert.equal(isFullImageId(`sha256:${hex}`), true);
  assert.equal(isFullImageId("cafe"), false);
});

test("hostile input takes no time", () => {
  const begun = performance.now();
  for (const text of ["a-".repeat(500), `${"a/".repeat(500)}!`, "_".repeat(1000), `${"a".repeat(1000)}!`]) {
    assert.throws(() => parseReference(text), VitrineError);
  }
  assert.ok(performance.now() - begun < 20_000);
});
