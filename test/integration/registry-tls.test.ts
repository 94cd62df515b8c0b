/** The registry's certificates: its own when they are renewed, and those of a mirror's upstream. */
import assert from "node:assert/strict";
import { once } from "node:events";
import * as fs from "node:fs";
import type { IncomingMessage } from "node:http";
import * as http from "node:http";
import * as https from "node:https";
import type { AddressInfo } from "node:net";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import { digestOf } from "../../src/oci/mod.ts";
import { makeCertificate } from "../support/certificate.ts";
import { type Served, serve } from "../support/served.ts";
import { until } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, makeWorld, type World } from "./support.ts";

if (findProgram("openssl") === undefined) {
  it("certificates of the registry", (t) => cannotRun(t, "openssl is not installed"));
} else {
  let world: World;
  const at = (...names: readonly string[]): string => path.join(world.directory, ...names);

  before(() => {
    world = makeWorld("registry-tls");
    const imported = world.run(["import", path.join(fixtures, "probe.tar"), "probe:1"]);
    assert.equal(imported.status, 0, imported.stderr);
  });
  after(() => world[Symbol.asyncDispose]());

  /** A certificate of that name for this machine: NAME.crt and NAME.key. */
  function certify(name: string): void {
    makeCertificate(name, at(`${name}.crt`), at(`${name}.key`));
  }

  /** Whose certificate a new connection gets; undefined where it is not taken. */
  function subjectAt(address: string): Promise<string | undefined> {
    const [host, port] = address.split(":");
    return new Promise((resolve) => {
      const socket = tls.connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
        const { CN } = socket.getPeerCertificate().subject;
        socket.destroy();
        resolve(typeof CN === "string" ? CN : undefined);
      });
      socket.on("error", () => resolve(undefined));
    });
  }

  describe("a certificate that is renewed", () => {
    const served = (): string => at("served.crt");
    const put = (name: string, ...kinds: readonly string[]): void => {
      for (const kind of kinds) {
        fs.copyFileSync(at(`${name}.${kind}`), at(`next.${kind}`));
        fs.renameSync(at(`next.${kind}`), at(`served.${kind}`));
      }
    };
    let registry: Served;
    const becomes = async (name: string): Promise<void> => {
      while ((await subjectAt(registry.address)) !== name) await sleep(20);
    };
    before(async () => {
      for (const name of ["first", "second", "third"]) certify(name);
      put("first", "crt", "key");
      registry = await serve(world, [
        ...["--root", at("renewed"), "--tls-cert", served(), "--tls-key", at("served.key")],
      ]);
    });
    after(() => registry?.[Symbol.asyncDispose]());

    it("is taken for new connections, while those that are open go on", async () => {
      assert.equal(await subjectAt(registry.address), "first");
      const [host, port] = registry.address.split(":");
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
      const ask = (method: string, target: string, headers = {}) => {
        const request = https.request({ agent, host, port, method, path: target, headers });
        const answered = new Promise<IncomingMessage>((resolve, reject) => {
          request.on("response", (response) => resolve(response.resume()));
          request.on("error", reject);
        });
        return { request, answered };
      };
      const post = ask("POST", "/v2/a/blobs/uploads/");
      post.request.end();
      const { location } = (await post.answered).headers;
      // Told to go on, it is with the server.
      const patch = ask("PATCH", String(location), { "content-length": 2, expect: "100-continue" });
      await Promise.race([once(patch.request, "continue"), patch.answered]);
      patch.request.write("x");
      put("second", "crt", "key");
      await becomes("second");
      patch.request.end("y");
      const { statusCode, headers } = await patch.answered;
      assert.deepEqual([statusCode, headers["range"]], [202, "0-1"]);
      agent.destroy();
    });

    it("of another key is told, and the old one stays until both fit", async () => {
      put("third", "crt");
      await until(
        () => (/the old certificate stays/.test(registry.printed()) ? true : undefined),
        "the registry to tell",
      );
      assert.match(registry.printed(), /the key in .*served\.key is not that of the certificate/);
      assert.equal(await subjectAt(registry.address), "second");
      put("third", "key");
      registry.process.kill("SIGHUP");
      await becomes("third");
    });
  });

  describe("a mirror of an upstream with a certificate of its own", () => {
    let upstream: Served;
    before(async () => {
      certify("upstream");
      fs.mkdirSync(at("own"));
      fs.copyFileSync(at("upstream.crt"), at("own/ca.crt"));
      upstream = await serve(world, [
        ...["--root", at("upstream"), "--tls-cert", at("upstream.crt"), "--tls-key", at("upstream.key")],
      ]);
      const name = `${upstream.address}/team/probe:1`;
      const pushed = world.run(["push", "-q", "--cert-dir", at("own"), "probe:1", name]);
      assert.equal(pushed.status, 0, pushed.stderr);
    });
    after(() => upstream?.[Symbol.asyncDispose]());

    /** Exit status and words of a pull through a mirror with this file and environment. */
    async function pullThrough(root: string, mirror: object, env: NodeJS.ProcessEnv = {}) {
      const config = at(`${root}.json`);
      fs.writeFileSync(config, JSON.stringify({ root: at(root), mirror }));
      Object.assign(world.env, env);
      await using registry = await serve(world, ["--config", config]);
      for (const name of Object.keys(env)) delete world.env[name];
      const pulled = world.run([
        "copy",
        "-q",
        `docker://${registry.address}/team/probe:1`,
        `oci:${at(root, "out")}`,
      ]);
      await registry.stop();
      return { status: pulled.status, stderr: pulled.stderr, said: registry.printed() };
    }
    const url = (): string => `https://${upstream.address}`;

    it("is refused where nobody said to trust it, and says why", async () => {
      const refused = await pullThrough("unknown", { url: url() });
      assert.notEqual(refused.status, 0);
      assert.match(refused.stderr, /the upstream registry cannot be reached over TLS/);
      assert.match(refused.said, /certificate/);
    });

    it("is trusted by the directory of the config, by certs.d, and by SSL_CERT_FILE", async () => {
      const directory = await pullThrough("directory", { url: url(), certificates: at("own") });
      assert.equal(directory.status, 0, directory.stderr + directory.said);
      const certsD = at("config/containers/certs.d", upstream.address);
      fs.mkdirSync(certsD, { recursive: true });
      fs.copyFileSync(at("upstream.crt"), path.join(certsD, "ca.crt"));
      const known = await pullThrough("known", { url: url() }, { XDG_CONFIG_HOME: at("config") });
      assert.equal(known.status, 0, known.stderr + known.said);
      const file = await pullThrough("file", { url: url() }, { SSL_CERT_FILE: at("upstream.crt") });
      assert.equal(file.status, 0, file.stderr + file.said);
    });

    it("is not followed from TLS to where there is none", async () => {
      const bytes = Buffer.from("a blob");
      let asked = 0;
      const plain = http.createServer((_, response) => {
        asked++;
        response.end(bytes);
      });
      await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
      const { port } = plain.address() as AddressInfo;
      const key = { cert: fs.readFileSync(at("upstream.crt")), key: fs.readFileSync(at("upstream.key")) };
      const first = https.createServer(key, (_, response) => {
        response.writeHead(307, { Location: `http://127.0.0.1:${port}/blob` }).end();
      });
      await new Promise<void>((resolve) => first.listen(0, "127.0.0.1", resolve));
      const mirror = {
        url: `https://127.0.0.1:${(first.address() as AddressInfo).port}`,
        certificates: at("own"),
      };
      fs.writeFileSync(at("downgrade.json"), JSON.stringify({ root: at("downgrade"), mirror }));
      try {
        await using registry = await serve(world, ["--config", at("downgrade.json")]);
        const got = await fetch(`http://${registry.address}/v2/a/blobs/${digestOf(bytes)}`);
        assert.equal(got.status, 502);
        await until(
          () => (/redirects from TLS to plain HTTP/.test(registry.printed()) ? true : undefined),
          "the registry to tell",
        );
        assert.equal(asked, 0);
      } finally {
        for (const server of [first, plain]) {
          server.close();
          server.closeAllConnections();
        }
      }
    });

    it("that redirects blobs elsewhere does not send the password there", async () => {
      const seen: (string | undefined)[] = [];
      const key = { cert: fs.readFileSync(at("upstream.crt")), key: fs.readFileSync(at("upstream.key")) };
      const bytes = Buffer.from("a blob");
      const elsewhere = https.createServer(key, (request, response) => {
        seen.push(request.headers.authorization);
        response.end(bytes);
      });
      await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
      const { port } = elsewhere.address() as AddressInfo;
      const first = https.createServer(key, (request, response) => {
        if (request.headers.authorization === undefined) {
          response.writeHead(401, { "WWW-Authenticate": 'Basic realm="r"' }).end();
        } else response.writeHead(307, { Location: `https://127.0.0.1:${port}/blob` }).end();
      });
      await new Promise<void>((resolve) => first.listen(0, "127.0.0.1", resolve));
      fs.writeFileSync(at("password"), "p");
      const mirror = {
        ...{ url: `https://127.0.0.1:${(first.address() as AddressInfo).port}`, user: "u" },
        ...{ passwordFile: at("password"), certificates: at("own") },
      };
      fs.writeFileSync(at("redirect.json"), JSON.stringify({ root: at("redirect"), mirror }));
      try {
        await using registry = await serve(world, ["--config", at("redirect.json")]);

        const got = await fetch(`http://${registry.address}/v2/a/blobs/${digestOf(bytes)}`);
        assert.equal(await got.text(), "a blob");
        assert.deepEqual(seen, [undefined]);
      } finally {
        for (const server of [first, elsewhere]) {
          server.close();
          server.closeAllConnections();
        }
      }
    });
  });
}
