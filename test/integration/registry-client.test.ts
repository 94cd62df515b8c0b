/** Our client against docker-registry and our own registry: bytes equal in both directions, skopeo as the witness. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort } from "../support/free-port.ts";
import { type Served, serve } from "../support/served.ts";
import { cannotRun, findProgram, fixtures, isRoot, makeWorld, type World } from "./support.ts";

let world: World;
let own: Served | undefined;
/** Debian's. */
const servers: ChildProcess[] = [];
/** By the name of the program: `docker-registry`, `vitrine`. */
const addresses = new Map<string, string>();

before(async () => {
  world = makeWorld("client");
  const imported = world.run(["import", path.join(fixtures, "probe.tar"), "probe:1"]);
  assert.equal(imported.status, 0, imported.stderr);
  own = await serve(world, ["--root", path.join(world.directory, "served")]);
  addresses.set("vitrine", own.address);
  if (findProgram("docker-registry") !== undefined) addresses.set("docker-registry", await serveDebians());
});

after(async () => {
  await own?.stop();
  for (const server of servers) {
    if (server.exitCode !== null || server.signalCode !== null) continue;
    const ended = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGTERM");
    await ended;
  }
  await world[Symbol.asyncDispose]();
});

async function serveDebians(): Promise<string> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const port = await freePort();
    const server = startDebians(port);
    const ended = (): boolean => server.exitCode !== null || server.signalCode !== null;
    const serves = await until(
      async () => (ended() ? false : (await answers(port)) || undefined),
      "its start",
    );
    // Somebody else may have taken the port meanwhile: then it has ended, whoever answers there.
    if (serves && !ended()) return `127.0.0.1:${port}`;
  }
  throw new Error("docker-registry does not start");
}

function startDebians(port: number): ChildProcess {
  const config = path.join(world.directory, "docker-registry.yml");
  fs.writeFileSync(
    config,
    `version: 0.1
storage: { filesystem: { rootdirectory: ${path.join(world.directory, "debians")} }, delete: { enabled: true } }
http: { addr: "127.0.0.1:${port}" }
log: { level: error, accesslog: { disabled: true } }
`,
  );
  const server = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
  servers.push(server);
  return server;
}

/** Whether a registry is there: it says so in a header. */
async function answers(port: number): Promise<boolean> {
  try {
    const { headers } = await fetch(`http://127.0.0.1:${port}/v2/`, { signal: AbortSignal.timeout(5000) });
    return headers.has("docker-distribution-api-version");
  } catch {
    return false;
  }
}

