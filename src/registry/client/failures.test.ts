import assert from "node:assert/strict";
import { test } from "node:test";
import { connectionError } from "./failures.ts";

const url = new URL("https://registry.example:5000/v2/");

test("a registry that wants a client certificate is not one whose certificate is wrong", () => {
  for (const what of [
    "error:10000412:SSL routines:OPENSSL_internal:SSLV3_ALERT_BAD_CERTIFICATE",
    "error:1000045c:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED",
    "C0F2:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:ssl/record/rec_layer_s3.c:1590:SSL alert number 116",
    "error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate",
  ]) {
    const error = connectionError(Object.assign(new Error(what), { code: "ERR_SSL_SSLV3_ALERT" }), url);
    assert.equal(error.code, "registry-client-certificate", what);
    assert.match(error.hint ?? "", /client\.cert/);
  }
  const untrusted = Object.assign(new Error("self-signed certificate"), {
    code: "DEPTH_ZERO_SELF_SIGNED_CERT",
  });
  assert.equal(connectionError(untrusted, url).code, "registry-tls");
});
