import assert from "node:assert/strict";
import * as fs from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { describe, it } from "node:test";
import { findCredentials } from "./credentials.ts";

async function service(answer: (request: IncomingMessage, body: string) => string | undefined) {
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
    const text = answer(request, Buffer.concat(chunks).toString());
    response.writeHead(text === undefined ? 403 : 200).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function home(files: Readonly<Record<string, string>>): Disposable & { readonly path: string } {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-aws-"));
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(directory, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
  return { path: directory, [Symbol.dispose]: () => fs.rmSync(directory, { recursive: true, force: true }) };
}

const nowhere = { HOME: "/nonexistent", AWS_EC2_METADATA_DISABLED: "true" };
const document = (key: string, ends: number): string =>
  JSON.stringify({
    AccessKeyId: key,
    SecretAccessKey: "s",
    Token: "t",
    Expiration: new Date(ends).toISOString(),
  });

describe("findCredentials", () => {
  it("takes the environment's first", async () => {
    const find = findCredentials(
      { ...nowhere, AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "s", AWS_SESSION_TOKEN: "t" },
      "eu-west-1",
    );
    assert.deepEqual(await find(), { accessKey: "a", secretKey: "s", sessionToken: "t" });
  });
  it("reads the profile of the shared file, or of the config file", async () => {
    using place = home({
      ".aws/credentials":
        "[default]\naws_access_key_id = d\naws_secret_access_key = ds\n[work]\naws_access_key_id=w\naws_secret_access_key=w=/+\n",
      ".aws/config": "[profile other]\nregion = x\naws_access_key_id = o\naws_secret_access_key = os\n",
    });
    const environment = { ...nowhere, HOME: place.path };
    assert.deepEqual(await findCredentials(environment, "r")(), { accessKey: "d", secretKey: "ds" });
    for (const [profile, accessKey, secretKey] of [
      ["work", "w", "w=/+"],
      ["other", "o", "os"],
    ] as const) {
      const find = findCredentials({ ...environment, AWS_PROFILE: profile }, "r");
      assert.deepEqual(await find(), { accessKey, secretKey });
    }
  });
  it("shows a web identity, and again before what it got ends", async () => {
    using place = home({ token: "first\n" });
    const seen: string[] = [];
    let now = Date.now();
    await using sts = await service((_, body) => {
      const form = new URLSearchParams(body);
      if (form.get("Action") !== "AssumeRoleWithWebIdentity" || form.get("RoleArn") !== "arn:role")
        return undefined;
      const token = form.get("WebIdentityToken") ?? "";
      seen.push(token);
      return `<R><Credentials><AccessKeyId>of ${token}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${new Date(now + 3600_000).toISOString()}</Expiration></Credentials></R>`;
    });
    const environment = {
      ...nowhere,
      AWS_WEB_IDENTITY_TOKEN_FILE: path.join(place.path, "token"),
      AWS_ROLE_ARN: "arn:role",
      AWS_ENDPOINT_URL_STS: sts.url,
    };
    const find = findCredentials(environment, "r", () => now);
    assert.deepEqual(
      (await Promise.all([find(), find()])).map(({ accessKey }) => accessKey),
      ["of first", "of first"],
    );
    fs.writeFileSync(path.join(place.path, "token"), "second\n");
    now += 54 * 60_000;
    assert.equal((await find()).accessKey, "of first");
    now += 2 * 60_000;
    assert.equal((await find()).accessKey, "of second");
    assert.deepEqual(seen, ["first", "second"]);
  });
  it("asks a container's endpoint, with its token", async () => {
    await using agent = await service((request) =>
      request.headers.authorization === "let me in" ? document("c", Date.now() + 3600_000) : undefined,
    );
    const environment = {
      ...nowhere,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${agent.url}/creds`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: "let me in",
    };
    const { accessKey, sessionToken } = await findCredentials(environment, "r")();
    assert.deepEqual([accessKey, sessionToken], ["c", "t"]);
    await assert.rejects(
      findCredentials({ ...environment, AWS_CONTAINER_AUTHORIZATION_TOKEN: "no" }, "r")(),
      { code: "s3-credentials-unusable", message: /answered 403$/ },
    );
  });
  it("asks the instance's metadata by a token, and keeps what it has while that fails", async () => {
    let now = Date.now();
    let up = true;
    await using metadata = await service(({ method, url, headers }) => {
      if (!up) return undefined;
      if (method === "PUT" && url === "/latest/api/token") return "TOKEN";
      if (headers["x-aws-ec2-metadata-token"] !== "TOKEN") return undefined;
      if (url === "/latest/meta-data/iam/security-credentials/") return "role\n";
      return url?.endsWith("/role") ? document("i", now + 3600_000) : undefined;
    });
    const environment = { HOME: "/nonexistent", AWS_EC2_METADATA_SERVICE_ENDPOINT: `${metadata.url}/` };
    const find = findCredentials(environment, "r", () => now);
    assert.equal((await find()).accessKey, "i");
    up = false;
    now += 58 * 60_000;
    assert.equal((await find()).accessKey, "i");
    now += 3 * 60_000;
    await assert.rejects(find(), { code: "s3-credentials-missing" });
  });
  it("says where it looked when there are none", async () => {
    await assert.rejects(findCredentials(nowhere, "r")(), { code: "s3-credentials-missing" });
  });
});
