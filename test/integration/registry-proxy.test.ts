/** The way to a registry through a proxy: CONNECT with TLS in it, plain HTTP in absolute form, who we are to the proxy, NO_PROXY. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as http from "node:http";
import * as net from "node:net";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { type Served, serve } from "../support/served.ts";
import { fixtures, makeWorld, type World } from "./support.ts";

/** A name that no resolver knows: only the proxy leads there. */
const host = "registry.invalid";
let world: World;
let secure: Served;
let plain: Served;
let proxy: http.Server;
let address = "";
/** What the proxy was asked for, `CONNECT HOST:PORT` or `GET URL`. */
const asked: string[] = [];

before(async () => {
  world = makeWorld("registry-proxy");
  const at = (name: string): string => path.join(world.directory, name);
  const subject = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`];
  const key = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject];
  const made = spawnSync("openssl", [...key, "-keyout", at("key.pem"), "-out", at("ca.crt")]);
  assert.equal(made.status, 0, made.stderr?.toString());
  secure = await serve(world, ["--root", at("one"), "--tls-cert", at("ca.crt"), "--tls-key", at("key.pem")]);
  plain = await serve(world, ["--root", at("two")]);
  proxy = makeProxy("bob", "p%w");
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  address = `127.0.0.1:${(proxy.address() as net.AddressInfo).port}`;
  const imported = world.run(["import", path.join(fixtures, "probe.tar"), "probe:1"]);
  assert.equal(imported.status, 0, imported.stderr);
});

after(async () => {
  proxy?.close();
  proxy?.closeAllConnections();
  await secure?.[Symbol.asyncDispose]();
  await plain?.[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** Leads every name to this machine. */
function makeProxy(user: string, password: string): http.Server {
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const server = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.headers["proxy-authorization"] !== expected) {
      response.writeHead(407).end();
      return;
    }
    const url = new URL(request.url ?? "");
    const { method, headers } = request;
    const options = { host: "127.0.0.1", port: url.port, path: url.pathname + url.search, method, headers };
    const onward = http.request(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request, socket: net.Socket, head: Buffer) => {
    asked.push(`CONNECT ${request.url}`);
    socket.on("error", () => undefined);
    if (request.headers["proxy-authorization"] !== expected) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    const onward = net.connect(Number(request.url!.split(":")[1]), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.write(head);
      onward.pipe(socket);
      socket.pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  });
  return server;
}

interface Said {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Beside the proxy, which is ours. */
function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Said> {
  const child = world.start(args, { env: { ...world.env, ...env } });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.on("data", (data: Buffer) => {
      said[name] += data.toString();
    });
  }
  return new Promise((resolve) => child.once("close", (status) => resolve({ status, ...said })));
}

const portOf = (served: Served): string => served.address.split(":")[1]!;

describe("a proxy", () => {
  it("makes a tunnel for TLS, once it knows who we are", async () => {
    const name = `${host}:${portOf(secure)}/team/probe:1`;
    const env = { HTTPS_PROXY: `http://bob:p%25w@${address}` };
    const flags = ["--cert-dir", world.directory];
    const pushed = await run(["push", "-q", ...flags, "probe:1", name], env);
    assert.equal(pushed.status, 0, pushed.stderr);
    const tags = await run(["tags", ...flags, name], env);
    assert.equal(tags.stdout, "1\n", tags.stderr);
    assert.ok(asked.includes(`CONNECT ${host}:${portOf(secure)}`));
    const unknown = await run(["tags", ...flags, name], { https_proxy: `http://${address}` });
    assert.equal(unknown.status, 125);
    assert.match(unknown.stderr, /wants a user name and a password/);
    const distrusted = await run(["tags", "--retry", "0", name], env);
    assert.match(distrusted.stderr, /cannot be trusted/);
  });

  it("is given whole URLs without TLS", async () => {
    const name = `${host}:${portOf(plain)}/team/probe:1`;
    const env = { HTTP_PROXY: `http://bob:p%25w@${address}` };
    const pushed = await run(["push", "-q", "--tls-verify=false", "probe:1", name], env);
    assert.equal(pushed.status, 0, pushed.stderr);
    const wanted = `HEAD http://${host}:${portOf(plain)}/v2/team/probe/blobs/`;
    assert.ok(
      asked.some((line) => line.startsWith(wanted)),
      asked.join("\n"),
    );
    const unknown = await run(["tags", "--tls-verify=false", name], { HTTP_PROXY: address });
    assert.match(unknown.stderr, /wants a user name and a password/);
  });

  it("is not asked for what NO_PROXY names, nor for this machine", async () => {
    const before = asked.length;
    const env = { HTTPS_PROXY: `http://${address}`, HTTP_PROXY: `http://${address}`, NO_PROXY: ".invalid" };
    const flags = ["--retry", "0"];
    const direct = await run(["tags", ...flags, `${host}:${portOf(secure)}/team/probe`], env);
    assert.match(direct.stderr, /there is no host|cannot be looked up/);
    const own = await run(["tags", `${plain.address}/team/probe`], env);
    assert.equal(own.stdout, "1\n", own.stderr);
    assert.equal(asked.length, before);
  });
});
