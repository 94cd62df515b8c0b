/** What scripts bring along from skopeo, podman and docker: flags of either side, indexes edited in place, levels, Ctrl-C. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import bcrypt from "bcryptjs";
import { type Served, serve } from "../support/served.ts";
import { fixtures, makeWorld, vitrine, type World } from "./support.ts";

let world: World;
let open: Served;
let guarded: Served;

before(async () => {
  world = makeWorld("registry-flags");
  ok(["import", path.join(fixtures, "probe.tar"), "probe:1"]);
  const users = path.join(world.directory, "users");
  fs.writeFileSync(users, `me:${bcrypt.hashSync("secret", 4)}\n`);
  open = await serve(world, ["--root", path.join(world.directory, "open")]);
  guarded = await serve(world, [
    "--root",
    path.join(world.directory, "guarded"),
    "--auth",
    `htpasswd=${users}`,
  ]);
});

after(async () => {
  await open?.[Symbol.asyncDispose]();
  await guarded?.[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

function ok(args: readonly string[]): string {
  const done = world.run(args);
  assert.equal(done.status, 0, `vitrine ${args.join(" ")}: ${done.stderr}`);
  return done.stdout.trim();
}

function fails(args: readonly string[], text: RegExp): void {
  const done = world.run(args);
  assert.equal(done.status, 125, done.stdout);
  assert.match(done.stderr, text);
}

interface Manifest {
  readonly manifests: readonly { readonly digest: string; readonly platform: Record<string, string> }[];
  readonly layers: readonly { readonly mediaType: string; readonly digest: string; readonly size: number }[];
}

const manifestOf = (name: string): Manifest => JSON.parse(ok(["manifest", "inspect", name])) as Manifest;

describe("copy between registries", () => {
  it("says who we are to each side alone", () => {
    ok(["push", "-q", "probe:1", `${open.address}/probe:1`]);
    const [from, to] = [`docker://${open.address}/probe:1`, `docker://${guarded.address}/me/probe:1`];
    fails(["copy", "-q", from, to], /wants to know who you are/);
    fails(["copy", "-q", "--dest-creds", "me:wrong", from, to], /does not accept the user name/);
    const digest = ok(["copy", "-q", "--src-no-creds", "--dest-creds", "me:secret", from, to]);
    // The credentials of both are left to the side that has none of its own.
    ok(["copy", "-q", "--creds", "me:secret", "--dest-no-creds", to, `docker://${open.address}/back:1`]);
    assert.equal(ok(["manifest", "inspect", "--digest", `docker://${open.address}/back:1`]), digest);
    const named = ["--dest-username", "me", "--dest-password", "secret"];
    assert.equal(ok(["copy", "-q", "--src-no-creds", ...named, from, to]), digest);
    ok(["tags", "--username", "me", "--password", "secret", `${guarded.address}/me/probe`]);
    fails(["tags", "--password", "secret", `${guarded.address}/me/probe`], /--password needs --username/);
    fails(["copy", "-q", "--dest-username", "me", from, to], /hint: log in before: vitrine login/);
    fails(["copy", "-q", "--creds", "me:secret", "--no-creds", from, to], /exclude each other/);
    fails(["pull", "-q", "--no-creds", `${guarded.address}/me/probe:1`], /wants to know who you are/);
  });
});

describe("layers on their way to a registry", () => {
  it("are compressed at the level that is asked for, also when they have the format", () => {
    const at = (tag: string): string => `docker://${open.address}/levels:${tag}`;
    const before = ok(["push", "-q", "probe:1", at("as-is")]);
    assert.equal(ok(["push", "-q", "--compression-format", "gzip", "probe:1", at("gzip")]), before);
    ok(["push", "-q", "--compression-level", "1", "probe:1", at("fast")]);
    ok(["push", "-q", "--compression-level", "9", "probe:1", at("small")]);
    const size = (tag: string): number => manifestOf(at(tag)).layers[0]!.size;
    assert.ok(size("fast") > size("small"));
    fails(
      ["push", "-q", "--compression-level", "10", "probe:1", at("no")],
      /gzip has no compression level 10/,
    );
    fails(
      ["push", "-q", "--preserve-digests", "--compression-level", "1", "probe:1", at("no")],
      /exclude each other/,
    );
  });

  it("are not plain, unless that is asked for", () => {
    const archive = path.join(world.directory, "plain.tar");
    ok(["copy", "-q", "vitrine:probe:1", `docker-archive:${archive}:docker.io/library/plain:1`]);
    const at = (tag: string): string => `docker://${open.address}/plain:${tag}`;
    ok(["load", "-q", "-i", archive]);
    const typeOf = (tag: string): string => manifestOf(at(tag)).layers[0]!.mediaType;
    ok(["push", "-q", "plain:1", at("1")]);
    assert.match(typeOf("1"), /gzip$/);
    ok(["copy", "-q", `docker-archive:${archive}`, at("2")]);
    assert.match(typeOf("2"), /gzip$/);
    ok(["push", "-q", "--compression-format", "none", "plain:1", at("3")]);
    assert.match(typeOf("3"), /tar$/);
    ok(["push", "-q", "--preserve-digests", "plain:1", at("4")]);
    assert.match(typeOf("4"), /tar$/);
    ok(["copy", "-q", "--dest-decompress", at("1"), `dir:${archive}.d`]);
    assert.match(fs.readFileSync(path.join(`${archive}.d`, "manifest.json"), "utf8"), /layer\.v1\.tar"/);
    ok(["copy", "-q", "--dest-compress", `dir:${archive}.d`, `dir:${archive}.z`]);
    assert.match(fs.readFileSync(path.join(`${archive}.z`, "manifest.json"), "utf8"), /tar\+gzip"/);
    fails(["copy", "--dest-compress", "--dest-decompress", at("1"), at("9")], /exclude each other/);
    ok(["push", "-q", "-D", "plain:1", at("5")]);
    assert.match(typeOf("5"), /tar$/);
    ok(["pull", "-q", "--remove-signatures", `${open.address}/plain:1`]);
    assert.equal(
      ok(["inspect", "-f", "{{.Id}}", `${open.address}/plain:1`]),
      ok(["inspect", "-f", "{{.Id}}", "probe:1"]),
    );
  });
});

describe("manifest", () => {
  it("edits an index in place, as podman does", () => {
    const nameless = (): number =>
      ok(["images", "-q", "--filter", "dangling=true"]).split("\n").filter(Boolean).length;
    const before = nameless();
    ok(["manifest", "create", "list:1"]);
    assert.equal(world.run(["manifest", "exists", "list:1"]).status, 0);
    assert.equal(world.run(["manifest", "exists", "probe:1"]).status, 1);
    ok(["manifest", "add", "--arch", "arm64", "--variant", "v8", "list:1", "probe:1"]);
    ok(["manifest", "annotate", "--os-version", "1", "list:1", "probe:1"]);
    const [entry] = manifestOf("list:1").manifests;
    assert.deepEqual(entry!.platform, {
      architecture: "arm64",
      os: "linux",
      "os.version": "1",
      variant: "v8",
    });
    ok(["import", "-c", 'CMD ["x"]', path.join(fixtures, "probe.tar"), "probe:2"]);
    // Adds to what is there.
    ok(["manifest", "create", "--amend", "list:1", "probe:2"]);
    assert.equal(manifestOf("list:1").manifests.length, 2);
    fails(["manifest", "create", "list:1"], /there is an image/);
    fails(["manifest", "remove", "list:1", "nope"], /has no nope/);
    ok(["manifest", "remove", "list:1", "probe:2"]);
    assert.deepEqual(
      manifestOf("list:1").manifests.map(({ digest }) => digest),
      [entry!.digest],
    );
    assert.equal(nameless(), before);
    fails(["manifest", "rm", "probe:1"], /is one image, not an index/);
    const removed = ok(["manifest", "rm", "list:1"]);
    assert.doesNotMatch(removed, new RegExp(ok(["inspect", "-f", "{{.Id}}", "probe:1"])));
    ok(["manifest", "rm", "--ignore", "list:1"]);
    assert.equal(world.run(["manifest", "exists", "list:1"]).status, 1);
  });
});

describe("manifest push", () => {
  it("adds each image in another compression, and keeps those that are there", () => {
    ok(["manifest", "create", "both:1", "probe:1"]);
    const at = `docker://${open.address}/both:1`;
    const adds = ["--add-compression", "zstd", "--add-compression=none-such"];
    fails(["manifest", "push", "-q", ...adds, "both:1", at], /hint: one of gzip, zstd/);
    adds[2] = "--add-compression=gzip,zstd:chunked,zstd";
    const pushed = ok(["manifest", "push", "-q", ...adds, "both:1", at]);
    const index = JSON.parse(ok(["manifest", "inspect", at])) as {
      readonly manifests: readonly {
        readonly digest: string;
        readonly platform: object;
        readonly annotations?: object;
      }[];
    };
    const [first, second, third, fourth, ...more] = index.manifests;
    assert.equal(more.length, 0, "none comes twice");
    assert.equal(first!.digest, manifestOf("both:1").manifests[0]!.digest);
    assert.equal(first!.annotations, undefined);
    const marked = { "io.github.containers.compression.zstd": "true" };
    for (const entry of [second, third, fourth]) {
      assert.deepEqual(entry!.annotations, entry === third ? undefined : marked);
      assert.deepEqual(entry!.platform, first!.platform);
    }
    const types = index.manifests.map(
      ({ digest }) => manifestOf(`docker://${open.address}/both@${digest}`).layers[0]!.mediaType,
    );
    assert.deepEqual(
      types.map((type) => type.split("+")[1]),
      [undefined, "zstd", "gzip", "zstd"],
    );
    assert.equal(ok(["manifest", "inspect", "--digest", at]), pushed);
  });

  it("sends an index that refers to an image", () => {
    const subject = ok(["push", "-q", "probe:1", `${open.address}/ref:1`]);
    ok(["manifest", "create", "about:1", "probe:1"]);
    ok(["manifest", "annotate", "--index", "--subject", `docker://${open.address}/ref:1`, "about:1"]);
    const pushed = ok(["manifest", "push", "-q", "about:1", `docker://${open.address}/ref:about`]);
    assert.match(ok(["referrers", `${open.address}/ref@${subject}`]), new RegExp(pushed.slice(7, 19)));
    ok(["manifest", "annotate", "--index", "--subject=", "about:1"]);
    assert.doesNotMatch(ok(["manifest", "inspect", "about:1"]), /subject/);
    fails(["manifest", "annotate", "--subject", "probe:1", "about:1", "probe:1"], /with --index/);
  });
});

describe("login", () => {
  it("keeps credentials as docker reads them, where that is asked for", () => {
    const file = path.join(world.directory, "docker.json");
    const login = (...args: string[]) =>
      world.run(["login", "-u", "me", "--password-stdin", ...args], { input: "secret" });
    assert.equal(login("--compat-auth-file", file, guarded.address).status, 0);
    const auth = Buffer.from("me:secret").toString("base64");
    assert.deepEqual(JSON.parse(fs.readFileSync(file, "utf8")), { auths: { [guarded.address]: { auth } } });
    assert.match(login("--compat-auth-file", file, `${guarded.address}/a`).stderr, /no namespaces/);
    assert.match(login("--compat-auth-file", file, "--authfile", file, "x").stderr, /exclude each other/);
    ok(["tags", "--authfile", file, `${guarded.address}/me/probe`]);
    assert.equal(
      ok(["logout", "--compat-auth-file", file, guarded.address]),
      `Removed login credentials for ${guarded.address}`,
    );
    assert.deepEqual(JSON.parse(fs.readFileSync(file, "utf8")), { auths: {} });
  });
});

describe("pull and inspect", () => {
  it("have podman's and skopeo's flags", () => {
    const name = `${open.address}/flags:1`;
    const digest = ok(["push", "-q", "probe:1", name]);
    const id = ok(["pull", "-q", "--policy", "missing", name]);
    ok(["delete", name]);
    assert.equal(ok(["pull", "-q", "--policy", "missing", name]), id);
    assert.equal(ok(["pull", "-q", "--policy", "never", name]), id);
    fails(["pull", "-q", "--policy", "always", name], /manifest unknown/);
    fails(["pull", "-q", "--policy", "never", "zork"], /there is no image "zork"/);
    ok(["push", "-q", "probe:1", name]);
    fails(["pull", "-q", "--arch", "s390x", name], /nothing for platform linux\/s390x/);
    fails(["pull", "-q", "--arch", "s390x", "--platform", "linux/amd64", name], /exclude each other/);
    fails(["pull", "-q", "--retry", "-1", name], /invalid value "-1" for --retry/);
    const sha256 = (args: readonly string[]): string =>
      `sha256:${createHash("sha256").update(world.run(args).stdout).digest("hex")}`;
    assert.equal(sha256(["inspect", "--raw", `docker://${name}`]), digest);
    assert.equal(sha256(["inspect", "--raw", "--config", `docker://${name}`]), id);
    assert.equal((JSON.parse(ok(["inspect", "--config", "probe:1"])) as { os: string }).os, "linux");
    fails(["inspect", "--raw", "zork"], /there is no image "zork"/);
    ok(["copy", "-q", `docker://${name}`, `oci:${world.directory}/kept/layout:1`]);
    const there = world.run(["inspect", "-f", "{{.Id}}", "oci:kept/layout:1"], { cwd: world.directory });
    assert.equal(there.stdout.trim(), id, there.stderr);
    fails(["inspect", "oci:5000/layout"], /there is no container, image or volume/);
  });

  it("take what is here where only something newer was asked for", () => {
    const away = "127.0.0.1:1/away:1";
    ok(["tag", "probe:1", away]);
    const pull = ["pull", "-q", "--retry", "0"];
    fails([...pull, away], /cannot connect/);
    assert.equal(ok([...pull, "--policy", "newer", away]), ok(["inspect", "-f", "{{.Id}}", "probe:1"]));
    fails([...pull, "--policy", "newer", "127.0.0.1:1/never:1"], /cannot connect/);
    ok(["rmi", away]);
  });

  it("do not hide an answer that is wrong behind what is here", async () => {
    const server = http.createServer((_, response) => response.end("no manifest"));
    await using _server = { [Symbol.asyncDispose]: async () => void server.close() };
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const name = `127.0.0.1:${(server.address() as net.AddressInfo).port}/wrong:1`;
    ok(["tag", "probe:1", name]);
    const child = world.start([
      "pull",
      "-q",
      "--retry",
      "0",
      "--tls-verify=false",
      "--policy",
      "newer",
      name,
    ]);
    const status = await new Promise<number | null>((resolve) => child.once("exit", resolve));
    assert.ok(status !== null && status > 0, `${status}`);
    ok(["rmi", name]);
  });

  it("tell what each of several registries said", () => {
    const config = path.join(world.directory, "registries.conf");
    fs.writeFileSync(config, `unqualified-search-registries = ["${open.address}", "${guarded.address}"]\n`);
    const done = world.run(["pull", "-q", "zork"], { env: { CONTAINERS_REGISTRIES_CONF: config } });
    assert.equal(done.status, 125);
    assert.match(
      done.stderr,
      /none of 2 registries gives "zork": .*name not known.*; .*wants to know who you are/,
    );
  });
});

describe("artifact push", () => {
  it("writes the digest where it is told to", () => {
    const [file, digestFile] = ["note.txt", "note.digest"].map((name) =>
      path.join(world.directory, name),
    ) as [string, string];
    fs.writeFileSync(file, "note");
    const digest = ok(["artifact", "push", "-q", "--digestfile", digestFile, `${open.address}/note:1`, file]);
    assert.equal(fs.readFileSync(digestFile, "utf8"), digest);
    const told = world.run(["artifact", "push", `${open.address}/note:1`, file]).stderr;
    assert.match(told, /is there already/);
  });
});

describe("run and create", () => {
  it("take what pull takes to reach the registry", () => {
    const name = `${guarded.address}/me/run:1`;
    ok(["push", "-q", "--creds", "me:secret", "probe:1", name]);
    for (const verb of ["run", "create"]) {
      fails([verb, "-q", "--network", "none", name, "/probe"], /wants to know who you are/);
      fails([verb, "-q", "--tls-verify", "--creds", "me:secret", name, "/probe"], /does not speak TLS/);
    }
    const id = ok([
      "create",
      "-q",
      "--network",
      "none",
      "--tls-verify=false",
      "--creds",
      "me:secret",
      name,
      "/probe",
    ]);
    ok(["rm", id]);
    assert.equal(world.run(["image", "exists", name]).status, 0);
  });
});

describe("sync", () => {
  it("goes from a registry to a directory and on to another registry, as skopeo does", () => {
    for (const tag of ["1", "2"]) ok(["push", "-q", "probe:1", `${open.address}/lib/app:${tag}`]);
    const carried = path.join(world.directory, "carried");
    const from = ["sync", "-q", "--scoped", "--src", "docker", "--dest", "dir"];
    ok([...from, `${open.address}/lib/app`, carried]);
    assert.deepEqual(fs.readdirSync(path.join(carried, open.address, "lib")).sort(), ["app:1", "app:2"]);
    const to = ["sync", "-q", "--src", "dir", "--dest", "docker", "--dest-creds", "me:secret"];
    const list = path.join(world.directory, "digests");
    ok([...to, "--append-suffix", "-copy", "--digestfile", list, carried, `${guarded.address}/mirror`]);
    const lines = fs.readFileSync(list, "utf8").trimEnd().split("\n");
    assert.equal(lines.length, 2);
    for (const [at, line] of lines.entries()) {
      const tag = `${guarded.address}/mirror/app:${at + 1}-copy`;
      const there = JSON.parse(ok(["inspect", "--creds", "me:secret", `docker://${tag}`])) as {
        Digest: string;
      }[];
      assert.equal(line, `${there[0]!.Digest} docker://${tag}`);
    }
    const tags = ["tags", "--creds", "me:secret", "--sort", "name", `${guarded.address}/mirror/app`];
    assert.equal(ok(tags), "1-copy\n2-copy");
    assert.equal(ok([...tags, "--limit", "1"]), "1-copy");
    assert.equal(ok([...tags, "--last", "1"]), "2-copy");
    fails([...tags, "--limit", "-1"], /invalid value/);
    ok([
      "sync",
      "-q",
      "--src",
      "docker",
      "--dest-creds",
      "me:secret",
      `${open.address}/lib/app:2`,
      `docker://${guarded.address}/one`,
    ]);
    assert.equal(ok(["tags", "--creds", "me:secret", `${guarded.address}/one/app`]), "2");
    fails([...to, path.join(world.directory, "users"), `${guarded.address}/mirror`], /no image below/);
    fails(["sync", "-q", "--src", "dir", carried, "dir:x"], /is copied to a registry/);
    const skopeo = spawnSync("skopeo", ["inspect", `dir:${carried}/${open.address}/lib/app:1`]);
    if (skopeo.error === undefined) assert.equal(skopeo.status, 0, skopeo.stderr.toString());
  });
});

describe("sync by a list", () => {
  it("goes past what is not there where it may, and gives what is named by digest no tag", () => {
    const digest = ok(["push", "-q", "probe:1", `${open.address}/listed/app:1`]);
    const list = path.join(world.directory, "list.yaml");
    fs.writeFileSync(
      list,
      `"${open.address}":\n  images:\n    listed/none: []\n    listed/app: ["1", "${digest}"]\n`,
    );
    fails(["sync", "-q", list, `docker://${open.address}/to`], /has no .*listed\/none/);
    const digestfile = path.join(world.directory, "synced");
    const going = ["sync", "-q", "--keep-going", "--digestfile", digestfile];
    const done = world.run([...going, list, `docker://${open.address}/to`]);
    assert.equal(done.status, 1, "the exit status tells");
    assert.match(done.stderr, /listed\/none: .*has no/);
    assert.equal(
      fs.readFileSync(digestfile, "utf8"),
      `${digest} docker://${open.address}/to/app:1\n${digest} docker://${open.address}/to/app@${digest}\n`,
    );
    assert.equal(ok(["tags", `${open.address}/to/app`]), "1", "sha256-… is the tag of referrers");
    const directory = path.join(world.directory, "by-list");
    assert.equal(world.run([...going, list, `dir:${directory}`]).status, 1);
    assert.deepEqual(fs.readdirSync(directory).sort(), ["app:1", `app@${digest}`]);
    ok(["sync", "-q", "--src", "dir", directory, `docker://${open.address}/again`]);
    assert.equal(ok(["tags", `${open.address}/again/app`]), "1");
    ok(["manifest", "inspect", `docker://${open.address}/again/app@${digest}`]);
    const named = ["tags", "--format", "{{.Name}} is {{.Tag}}", `${open.address}/again/app`];
    assert.equal(ok(named), `${open.address}/again/app is 1`);
  });
});

describe("registry catalog", () => {
  it("lists the repositories of any registry that tells", () => {
    ok(["push", "-q", "probe:1", `${open.address}/some/where:1`]);
    const all = ok(["registry", "catalog", open.address]).split("\n");
    assert.ok(all.includes("some/where") && all.length > 1, all.join());
    const one = ["registry", "ls", "--full-ref", `docker://${open.address}`, "some/*"];
    assert.equal(ok(one), `${open.address}/some/where`);
    assert.deepEqual(JSON.parse(ok(["registry", "ls", "--format", "json", open.address, "some/*"])), {
      Registry: open.address,
      Repositories: ["some/where"],
    });
    fails(["registry", "catalog", guarded.address], /wants to know who you are/);
  });
});

describe("the registry's commands", () => {
  it("do not take a wrong directory for an empty registry, nor a key for another's", () => {
    const nowhere = path.join(world.directory, "nowhere");
    for (const verb of ["check", "gc"])
      fails(["registry", verb, "--root", nowhere], /there is no registry in/);
    assert.equal(fs.existsSync(nowhere), false);
    const [a, b] = ["a", "b"].map((name) => path.join(world.directory, name));
    for (const file of [a, b]) {
      const args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"];
      assert.equal(
        spawnSync("openssl", [...args, "-keyout", `${file}.key`, "-out", `${file}.crt`]).status,
        0,
      );
    }
    const serving = [
      "registry",
      "serve",
      "--addr",
      "127.0.0.1:0",
      "--root",
      nowhere,
      "--tls-cert",
      `${a}.crt`,
    ];
    fails([...serving, "--tls-key", `${b}.key`], /is not that of the certificate/);
    fails([...serving, "--tls-key", `${b}.crt`], /holds no key that can be read/);
  });
});

describe("Ctrl-C", () => {
  it("ends the wait for a registry that says nothing", async () => {
    for (const words of [["pull"], ["push", "probe:1"], ["run", "--rm"]]) {
      // Of its own for each: nobody's earlier connection is taken for that of the next.
      const server = net.createServer(() => undefined);
      await using _server = { [Symbol.asyncDispose]: async () => void server.close() };
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as net.AddressInfo;
      const args = [...words, `127.0.0.1:${port}/silent`];
      const connected = new Promise<void>((resolve) => server.once("connection", () => resolve()));
      const child = world.start(args);
      // The launcher may have connected before the engine hears of signals: a shell calls its end 130 as well.
      const ended = new Promise<number | null>((resolve) =>
        child.once("exit", (status, signal) => resolve(signal === "SIGINT" ? 130 : status)),
      );
      await connected;
      const since = performance.now();
      child.kill("SIGINT");
      assert.equal(await ended, 130, words[0]!);
      assert.ok(performance.now() - since < 20_000);
    }
  });

  it("at a terminal is no failure of the helper, and what came is kept", async () => {
    const big = path.join(world.directory, "big");
    fs.mkdirSync(big);
    const bytes = Buffer.alloc(32 * 1024 * 1024);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(Math.imul(at + 1, 2654435761) >>> 0, at);
    fs.writeFileSync(path.join(big, "data"), bytes);
    const tar = spawnSync("tar", ["-C", big, "-c", "."], { maxBuffer: 64 * 1024 * 1024 });
    assert.equal(world.run(["import", "-", "big:1"], { input: tar.stdout }).status, 0);
    ok(["push", "-q", "big:1", `${open.address}/big:1`]);
    ok(["rmi", "-f", "big:1"]);
    // Eight MiB pass, then nothing.
    const [, upstream] = open.address.split(":");
    const proxy = net.createServer((client) => {
      const server = net.connect(Number(upstream), "127.0.0.1");
      let passed = 0;
      client.pipe(server);
      server.on("data", (data: Buffer) => {
        client.write(data);
        passed += data.length;
        if (passed > 8 * 1024 * 1024) server.pause();
      });
      for (const socket of [client, server]) socket.on("error", () => undefined);
      client.on("close", () => server.destroy());
    });
    await using _proxy = { [Symbol.asyncDispose]: async () => void proxy.close() };
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as net.AddressInfo;
    const root = path.join(world.directory, "stopped");
    const child = spawn(vitrine, ["pull", `127.0.0.1:${port}/big:1`], {
      env: { ...world.env, VITRINE_ROOT: root },
      detached: true,
    });
    let told = "";
    child.stderr?.on("data", (data: Buffer) => {
      told += data.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.once("close", (status) => resolve(status)));
    const temporary = path.join(root, "tmp");
    const arrived = (): boolean =>
      fs.existsSync(temporary) &&
      fs
        .readdirSync(temporary)
        .some(
          (name) =>
            name.startsWith("partial-") &&
            (fs.statSync(path.join(temporary, name), { throwIfNoEntry: false })?.size ?? 0) > 4 * 1024 * 1024,
        );
    const deadline = performance.now() + 120_000;
    while (!arrived() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
    // As a terminal does it: to everybody in the group.
    process.kill(-child.pid!, "SIGINT");
    assert.equal(await ended, 130, told);
    assert.doesNotMatch(told, /helper/);
    assert.match(told, /interrupted/);
    assert.equal(fs.readdirSync(path.join(temporary, "partials")).length, 1);
  });
});
