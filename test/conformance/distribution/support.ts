/**
 * The distribution spec, requirement by requirement, against any registry: `REGISTRY=host:port` (with `REGISTRY_TLS=1` for
 * https and `REGISTRY_AUTH=user:password` for basic authentication), or, without it, one of ours in this process. Each
 * test is named after the section of spec.md and the words of the requirement.
 */
import { randomBytes } from "node:crypto";
import { after, before } from "node:test";
import { digestOf } from "../../../src/oci/mod.ts";
import { type Registry, startRegistry } from "../../../src/registry/mod.ts";
import { TestClient } from "../../../src/registry/server/testing.ts";

const external = process.env["REGISTRY"];
const scheme = process.env["REGISTRY_TLS"] === undefined ? "http" : "https";
const credentials = process.env["REGISTRY_AUTH"];

/** Sets up the registry under test for one file, in one hook: `ready` gets the client and may push what all tests need. */
export function useRegistry(ready: (client: TestClient) => Promise<void> | void): void {
  let ours: Registry | undefined;
  before(async () => {
    const headers: Record<string, string> = {};
    if (credentials !== undefined) {
      headers["Authorization"] = `Basic ${Buffer.from(credentials).toString("base64")}`;
    }
    if (external === undefined) ours = await startRegistry();
    await ready(new TestClient(ours?.url ?? `${scheme}://${external}`, headers));
  });
  after(() => ours?.stop());
}

/** A name that no other run has used. */
export function newName(part: string): string {
  return `conformance/${part}-${randomBytes(6).toString("hex")}`;
}

/** Content that no registry has. */
export function newContent(bytes = 32): Buffer {
  return Buffer.from(randomBytes(bytes).toString("hex").slice(0, bytes));
}

export const absentDigest = digestOf(Buffer.from("what nobody has"));
export const octets = { "Content-Type": "application/octet-stream" };
