/** What a served registry holds up against: its own engine's store, TLS, other clients, a full disk. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import * as path from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { makeCertificate } from "../support/certificate.ts";
import { dockerdFlags } from "../support/dockerd.ts";
import { serve } from "../support/served.ts";
import { until } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, isRoot, makeWorld } from "./support.ts";

const world = makeWorld("serve");
const imported = world.run(["import", path.join(fixtures, "probe.tar"), "probe:1"]);
assert.equal(imported.status, 0, imported.stderr);
after(() => world[Symbol.asyncDispose]());

const place = (name: string): string => path.join(world.directory, name);
/** `secret`, bcrypt with cost 5. */
const users = "alice:$2b$05$4kVXxJryfGRabyTQ5TIZjeWdeKCeN.ql6TrUKyTfbZ5R1T6uWwqj6\n";

function tool(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawnSync(program, args, {
    env: { PATH: process.env["PATH"], HOME: world.env["HOME"], XDG_RUNTIME_DIR: world.directory, ...env },
    cwd: world.directory,
    encoding: "utf8",
    timeout: 120_000,
  });
}

function succeeded(done: ReturnType<typeof tool>): string {
  assert.equal(done.status, 0, `${done.stdout}\n${done.stderr}\n${done.error ?? ""}`);
  return done.stdout;
}

function vitrine(...args: readonly string[]): string {
  const done = world.run(args);
  assert.equal(done.status, 0, `${args.join(" ")}: ${done.stderr}`);
  return done.stdout.trim();
}

function missing(t: TestContext, ...programs: readonly string[]): boolean {
  const absent = programs.filter((program) => findProgram(program) === undefined);
  if (absent.length > 0) cannotRun(t, `${absent.join(", ")} missing`);
  return absent.length > 0;
}

describe("the engine's own store", () => {
  it("is served as it is, follows its names, and changes nothing", async (t) => {
    await using registry = await serve(world, ["--store"]);
    const blobs = path.join(world.root, "oci/blobs/sha256");
    const before = fs.readdirSync(blobs).sort();
    const url = `http://${registry.address}`;
    const tags = async (name: string): Promise<unknown> =>
      (await fetch(`${url}/v2/${name}/tags/list`)).json();
    assert.deepEqual(await tags("library/probe"), { name: "library/probe", tags: ["1"] });
    vitrine("tag", "probe:1", "registry.example:5000/team/probe:2");
    assert.deepEqual(await tags("team/probe"), { name: "team/probe", tags: ["2"] });
    assert.deepEqual(await tags("registry.example/team/probe"), {
      name: "registry.example/team/probe",
      tags: ["2"],
    });
    vitrine("untag", "probe:1", "registry.example:5000/team/probe:2");
    assert.equal((await fetch(`${url}/v2/team/probe/tags/list`)).status, 404);
    // Another store pulls from it.
    const other = makeWorld("other");
    const pulled = other.run(["pull", "-q", `${registry.address}/library/probe:1`]);
    assert.equal(pulled.status, 0, pulled.stderr);
    assert.equal(pulled.stdout.trim(), imported.stdout.trim());
    await other[Symbol.asyncDispose]();
    // Nothing gets in, nothing goes.
    assert.equal((await fetch(`${url}/v2/library/probe/blobs/uploads/`, { method: "POST" })).status, 405);
    assert.equal((await fetch(`${url}/v2/library/probe/manifests/1`, { method: "DELETE" })).status, 405);
    registry.process.kill("SIGUSR2");
    await until(
      () => (registry.printed().includes("its owner collects it") ? true : undefined),
      "the refusal",
    );
    assert.deepEqual(fs.readdirSync(blobs).sort(), before);
    assert.equal(await registry.stop(), 0);
    if (missing(t, "skopeo")) return;
    assert.equal(world.run(["registry", "serve", "--store", "--root", place("x")]).status, 125);
  });
});

