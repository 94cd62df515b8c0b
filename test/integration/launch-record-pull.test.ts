/** `pull` of what is present, repeated without the engine: the same as with it, and never where the registry or this side changed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { serve } from "../support/served.ts";
import { same, settle, warmUp, withoutEngine } from "./launch-record-support.ts";
import { makeRunWorld } from "./run-support.ts";
import { fixtures, type Result } from "./support.ts";

const world = makeRunWorld("launch-pull");
const off = { env: { VITRINE_LAUNCH_RECORD: "0" } };

/**
 * Answers the launcher, which says that it ends the connection, with the bytes of one file, the engine with those of another, but once with
 * those of a third where that is there; each connection and each question's first line is kept.
 */
const answerFile = path.join(world.directory, "answer");
const usualFile = path.join(world.directory, "usual");
const onceFile = path.join(world.directory, "once");
const askedFile = path.join(world.directory, "asked");
const answering = `
const [answer, usual, once, asked] = process.argv.slice(1);
const fs = require("node:fs");
const server = require("node:net").createServer((socket) => {
  let text = "";
  fs.appendFileSync(asked, "connection\\n");
  socket.on("error", () => undefined);
  socket.on("data", (data) => {
    text += data;
    if (!text.includes("\\r\\n\\r\\n")) return;
    fs.appendFileSync(asked, text.split("\\r\\n")[0] + "\\n");
    const missing = "HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n";
    if (!text.startsWith("HEAD ")) socket.end(missing);
    else if (fs.existsSync(once)) {
      const bytes = fs.readFileSync(once);
      fs.rmSync(once);
      socket.end(bytes);
    }
    else socket.end(fs.readFileSync(/^connection: close\\r$/m.test(text) ? answer : usual));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`;
const server = spawn(process.execPath, ["-e", answering, answerFile, usualFile, onceFile, askedFile], {
  stdio: ["ignore", "pipe", "inherit"],
});
const port = await new Promise<number>((resolve, reject) => {
  server.stdout.once("data", (data: Buffer) => resolve(Number(data.toString())));
  server.once("exit", () => reject(new Error("the server ended")));
});
const name = `127.0.0.1:${port}/app:1`;
after(async () => {
  const ended = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGKILL");
  await ended;
  await world[Symbol.asyncDispose]();
});

function must(command: readonly string[], options = {}): Result {
  const done = world.run(command, options);
  assert.equal(done.status, 0, `${command.join(" ")}: ${done.stderr}`);
  return done;
}

must(["tag", "probe", name]);
const index = JSON.parse(fs.readFileSync(path.join(world.root, "oci/index.json"), "utf8")) as {
  readonly manifests: readonly {
    readonly digest: string;
    readonly size: number;
    readonly mediaType: string;
  }[];
};
const [manifest] = index.manifests;
assert.ok(manifest !== undefined && index.manifests.every(({ digest }) => digest === manifest.digest));
const headers = [
  `Content-Type: ${manifest.mediaType}`,
  `docker-content-digest: ${manifest.digest}`,
  `Content-Length: ${manifest.size}`,
];
const answerOf = (lines: readonly string[], status = "200 OK"): string =>
  `${[`HTTP/1.1 ${status}`, ...lines, "Connection: close"].join("\r\n")}\r\n\r\n`;
const answer = (text: string): void => fs.writeFileSync(answerFile, text);
const good = answerOf(headers);
answer(good);
fs.writeFileSync(usualFile, good);
settle();

const pull = ["pull", "--retry", "0", name];
const question = "HEAD /v2/app/manifests/1 HTTP/1.1\n";

test("a pull that found the image present is repeated: the same words, after one question", () => {
  const engine = must(pull, off);
  let last: Result | undefined;
  warmUp(world, () => {
    fs.writeFileSync(askedFile, "");
    last = must(pull);
  });
  same(engine, last!);
  assert.match(last!.stderr, /is up to date\n$/);
  assert.equal(fs.readFileSync(askedFile, "utf8"), `connection\n${question}`);
});

test("without a record the engine asks once, on the launcher's connection", () => {
  const said = `${must(["images", "-q", "--no-trunc", name]).stdout}`;
  // Another connection would be that of `fetch`, or of the client; where the machine is so busy that the launcher's was given up, the next does.
  let asked = "";
  for (let tries = 0; tries < 20 && asked !== `connection\n${question}`; tries++) {
    fs.writeFileSync(askedFile, "");
    const done = must(pull, off);
    assert.deepEqual([done.stdout, done.stderr], [said, `${name} is up to date\n`]);
    asked = fs.readFileSync(askedFile, "utf8");
  }
  assert.equal(asked, `connection\n${question}`);
  assert.equal(must(["pull", "-q", name], off).stdout, said);
  assert.equal(must(["pull", `docker://${name}`], off).stdout, said);
  assert.equal(must(["pull", "--policy", "missing", name], off).stdout, said);
  assert.equal(must(["pull", name, name], off).stdout, said.repeat(2));
  assert.equal(must(["pull", `${name.slice(0, -2)}@${manifest.digest}`], off).stdout, said);
});