async function until<T>(ready: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + 120_000;
  for (;;) {
    const value = await ready();
    if (value !== undefined) return value;
    assert.ok(performance.now() < deadline, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function ok(args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const done = world.run(args, { env });
  assert.equal(done.status, 0, `vitrine ${args.join(" ")}: ${done.stderr}`);
  return done.stdout.trim();
}

function skopeo(...args: readonly string[]): string {
  const done = spawnSync("skopeo", args, { cwd: world.directory, timeout: 120_000 });
  assert.equal(done.status, 0, `skopeo ${args.join(" ")}: ${done.stderr}`);
  return done.stdout.toString();
}

/** Digest → bytes of every blob of a layout. */
function blobsOf(layout: string): ReadonlyMap<string, string> {
  const directory = path.join(layout, "blobs/sha256");
  return new Map(
    fs.readdirSync(directory).map((name) => [name, fs.readFileSync(path.join(directory, name), "base64")]),
  );
}

for (const name of ["docker-registry", "vitrine"]) {
  describe(`the client with ${name}`, () => {
    const at = (t: { skip(reason: string): void }): string | undefined => {
      const address = addresses.get(name);
      if (address === undefined) cannotRun(t as never, `${name} is not installed`);
      return address;
    };
    const inWorld = (file: string): string => path.join(world.directory, `${name}-${file}`);

    it("pushes, and pulls the same bytes into a store of their own", (t) => {
      const address = at(t);
      if (address === undefined) return;
      const digest = ok([
        "push",
        "-q",
        "probe:1",
        `docker://${address}/team/probe:1`,
        "--additional-tag",
        "latest",
      ]);
      assert.equal(ok(["tags", `${address}/team/probe`]), "latest\n1");
      const other = { VITRINE_ROOT: inWorld("root") };
      const id = ok(["pull", "-q", `${address}/team/probe:1`], other);
      assert.equal(id, ok(["inspect", "-f", "{{.Id}}", "probe:1"]));
      assert.equal(ok(["pull", "-q", `${address}/team/probe@${digest}`], other), id);
      const again = world.run(["pull", `${address}/team/probe:1`], { env: other });
      assert.match(again.stderr, /is up to date/);
    });

    it("and skopeo read each other's pushes", (t) => {
      const address = at(t);
      if (address === undefined) return;
      if (findProgram("skopeo") === undefined) {
        cannotRun(t, "skopeo is not installed");
        return;
      }
      const [ours, theirs, back] = [inWorld("ours"), inWorld("theirs"), inWorld("back")];
      ok(["copy", "-q", "vitrine:probe:1", `oci:${ours}:1`]);
      // Its layer is a plain tar, which is compressed on the way unless the image is to stay as it is.
      ok(["copy", "-q", "--preserve-digests", `oci:${ours}:1`, `docker://${address}/round/ours:1`]);
      const plain = ["--insecure-policy", "copy", "-q", "--preserve-digests"];
      skopeo(...plain, "--src-tls-verify=false", `docker://${address}/round/ours:1`, `oci:${theirs}:1`);
      assert.deepEqual(blobsOf(theirs), blobsOf(ours));
      skopeo(...plain, "--dest-tls-verify=false", `oci:${theirs}:1`, `docker://${address}/round/theirs:1`);
      ok(["copy", "-q", `docker://${address}/round/theirs:1`, `oci:${back}:1`]);
      assert.deepEqual(blobsOf(back), blobsOf(ours));
    });

    it("copies through every kind of place and comes back to the same image", (t) => {
      const address = at(t);
      if (address === undefined) return;
      const start = ok(["copy", "-q", "vitrine:probe:1", `docker://${address}/way/probe:1`]);
      const way = [
        `docker://${address}/way/probe:1`,
        `dir:${inWorld("dir")}`,
        `oci-archive:${inWorld("a.tar")}:one`,
        `oci:${inWorld("lay")}:one`,
        `docker://${address}/way/again:2`,
      ];
      for (let step = 1; step < way.length; step++) {
        assert.equal(ok(["copy", "-q", way[step - 1]!, way[step]!]), start, `to ${way[step]}`);
      }
      ok(["copy", "-q", `docker://${address}/way/again:2`, `docker-archive:${inWorld("d.tar")}:probe:9`]);
      ok(["copy", "-q", `docker-archive:${inWorld("d.tar")}`, "vitrine:nine:9"]);
      assert.equal(ok(["inspect", "-f", "{{.Id}}", "nine:9"]), ok(["inspect", "-f", "{{.Id}}", "probe:1"]));
    });

    it("recompresses on push, and what comes back is the same image", (t) => {
      const address = at(t);
      if (address === undefined) return;
      ok(["push", "-q", "--compression-format", "zstd", "probe:1", `docker://${address}/team/zstd:1`]);
      assert.match(ok(["manifest", "inspect", `docker://${address}/team/zstd:1`]), /tar\+zstd/);
      const chunked = `docker://${address}/team/chunked:1`;
      ok(["push", "-q", "--compression-format", "zstd:chunked", "probe:1", chunked]);
      assert.match(ok(["manifest", "inspect", chunked]), /zstd-chunked\.manifest-position/);
      const again = ok([
        "copy",
        "-q",
        "--compression-format",
        "zstd:chunked",
        chunked,
        `oci:${inWorld("ch")}:1`,
      ]);
      assert.equal(ok(["manifest", "inspect", "--digest", chunked]), again, "what is so stays so");
      const gzip = ["copy", "-q", "--compression-format", "gzip", chunked, `dir:${inWorld("no-chunks")}`];
      ok(gzip);
      const manifest = fs.readFileSync(path.join(inWorld("no-chunks"), "manifest.json"), "utf8");
      assert.doesNotMatch(manifest, /zstd/, "what was said of the other bytes goes");
      ok([
        "push",
        "-q",
        "--format",
        "v2s2",
        "--compression-format",
        "gzip",
        "probe:1",
        `docker://${address}/team/v2s2:1`,
      ]);
      assert.match(
        ok(["manifest", "inspect", `docker://${address}/team/v2s2:1`]),
        /docker\.distribution\.manifest\.v2/,
      );
      for (const tag of ["zstd", "v2s2", "chunked"]) {
        const id = ok(["inspect", "-f", "{{.Id}}", `docker://${address}/team/${tag}:1`]);
        assert.equal(id, ok(["inspect", "-f", "{{.Id}}", "probe:1"]));
        const other = { VITRINE_ROOT: inWorld(`packed-${tag}`) };
        ok(["pull", "-q", `${address}/team/${tag}:1`], other);
        assert.equal(ok(["inspect", "-f", "{{.Id}}", `${address}/team/${tag}:1`], other), id);
      }
    });

    it("makes an index, pushes it, and pulls its own platform", (t) => {
      const address = at(t);
      if (address === undefined) return;
      ok(["manifest", "create", "-a", "multi:1", "probe:1"]);
      const digest = ok(["manifest", "push", "-q", "multi:1", `docker://${address}/team/multi:1`]);
      const other = { VITRINE_ROOT: inWorld("multi") };
      ok(["pull", "-q", `${address}/team/multi:1`], other);
      assert.equal(ok(["manifest", "inspect", "--digest", `${address}/team/multi:1`], other), digest);
      const wrong = world.run(["pull", "-q", "--platform", "linux/s390x", `${address}/team/multi:1`], {
        env: other,
      });
      assert.equal(wrong.status, 125);
      assert.match(wrong.stderr, /nothing for platform linux\/s390x/);
    });

    it("keeps artifacts, attaches them, and finds them again", (t) => {
      const address = at(t);
      if (address === undefined) return;
      const file = inWorld("sbom.json");
      fs.writeFileSync(file, '{"sbom":true}');
      ok(["push", "-q", "probe:1", `docker://${address}/team/probe:1`]);
      const digest = ok([
        "artifact",
        "attach",
        "-q",
        "-t",
        "application/spdx+json",
        `${address}/team/probe:1`,
        file,
      ]);
      assert.match(
        ok(["referrers", `${address}/team/probe:1`]),
        new RegExp(`application/spdx\\+json ${digest}`),
      );
      ok(["artifact", "pull", "-o", inWorld("files"), `${address}/team/probe@${digest}`]);
      assert.equal(
        fs.readFileSync(path.join(inWorld("files"), path.basename(file)), "utf8"),
        '{"sbom":true}',
      );
      ok(["delete", `${address}/team/probe@${digest}`]);
      assert.doesNotMatch(ok(["referrers", `${address}/team/probe:1`]), /spdx/);
    });

    it("keeps directories in artifacts, packed as oras packs them", (t) => {
      const address = at(t);
      if (address === undefined) return;
      const site = inWorld("site");
      const note = inWorld("note");
      fs.writeFileSync(note, "text");
      fs.mkdirSync(path.join(site, "sub"), { recursive: true });
      fs.writeFileSync(path.join(site, "sub/index.html"), "<p>");
      fs.symlinkSync("sub/index.html", path.join(site, "start"));
      ok(["artifact", "push", "-q", `${address}/team/site:1`, site, `${note}:text/plain`]);
      const manifest = JSON.parse(ok(["inspect", "--raw", `docker://${address}/team/site:1`]));
      assert.equal(manifest.layers[0].mediaType, "application/vnd.oci.image.layer.v1.tar+gzip");
      assert.equal(manifest.layers[0].annotations["io.deis.oras.content.unpack"], "true");
      const out = inWorld("pulled");
      ok(["artifact", "pull", "-o", out, `${address}/team/site:1`]);
      assert.equal(fs.readFileSync(path.join(out, path.basename(site), "start"), "utf8"), "<p>");
      assert.equal(fs.readFileSync(path.join(out, path.basename(note)), "utf8"), "text");
      const again = world.run(["artifact", "pull", "--overwrite", "-o", out, `${address}/team/site:1`]);
      assert.match(again.stderr, /is there already/);
    });

    it("syncs by a list, and deletes", (t) => {
      const address = at(t);
      if (address === undefined) return;
      for (const tag of ["1.0", "1.1", "2.0"])
        ok(["push", "-q", "probe:1", `docker://${address}/list/app:${tag}`]);
      const list = inWorld("list.yaml");
      fs.writeFileSync(list, `"${address}":\n  images-by-semver:\n    list/app: ">= 1.1"\n`);
      ok(["sync", "-q", list, `docker://${address}/mirror`]);
      assert.equal(ok(["tags", `${address}/mirror/app`]), "1.1\n2.0");
      ok(["delete", `${address}/mirror/app:1.1`]);
      assert.equal(ok(["tags", `${address}/mirror/app`]), "");
    });

    it("runs what it has to fetch first", (t) => {
      const address = at(t);
      if (address === undefined) return;
      if (!isRoot) return cannotRun(t, "the fixture runs as root here");
      ok(["push", "-q", "probe:1", `docker://${address}/team/probe:1`]);
      const env = { VITRINE_ROOT: inWorld("run") };
      const image = `${address}/team/probe:1`;
      const never = world.run(["run", "--rm", "--pull", "never", "--network", "none", image, "/bin/true"], {
        env,
      });
      assert.match(never.stderr, /there is no image/);
      const done = world.run(["run", "--rm", "--network", "none", image, "/nonexistent"], { env });
      assert.match(done.stderr, /Pulling/);
      assert.equal(done.status, 127, done.stderr);
    });
  });
}

describe("a pull", () => {
  it("that is killed goes on from what it got", async (t) => {
    const address = addresses.get("vitrine")!;
    const big = path.join(world.directory, "big");
    fs.mkdirSync(big);
    const bytes = Buffer.alloc(64 * 1024 * 1024);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(Math.imul(at + 1, 2654435761) >>> 0, at);
    fs.writeFileSync(path.join(big, "data"), bytes);
    const tar = spawnSync("tar", ["-C", big, "-c", "."], { maxBuffer: 128 * 1024 * 1024 });
    const imported = world.run(["import", "-", "big:1"], { input: tar.stdout });
    assert.equal(imported.status, 0, imported.stderr);
    ok(["push", "-q", "big:1", `docker://${address}/team/big:1`]);
    const root = path.join(world.directory, "killed");
    const temporary = path.join(root, "tmp");
    const child = world.start(["pull", "-q", `${address}/team/big:1`], { env: { VITRINE_ROOT: root } });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const size = (): number =>
      fs.existsSync(temporary)
        ? Math.max(
            0,
            ...fs
              .readdirSync(temporary)
              .filter((name) => name.startsWith("partial-"))
              .map((name) => fs.statSync(path.join(temporary, name), { throwIfNoEntry: false })?.size ?? 0),
          )
        : 0;
    const deadline = performance.now() + 120_000;
    while (size() < 1024 * 1024 && child.exitCode === null && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    child.kill("SIGKILL");
    await ended;
    const kept = size();
    if (kept === 0) return cannotRun(t, "the pull was over before it could be killed");
    const env = { VITRINE_ROOT: root };
    ok(["--log-level", "info", "pull", "-q", `${address}/team/big:1`], env);
    assert.equal(
      ok(["inspect", "-f", "{{.Id}}", `${address}/team/big:1`], env),
      ok(["inspect", "-f", "{{.Id}}", "big:1"]),
    );
    assert.deepEqual(fs.readdirSync(path.join(temporary, "partials")), []);
  });

  it("that finds a damaged part of a layer fetches the whole", () => {
    const address = addresses.get("vitrine")!;
    ok(["push", "-q", "probe:1", `docker://${address}/team/part:1`]);
    const manifest = JSON.parse(ok(["manifest", "inspect", `docker://${address}/team/part:1`])) as {
      readonly layers: readonly { readonly digest: string; readonly size: number }[];
    };
    const { digest, size } = manifest.layers[0]!;
    const good = path.join(world.directory, "good");
    ok(["copy", "-q", `docker://${address}/team/part:1`, `dir:${good}`]);
    const layer = fs.readFileSync(path.join(good, digest.slice("sha256:".length)));
    const flipped = Buffer.from(layer.subarray(0, size - 10));
    flipped[Math.floor(size / 2)]! ^= 0xff;
    for (const [name, part] of [
      ["flipped", flipped],
      ["other", Buffer.alloc(100_000, "x")],
      ["whole", Buffer.alloc(size)],
    ] as const) {
      const root = path.join(world.directory, `damaged-${name}`);
      const partials = path.join(root, "tmp", "partials");
      fs.mkdirSync(partials, { recursive: true });
      fs.writeFileSync(path.join(partials, digest.replace(":", "-")), part);
      const env = { VITRINE_ROOT: root };
      ok(["pull", "-q", `${address}/team/part:1`], env);
      assert.equal(
        ok(["inspect", "-f", "{{.Id}}", `${address}/team/part:1`], env),
        ok(["inspect", "-f", "{{.Id}}", "probe:1"]),
      );
      assert.deepEqual(fs.readdirSync(partials), []);
    }
  });
});