describe("TLS", () => {
  it("with a password: the certificate must be known, the password right, and docker's files say both", async (t) => {
    if (missing(t, "openssl", "skopeo")) return;
    const certificates = place("certs");
    fs.mkdirSync(certificates);
    makeCertificate("localhost", path.join(certificates, "ca.crt"), place("server.key"));
    fs.writeFileSync(place("users"), users);
    await using registry = await serve(world, [
      ...["--root", place("tls"), "--auth", `htpasswd=${place("users")}`],
      ...["--tls-cert", path.join(certificates, "ca.crt"), "--tls-key", place("server.key")],
    ]);
    const name = `${registry.address}/probe:tls`;
    const push = (...flags: readonly string[]) => world.run(["push", "-q", ...flags, "probe:1", name]);
    assert.match(push("--creds", "alice:secret").stderr, /certificate/);
    assert.match(
      push("--creds", "alice:wrong", "--cert-dir", certificates).stderr,
      /does not accept the user name or the password\nhint: log in again: vitrine login/,
    );
    assert.match(push("--cert-dir", certificates).stderr, /vitrine login/);
    const login = world.run(
      ["login", "--cert-dir", certificates, "-u", "alice", "--password-stdin", registry.address],
      {
        input: "secret\n",
      },
    );
    assert.equal(login.status, 0, login.stderr);
    const pushed = push("--cert-dir", certificates);
    assert.equal(pushed.status, 0, pushed.stderr);
    succeeded(
      tool("skopeo", [
        ...["--insecure-policy", "copy", "--src-cert-dir", certificates, "--src-creds", "alice:secret"],
        ...[`docker://${name}`, `dir:${place("tls-back")}`],
      ]),
    );
    // A client that speaks no TLS gets an answer that is none, and the server goes on.
    const plain = await fetch(`http://${registry.address}/v2/`).catch((error: unknown) => error);
    assert.ok(plain instanceof Error || (plain instanceof Response && plain.status >= 400));
    assert.equal(push("--cert-dir", certificates).status, 0);
    vitrine("logout", registry.address);
  });
});

describe("the rules of the config", () => {
  it("are taken at SIGHUP; those of a file that is wrong are not", async () => {
    const config = place("rules.yaml");
    const write = (actions: string, more = ""): void =>
      fs.writeFileSync(
        config,
        `auth: {htpasswd: ${place("rule-users")}, rules: [{repositories: "**", users: ${actions}}]}\n${more}`,
      );
    fs.writeFileSync(place("rule-users"), users);
    write("[alice], actions: [pull]");
    await using registry = await serve(world, ["--root", place("ruled"), "--config", config]);
    const alice = { Authorization: `Basic ${Buffer.from("alice:secret").toString("base64")}` };
    const begin = async (headers: Record<string, string>): Promise<number> => {
      const url = `http://${registry.address}/v2/team/app/blobs/uploads/`;
      return (await fetch(url, { method: "POST", headers })).status;
    };
    const hangUp = async (answer: RegExp): Promise<void> => {
      const before = registry.printed().length;
      registry.process.kill("SIGHUP");
      await until(() => answer.exec(registry.printed().slice(before)) ?? undefined, String(answer));
    };
    assert.equal(await begin(alice), 403);
    write("[alice], actions: [pull, push]");
    await hangUp(/took the rules of .*rules\.yaml\n/);
    assert.equal(await begin(alice), 202);
    assert.equal(await begin({}), 401);
    write("[alice], actions: [fly]");
    await hangUp(/the old rules stay: .*\/auth\/rules\/0\/actions\/0/);
    fs.writeFileSync(config, "");
    await hangUp(/the old rules stay: .*counts at the start alone/);
    assert.equal(await begin(alice), 202);
    assert.equal(await begin({}), 401);
    // Rules of repositories, and the first ones for those without a name.
    write("[anonymous], actions: [pull, push]", 'rules: [{repositories: "team/*", quotaBytes: 1}]\n');
    await hangUp(/took the rules of .*rules\.yaml\n/);
    assert.equal(await begin({}), 202);
    const digest = `sha256:${createHash("sha256").update("four").digest("hex")}`;
    const pushed = await fetch(`http://${registry.address}/v2/team/app/blobs/uploads/?digest=${digest}`, {
      method: "POST",
      body: "four",
    });
    assert.equal(pushed.status, 403);
    assert.match(await pushed.text(), /quota/);
    const token = await fetch(`http://${registry.address}/token?scope=repository:team/app:pull`);
    assert.equal(token.status, 200);
  });
});