test("an answer on that connection that is no plain one is asked for anew", () => {
  const said = must(pull, off);
  const digest = `docker-content-digest: ${manifest.digest}`;
  for (const [what, text] of Object.entries({
    "two digests": answerOf([...headers, digest]),
    "no digest": answerOf([headers[0]!, headers[2]!]),
    "another type": answerOf(["Content-Type: text/html", ...headers.slice(1)]),
    "no length": answerOf(headers.slice(0, 2)),
    "a warning": answerOf([...headers, 'Warning: 299 - "soon it will be gone"']),
    "no such image": answerOf(headers, "404 Not Found"),
    "no HTTP": "digest\r\n\r\n",
    "no end": good.slice(0, -2),
    "no line": answerOf([...headers, "what is this"]),
    nothing: "",
    "a long one": answerOf([...headers, `x-long: ${"x".repeat(20_000)}`]),
  })) {
    fs.writeFileSync(askedFile, "");
    fs.writeFileSync(onceFile, text);
    same(said, must(pull, off));
    assert.ok(fs.readFileSync(askedFile, "utf8").split(question).length >= 3, what);
  }
});

test("a connection is none of who is told of it in the environment", () => {
  // The launcher drops the word, of whomever it is.
  const env = { ...off.env, VITRINE_REACHED: `1 127.0.0.1:${port}` };
  const done = must(pull, { env });
  assert.doesNotMatch(done.stdout, /HEAD/);
});

test("what the registry has anew is pulled by an engine that began without its compiler", async () => {
  await using served = await serve(world, ["--root", path.join(world.directory, "anew")]);
  const tagged = `${served.address}/app:1`;
  must(["push", "-q", "probe", tagged]);
  const first = must(["pull", "-q", tagged], off).stdout;
  must(["import", "--change", "CMD anew", path.join(fixtures, "probe.tar"), "anew"]);
  must(["push", "-q", "anew", tagged]);
  const told = must(["pull", tagged], off);
  assert.notEqual(told.stdout, first);
  // Told once, though it began twice.
  assert.equal(told.stderr.match(/^Pulling /gm)?.length, 1);
  assert.equal(must(["pull", "-q", tagged], off).stdout, told.stdout);
});

test("an answer that is another one is the engine's", () => {
  const engine = must(pull, off);
  const digest = `docker-content-digest: sha256:${"a".repeat(64)}`;
  const [type, , size] = headers as [string, string, string];
  for (const [what, text] of Object.entries({
    "another digest": answerOf([type, digest, size]),
    "two digests": answerOf([...headers, digest]),
    "no digest": answerOf([type, size]),
    "another type": answerOf(["Content-Type: application/json", ...headers.slice(1)]),
    "a warning": answerOf([...headers, 'Warning: 299 - "soon it will be gone"']),
    "no such image": answerOf(headers, "404 Not Found"),
    "no HTTP": "digest\r\n\r\n",
    "no end": good.slice(0, -2),
    "no line": answerOf([...headers, "what is this"]),
    nothing: "",
    "a long one": answerOf([...headers, `x-long: ${"x".repeat(20_000)}`]),
  })) {
    answer(good);
    warmUp(world, () => must(pull));
    answer(text);
    const alone = withoutEngine(world, () => same(engine, must(pull)));
    assert.equal(alone, false, what);
  }
  answer(good);
  warmUp(world, () => must(pull));
});

test("what changed on this side is noticed: the configuration, a layer, the name", () => {
  const change = (what: string, make: () => void, undo: () => void): void => {
    warmUp(world, () => must(pull));
    make();
    assert.equal(
      withoutEngine(world, () => void world.run(pull)),
      false,
      what,
    );
    undo();
  };
  const own = path.join(world.env["HOME"]!, ".config/containers/registries.conf.d");
  fs.mkdirSync(own, { recursive: true });
  settle();
  const blocked = path.join(own, "blocked.conf");
  change(
    "a registry is blocked",
    () => fs.writeFileSync(blocked, `[[registry]]\nlocation = "127.0.0.1:${port}"\nblocked = true\n`),
    () => fs.rmSync(blocked),
  );
  settle();
  const { layers } = JSON.parse(
    fs.readFileSync(path.join(world.root, "oci/blobs/sha256", manifest.digest.slice(7)), "utf8"),
  ) as { readonly layers: readonly { readonly digest: string }[] };
  const layer = path.join(world.root, "oci/blobs/sha256", layers[0]!.digest.slice(7));
  change(
    "a layer is gone",
    () => fs.renameSync(layer, `${layer}.away`),
    () => fs.renameSync(`${layer}.away`, layer),
  );
  settle();
  change(
    "the name is gone",
    () => void must(["untag", "probe", name]),
    () => void must(["tag", "probe", name]),
  );
  settle();
  warmUp(world, () => must(pull));
});

test("what a registry of ours has anew is pulled", async () => {
  await using served = await serve(world, ["--root", path.join(world.directory, "registry")]);
  const tagged = `${served.address}/app:1`;
  const ask = ["pull", "-q", tagged];
  must(["push", "-q", "probe", tagged]);
  const first = must(ask).stdout;
  settle();
  warmUp(world, () => assert.equal(must(ask).stdout, first));
  must(["import", "--change", "CMD other", path.join(fixtures, "probe.tar"), "other"]);
  must(["push", "-q", "other", tagged]);
  const second = must(ask).stdout;
  assert.notEqual(second, first);
  settle();
  warmUp(world, () => assert.equal(must(ask).stdout, second));
});
