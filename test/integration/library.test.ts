/** `import … from "vitrine"`: the built library, used by programs on node and on bun. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld, until } from "./run-support.ts";
import { fixtures, repository } from "./support.ts";

const world = makeRunWorld("library");
const project = path.join(world.directory, "project");
fs.mkdirSync(path.join(project, "node_modules"), { recursive: true });
fs.writeFileSync(path.join(project, "package.json"), '{"type":"module"}');
fs.symlinkSync(repository, path.join(project, "node_modules/vitrine"));
after(async () => {
  world.run(["rm", "--all", "--force"]);
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

const runtimes = {
  node: path.join(repository, "node_modules/.bin/node"),
  bun: path.join(repository, "node_modules/.bin/bun"),
} as const;
type Runtime = keyof typeof runtimes;

let count = 0;
function write(source: string): string {
  const file = path.join(project, `program-${count++}.ts`);
  fs.writeFileSync(file, source);
  return file;
}

/** Runs a program to its end; what it printed. */
function program(runtime: Runtime, source: string): string {
  const done = spawnSync(runtimes[runtime], [write(source)], {
    env: world.env,
    cwd: project,
    encoding: "utf8",
    timeout: 180_000,
  });
  assert.equal(done.status, 0, `${runtime}: ${done.stderr}\n${done.stdout}`);
  return done.stdout;
}

/** Runs a program that prints one line of JSON. */
function value(runtime: Runtime, source: string): unknown {
  return JSON.parse(program(runtime, source));
}