describe("buildah", () => {
  it("pulls, changes and pushes; we run what it made", async (t) => {
    if (missing(t, "buildah")) return;
    await using registry = await serve(world, ["--root", place("buildah")]);
    vitrine("push", "-q", "probe:1", `${registry.address}/probe:1`);
    const base = place("buildah-store");
    const flags = ["--root", `${base}/root`, "--runroot", `${base}/run`, "--storage-driver", "vfs"];
    const buildah = (...args: readonly string[]): string =>
      succeeded(
        tool("buildah", [...flags, ...args], { BUILDAH_ISOLATION: "chroot", STORAGE_DRIVER: "vfs" }),
      ).trim();
    const policy = ["--signature-policy", place("policy.json")];
    fs.writeFileSync(place("policy.json"), '{"default":[{"type":"insecureAcceptAnything"}]}');
    const made = buildah("from", "--tls-verify=false", ...policy, `${registry.address}/probe:1`);
    buildah("config", "--env", "MADE=buildah", made);
    buildah("commit", ...policy, "--tls-verify=false", made, `docker://${registry.address}/probe:buildah`);
    const ran = world.run([
      "run",
      "--rm",
      "-q",
      `${registry.address}/probe:buildah`,
      "sh",
      "-c",
      "echo $MADE",
    ]);
    assert.equal(ran.stdout, "buildah\n", ran.stderr);
    if (!isRoot) succeeded(tool("buildah", [...flags, "unshare", "rm", "-rf", base]));
  });
});

describe("docker", () => {
  it("logs in, pulls and pushes by its daemon; the bytes are the same", async (t) => {
    if (!isRoot) return cannotRun(t, "dockerd needs root");
    if (missing(t, "dockerd", "docker", "containerd")) return;
    fs.writeFileSync(place("users"), users);
    await using registry = await serve(world, [
      "--root",
      place("docker-registry"),
      "--auth",
      `htpasswd=${place("users")}`,
    ]);
    const name = `${registry.address}/team/probe`;
    vitrine("push", "-q", "--creds", "alice:secret", "probe:1", `${name}:1`);
    const directory = place("docker");
    fs.mkdirSync(directory);
    const host = `unix://${directory}/d.sock`;
    const docker = (...args: readonly string[]) => tool("docker", ["-H", host, ...args]);
    const daemon = spawn("dockerd", dockerdFlags(directory, host), {
      stdio: "ignore",
      env: { ...process.env, HOME: directory },
    });
    try {
      await until(() => (docker("version").status === 0 ? true : undefined), "dockerd", 180_000);
      assert.notEqual(docker("pull", `${name}:1`).status, 0);
      const login = spawnSync(
        "docker",
        ["-H", host, "login", "-u", "alice", "--password-stdin", registry.address],
        {
          env: { PATH: process.env["PATH"], HOME: world.env["HOME"] },
          input: "secret",
          encoding: "utf8",
        },
      );
      assert.equal(login.status, 0, login.stderr);
      succeeded(docker("pull", "-q", `${name}:1`));
      succeeded(docker("tag", `${name}:1`, `${name}:docker`));
      succeeded(docker("push", `${name}:docker`));
      // Docker packs layers again, and keeps the config and what is in the layers.
      vitrine("pull", "-q", "--creds", "alice:secret", `${name}:docker`);
      const layers = (image: string): string =>
        vitrine("inspect", "--format", "{{json .RootFS.Layers}}", image);
      assert.equal(layers(`${name}:docker`), layers("probe:1"));
      // What docker login wrote is ours to use: no --creds.
      vitrine("rmi", `${name}:docker`);
      vitrine("pull", "-q", `${name}:docker`);
    } finally {
      await ended(daemon);
    }
    assert.equal(await registry.stop(), 0);
    vitrine("registry", "check", "--root", place("docker-registry"));
  });
});

async function ended(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const gone = new Promise((resolve) => daemon.once("exit", resolve));
  daemon.kill("SIGTERM");
  await gone;
}

