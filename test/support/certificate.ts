/** Certificates of this machine, signed by themselves. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";

/** Of `name`, for localhost and 127.0.0.1, two days long, into two new files. */
export function makeCertificate(name: string, certificate: string, key: string): void {
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ...["-keyout", key, "-out", certificate],
  ]);
  assert.equal(made.status, 0, made.stderr?.toString());
}