/** The examples of a document, in order. */
function examples(file: string): readonly string[] {
  const text = fs.readFileSync(path.join(repository, file), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
}

const containersLeft = (): readonly string[] => {
  const directory = path.join(world.root, "containers");
  return fs.existsSync(directory) ? fs.readdirSync(directory) : [];
};

for (const runtime of ["node", "bun"] as const) {
  test(`${runtime}: a program's output, input, environment and exit status`, () => {
    const found = value(
      runtime,
      `import { output } from "vitrine";
      const done = await output("probe", ["sh", "-c", 'cat; echo "$COLOUR" >&2; exit 3'], { input: "in\\n", env: { COLOUR: "red" } });
      console.log(JSON.stringify([done.exitCode, done.stdoutText, done.stderrText]));`,
    );
    assert.deepEqual(found, [3, "in\n", "red\n"]);
    assert.deepEqual(containersLeft(), []);
  });

  test(`${runtime}: bytes come through unchanged, and more than was allowed is an error`, () => {
    const found = value(
      runtime,
      `import { output } from "vitrine";
      const input = new Uint8Array(3_000_000).map((_, i) => i * 7);
      const done = await output("probe", ["cat"], { input });
      const code = await output("probe", ["cat"], { input, mostBytes: 1000 }).catch((error) => error.code);
      console.log(JSON.stringify([Buffer.compare(done.stdout, input), code]));`,
    );
    assert.deepEqual(found, [0, "output-too-large"]);
  });

  test(`${runtime}: run, exec, spawn, logs, inspect, explain, wait; the end of the block removes it`, () => {
    const found = value(
      runtime,
      `import { openEngine } from "vitrine";
      const engine = openEngine();
      const seen = {};
      let id;
      {
        await using container = await engine.run("probe", ["sh", "-c", "echo one; echo two >&2; read line; echo $line; exit 5"],
          { interactive: true, hostname: "glass", labels: { a: "b" }, name: "show-${runtime}" });
        id = container.id;
        seen.state = container.state().status;
        seen.same = (await engine.containers()).map(({ name }) => name);
        seen.hostname = (await container.exec(["hostname"])).stdoutText;
        seen.user = (await container.exec(["id", "-u"], { user: "user", workdir: "/tmp" })).stdoutText;
        const cat = await container.spawn(["cat"]);
        cat.stdin.end("through");
        let text = "";
        for await (const chunk of cat.stdout) text += chunk;
        seen.cat = [text, await cat.exited];
        const { config, labels } = container.inspect();
        seen.inspect = [config.hostname, labels.a];
        seen.origin = container.explain().ops.find(({ op }) => op === "setHostname")?.origin.text;
        const own = container.attach();
        own.stdin.write("three\\n");
        seen.exit = await container.wait();
      }
      seen.gone = engine.container.bind(engine);
      try { engine.container(id); seen.gone = false; } catch (error) { seen.gone = error.code; }
      console.log(JSON.stringify(seen));`,
    );
    assert.deepEqual(found, {
      state: "running",
      same: [`show-${runtime}`],
      hostname: "glass\n",
      user: "1000\n",
      cat: ["through", 0],
      inspect: ["glass", "b"],
      origin: "--hostname",
      exit: 5,
      gone: "container-not-found",
    });
  });

  test(`${runtime}: logs are followed to the end`, () => {
    const found = value(
      runtime,
      `import { run } from "vitrine";
      await using container = await run("probe", ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; sleep 600"]);
      const lines = [];
      for await (const { line, stream } of container.logs({ follow: true })) {
        lines.push(stream + line);
        if (lines.length === 3) container.kill();
      }
      console.log(JSON.stringify(lines));`,
    );
    assert.deepEqual(found, ["stdout1", "stdout2", "stdout3"]);
  });

  test(`${runtime}: errors have the code of the command line, and nothing stays behind`, () => {
    const found = value(
      runtime,
      `import { openEngine, output, run, VitrineError } from "vitrine";
      const code = (error) => error instanceof VitrineError ? error.code : String(error);
      await using container = await run("probe", ["sleep", "600"]);
      console.log(JSON.stringify([
        await output("probe", ["nothing-of-the-kind"]).catch(code),
        await run("probe", ["/etc/passwd"]).catch(code),
        await run("probe", ["true"], { volumes: ["/not/there:/x"] }).catch(code),
        await run("probe", ["true"], { memory: "lots" }).catch(code),
        await run("no/such/image", ["true"], { pull: "never" }).catch(code),
        await container.exec(["nothing-of-the-kind"]).catch(code),
        await container.exec(["true"], { user: "nobody-at-all" }).catch(code),
        await openEngine().explain("probe", ["true"]).then(({ ops }) => ops.length > 50),
      ]));`,
    );
    assert.deepEqual(found, [
      "command-not-found",
      "command-not-executable",
      "bind-source-missing",
      "invalid-flag-value",
      "image-not-found",
      "command-not-found",
      "user-not-found",
      true,
    ]);
    assert.deepEqual(containersLeft(), []);
  });

  test(`${runtime}: a program that is killed takes its containers with it`, async () => {
    const file = write(`import { run } from "vitrine";
      const one = await run("probe", ["sleep", "600"]);
      const two = await run("probe", ["sleep", "600"]);
      const exec = await one.spawn(["sleep", "600"]);
      console.log([one.pid, two.pid].join(" "));
      await exec.exited;`);
    const child = spawn(runtimes[runtime], [file], { env: world.env, cwd: project });
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
    });
    let complaints = "";
    child.stderr.on("data", (chunk: Buffer) => {
      complaints += chunk.toString();
    });
    let pids: number[];
    try {
      pids = await until(
        () => (printed.endsWith("\n") ? printed.trim().split(" ").map(Number) : undefined),
        "the program's containers",
      ).catch((error: Error) => assert.fail(`${error.message}: ${complaints}`));
      assert.equal(pids.length, 2);
    } finally {
      child.kill("SIGKILL");
    }
    await until(() => (containersLeft().length === 0 ? true : undefined), "the containers' end");
    for (const pid of pids) assert.equal(fs.existsSync(`/proc/${pid}`), false);
  });

  test(`${runtime}: a program that only ends does too, and is not kept from ending`, async () => {
    program(
      runtime,
      'import { run } from "vitrine"; await run("probe", ["sleep", "600"]); console.log("started");',
    );
    await until(() => (containersLeft().length === 0 ? true : undefined), "the container's end");
  });

  test(`${runtime}: keep makes a container that the command line takes over`, () => {
    const name = `kept-${runtime}`;
    program(
      runtime,
      `import { run } from "vitrine"; await run("probe", ["sleep", "600"], { keep: true, name: "${name}" });`,
    );
    assert.match(world.run(["ps", "--format", "{{.Names}} {{.Status}}"]).stdout, new RegExp(`${name} Up`));
    assert.equal(world.run(["exec", name, "true"]).status, 0);
    const found = value(
      runtime,
      `import { openEngine } from "vitrine";
      const container = openEngine().container("${name}");
      await container.stop(0);
      console.log(JSON.stringify([container.state().status, await container.wait()]));
      await container.remove();`,
    );
    assert.deepEqual(found, ["exited", 137]);
    assert.deepEqual(containersLeft(), []);
  });

  test(`${runtime}: images come and go; a registry of one line`, () => {
    const found = value(
      runtime,
      `import { openEngine, startRegistry } from "vitrine";
      const { images } = openEngine();
      const id = await images.import("${path.join(fixtures, "probe.tar")}", "made", { changes: ['CMD ["true"]'], created: new Date(0) });
      await images.tag("made", "made:second");
      await using registry = await startRegistry();
      const digest = await images.push("made", registry.address + "/team/made:1");
      await images.remove("made:second");
      const pulled = await images.pull(registry.address + "/team/made:1");
      const again = await images.pull(registry.address + "/team/made:1");
      console.log(JSON.stringify([
        pulled.ids[0] === id, pulled.digest === digest, again.fresh,
        (await images.history("made")).length, (await images.list()).some(({ name }) => name?.includes("team/made")),
      ]));
      await images.remove(registry.address + "/team/made:1");
      await images.remove("made");`,
    );
    assert.deepEqual(found, [true, true, false, 1, true]);
  });
}

test("the examples of README and docs/api.md run on both, and have the types that the library says", async () => {
  const tagged = world.run(["tag", "probe", "docker.io/library/alpine:latest"]);
  assert.equal(tagged.status, 0, tagged.stderr);
  const found = [...examples("README.md"), ...examples("docs/api.md")];
  assert.equal(found.length, 6);
  for (const code of found) {
    for (const runtime of ["node", "bun"] as const) program(runtime, code);
  }
  const files = found.map((code) => path.basename(write(code)));
  fs.writeFileSync(
    path.join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        module: "nodenext",
        target: "es2024",
        lib: ["es2024", "esnext.disposable"],
        strict: true,
        noEmit: true,
        types: ["node"],
        typeRoots: [path.join(repository, "node_modules/@types")],
      },
      files,
    }),
  );
  const checked = spawnSync(path.join(repository, "node_modules/.bin/tsc"), ["-p", project], {
    encoding: "utf8",
  });
  assert.equal(checked.status, 0, checked.stdout);
  await until(() => (containersLeft().length === 0 ? true : undefined), "the containers' end");
});