describe("a full disk", () => {
  it("is told to the client, loses nothing that was acknowledged, and is over when there is room again", async (t) => {
    if (!isRoot) return cannotRun(t, "only root mounts a small filesystem");
    const root = place("small");
    fs.mkdirSync(root, { mode: 0o700 });
    succeeded(tool("mount", ["-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs", root]));
    try {
      await using registry = await serve(world, ["--root", root]);
      vitrine("push", "-q", "probe:1", `${registry.address}/probe:1`);
      const used = (): number => Number(fs.statfsSync(root).blocks) - Number(fs.statfsSync(root).bavail);
      const before = used();
      const big = randomBytes(16 * 1024 * 1024);
      const digest = `sha256:${createHash("sha256").update(big).digest("hex")}`;
      for (let round = 0; round < 3; round++) {
        const status = await upload(registry.address, digest, big);
        assert.ok(status === 507 || status === 500 || status === 503, `status ${status}`);
      }
      // As most clients send: the upload has a name, and could be gone on with. The body may be one that a helper carries, or chunked.
      const base = `http://${registry.address}`;
      for (const body of [big, new Blob([big]).stream()]) {
        const begun = await fetch(`${base}/v2/probe/blobs/uploads/`, { method: "POST" });
        const location = `${base}${begun.headers.get("location")}`;
        const sent = await fetch(location, { method: "PATCH", body, duplex: "half" } as RequestInit);
        assert.equal(sent.status, 507);
      }
      // Who sends all of it before it looks for the answer finds that, and no connection that was reset. One large chunk is read by the runtime.
      for (const framing of [`Content-Length: ${big.length}`, "Transfer-Encoding: chunked"]) {
        const begun = await fetch(`${base}/v2/probe/blobs/uploads/`, { method: "POST" });
        const head = `PATCH ${begun.headers.get("location")} HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`;
        const frame = framing.startsWith("T")
          ? [`${big.length.toString(16)}\r\n`, "\r\n0\r\n\r\n"]
          : ["", ""];
        const body = Buffer.concat([Buffer.from(`${head}${frame[0]}`), big, Buffer.from(frame[1]!)]);
        assert.match(await sendAll(registry.address, body), /^HTTP\/1\.1 507 /, framing);
      }
      assert.equal((await fetch(`http://${registry.address}/v2/probe/blobs/${digest}`)).status, 404);
      // What did not fit is not kept for long: an upload that failed is gone, or goes with the next sweep.
      assert.ok(used() <= before + 16, `${used()} blocks are used, ${before} were before`);
      const small = randomBytes(1024);
      const its = `sha256:${createHash("sha256").update(small).digest("hex")}`;
      assert.equal(await upload(registry.address, its, small), 201);
      const other = makeWorld("after");
      assert.equal(other.run(["pull", "-q", `${registry.address}/probe:1`]).status, 0);
      await other[Symbol.asyncDispose]();
      assert.equal(await registry.stop(), 0);
      vitrine("registry", "check", "--root", root);
      // Full to the brim: what is there is served and checked all the same.
      fs.rmSync(path.join(root, "tmp"), { recursive: true });
      const fill = tool("dd", ["if=/dev/zero", `of=${path.join(root, "fill")}`, "bs=4096"]);
      assert.match(fill.stderr, /No space left/);
      vitrine("registry", "check", "--root", root);
      await using again = await serve(world, ["--root", root]);
      assert.equal((await fetch(`http://${again.address}/v2/probe/manifests/1`)).status, 200);
      // What could not be written is index.json; the next start does it.
      assert.equal(await again.stop(), 125);
      assert.match(again.printed(), /no space left/i);
    } finally {
      succeeded(tool("umount", ["-l", root]));
    }
  });
});

describe("large bodies", () => {
  it("pass beside the registry, which may be killed at it: the upload goes on at the next one", async () => {
    const root = place("killed");
    const content = randomBytes(24 * 1024 * 1024 + 5);
    const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
    const first = await serve(world, ["--root", root]);
    const begun = await fetch(`http://${first.address}/v2/big/blobs/uploads/`, { method: "POST" });
    const location = new URL(begun.headers.get("location")!, `http://${first.address}`).pathname;
    const cut = http.request(`http://${first.address}${location}`, {
      method: "PATCH",
      headers: { "Content-Length": content.length },
    });
    cut.on("error", () => undefined);
    cut.write(content.subarray(0, 8 * 1024 * 1024));
    const data = path.join(root, "uploads", path.basename(location), "data");
    await until(() => fs.statSync(data).size > 2 * 1024 * 1024 || undefined, "the first bytes");
    const helper = await until(() => childOf(first.process.pid!, "convey"), "the helper");
    const killed = new Promise((resolve) => first.process.once("exit", resolve));
    first.process.kill("SIGKILL");
    await killed;
    await until(() => !fs.existsSync(`/proc/${helper}/fd`) || undefined, "the helper's end");
    cut.destroy();
    await using registry = await serve(world, ["--root", root]);
    const url = `http://${registry.address}`;
    const status = await fetch(`${url}${location}`);
    const held = Number(status.headers.get("range")!.split("-")[1]) + 1;
    assert.ok(held > 2 * 1024 * 1024 && held <= 8 * 1024 * 1024, `${held}`);
    const put = await fetch(`${url}${location}?digest=${digest}`, {
      method: "PUT",
      body: content.subarray(held),
    });
    assert.equal(put.status, 201, await put.text());
    const back = await fetch(`${url}/v2/big/blobs/${digest}`);
    assert.ok(Buffer.from(await back.arrayBuffer()).equals(content));
    // One whose length is known ends its connection: it was carried.
    const again = await fetch(`${url}/v2/big/blobs/uploads/?digest=${digest}`, {
      method: "POST",
      body: content,
    });
    assert.deepEqual([again.status, again.headers.get("connection")], [201, "close"]);
    // The same for who asks first, as curl does; and whom it refuses it tells so without his body.
    const asks = async (method: string, target: string) => {
      const headers = { "Content-Length": content.length, Expect: "100-continue" };
      const request = http.request(`${url}${target}`, { method, headers });
      let told = false;
      request.on("continue", () => {
        told = true;
        request.end(content);
      });
      request.flushHeaders();
      const [answer] = (await once(request, "response")) as [http.IncomingMessage];
      request.on("error", () => undefined);
      answer.resume();
      request.destroy();
      return [told, answer.statusCode, answer.headers.connection];
    };
    assert.deepEqual(await asks("POST", `/v2/big/blobs/uploads/?digest=${digest}`), [true, 201, "close"]);
    const nobody = "/v2/big/blobs/uploads/00000000-0000-4000-8000-000000000000";
    assert.deepEqual(await asks("PATCH", nobody), [false, 404, "close"]);
    const carrier = childOf(registry.process.pid!, "convey");
    assert.ok(carrier !== undefined);
    assert.equal(await registry.stop(), 0);
    assert.equal(fs.existsSync(`/proc/${carrier}/fd`), false);
    vitrine("registry", "check", "--root", root);
  });
});

/** The child of `parent` whose first argument is `word`. */
function childOf(parent: number, word: string): number | undefined {
  return fs
    .readdirSync("/proc")
    .map(Number)
    .find((pid) => {
      try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
        const itsParent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return (
          itsParent === parent && fs.readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0")[1] === word
        );
      } catch {
        return false;
      }
    });
}

/** Sends all, then reads; what came until the answer's head was whole. Throws where the connection was reset instead. */
function sendAll(address: string, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const [host, port] = address.split(":");
    const socket = net.connect(Number(port), host);
    let text = "";
    socket.pause();
    socket.on("error", reject);
    socket.on("data", (data: Buffer) => {
      text += data.toString("latin1");
      if (text.includes("\r\n\r\n")) socket.destroy();
    });
    socket.on("close", () => resolve(text));
    socket.write(bytes, () => socket.resume());
  });
}

/** One POST with everything in it; the status of the answer. */
function upload(address: string, digest: string, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      `http://${address}/v2/probe/blobs/uploads/?digest=${digest}`,
      {
        method: "POST",
        headers: { "Content-Type": "application/octet-stream", "Content-Length": bytes.length },
      },
      (response) => {
        response.resume();
        resolve(response.statusCode!);
      },
    );
    request.on("error", reject);
    request.end(bytes);
  });
}
