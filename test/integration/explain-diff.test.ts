/** `explain --bundle` and `explain --diff`: bundles of peers, containers and images, with nothing done to the machine. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { type LiveWorld, makeLiveWorld } from "../support/live.ts";
import { cannotRun, findProgram, fixtures, isRoot, repository } from "./support.ts";

let world: LiveWorld;
before(() => {
  world = makeLiveWorld("explain-diff");
  world.vitrine("import", "--change", 'CMD ["sh"]', path.join(fixtures, "probe.tar"), "shell");
});
after(() => world.end());

interface Explained {
  readonly ops: readonly {
    readonly op: string;
    readonly calls: readonly string[];
    readonly pointer: string;
  }[];
}
interface Compared {
  readonly equal: boolean;
  readonly differences: readonly {
    readonly kind: string;
    readonly op: string;
    readonly target: string;
    readonly a?: { readonly origin: { readonly text: string } };
    readonly b?: { readonly origin: { readonly text: string } };
  }[];
}

/** A bundle as `NAME spec` writes it, with an empty root filesystem. */
function bundleOf(program: string, name: string): string {
  const bundle = path.join(world.directory, name);
  fs.mkdirSync(path.join(bundle, "rootfs"), { recursive: true });
  const words = program.endsWith("vitrine-runtime") || program.endsWith("runc") ? ["--bundle", bundle] : [];
  const made = spawnSync(program, ["spec", ...(isRoot ? [] : ["--rootless"]), ...words], {
    cwd: bundle,
    encoding: "utf8",
  });
  assert.equal(made.status, 0, made.stderr);
  return bundle;
}

interface EditedConfig {
  readonly process: { cwd: unknown; readonly capabilities: Record<string, string[]> };
  readonly mounts: object[];
}

function edit(bundle: string, change: (config: EditedConfig) => void): void {
  const file = path.join(bundle, "config.json");
  const config = JSON.parse(fs.readFileSync(file, "utf8")) as EditedConfig;
  change(config);
  fs.writeFileSync(file, JSON.stringify(config));
}

const runtime = path.join(repository, "dist/vitrine-runtime");

for (const peer of ["vitrine-runtime", "runc", "crun"]) {
  test(`a bundle of ${peer} is told as kernel calls, and nothing is made`, (t) => {
    const program = peer === "vitrine-runtime" ? runtime : findProgram(peer);
    if (program === undefined) return cannotRun(t, `${peer} is not installed`);
    const bundle = bundleOf(program, `bundle-${peer}`);
    const before = fs.readdirSync(bundle).sort();
    const text = world.vitrine("explain", "--bundle", bundle);
    for (const part of ["namespaces", "mounts", "capabilities", "process", "clone3(", "pivot_root"])
      assert.ok(text.includes(part), part);
    const { ops } = JSON.parse(world.vitrine("explain", "--bundle", bundle, "--format", "json")) as Explained;
    const { process: program_ } = JSON.parse(fs.readFileSync(path.join(bundle, "config.json"), "utf8"));
    const execute = ops.find(({ op }) => op === "execute");
    for (const word of program_.args) assert.ok(execute?.calls[0]?.includes(word), word);
    assert.ok(ops.filter(({ op }) => op === "mountFilesystem" || op === "bindMount").length >= 5);
    assert.deepEqual(fs.readdirSync(bundle).sort(), before);
    assert.equal(
      world.vitrine("explain", "--bundle", bundle, "--format", "{{len .ops}}"),
      String(ops.length),
    );
    assert.match(world.vitrine("explain", "--syscalls", "--bundle", bundle), /execve/);
  });
}

test("a bundle of umoci", (t) => {
  if (findProgram("umoci") === undefined) return cannotRun(t, "umoci is not installed");
  const bundle = path.join(world.directory, "umoci");
  const layout = path.join(world.directory, "layout");
  const umoci = (...words: readonly string[]): void => {
    const done = spawnSync("umoci", words, { encoding: "utf8" });
    assert.equal(done.status, 0, done.stderr);
  };
  umoci("init", "--layout", layout);
  umoci("new", "--image", `${layout}:latest`);
  umoci("config", "--image", `${layout}:latest`, "--config.cmd", "some-program");
  umoci("unpack", ...(isRoot ? [] : ["--rootless"]), "--image", `${layout}:latest`, bundle);
  const { ops } = JSON.parse(world.vitrine("explain", "--bundle", bundle, "--format", "json")) as Explained;
  assert.match(ops.find(({ op }) => op === "execute")?.calls[0] ?? "", /some-program/);
});

test("a bundle that podman made for its runtime, compared with the same one", (t) => {
  if (!isRoot) return cannotRun(t, "needs root");
  for (const name of ["podman", "runc"]) {
    if (findProgram(name) === undefined) return cannotRun(t, `${name} is not installed`);
  }
  const store = [
    ...["--root", path.join(world.directory, "pr"), "--runroot", path.join(world.directory, "pn")],
    ...["--tmpdir", path.join(world.directory, "pt")],
  ];
  const podman = (...words: readonly string[]): string => {
    const done = spawnSync(
      "podman",
      [...store, "--cgroup-manager", "cgroupfs", "--runtime", "runc", ...words],
      {
        encoding: "utf8",
      },
    );
    assert.equal(done.status, 0, done.stderr);
    return done.stdout.trim();
  };
  podman("import", "-q", path.join(fixtures, "probe.tar"), "localhost/p");
  const flags = [
    "--network",
    "none",
    "--ulimit",
    "nofile=512:512",
    "--ulimit",
    "nproc=512:512",
    "--cap-drop",
    "KILL",
  ];
  const id = podman("create", ...flags, "localhost/p", "sleep", "77");
  try {
    podman("init", id);
    const bundle = path.dirname(podman("inspect", "--format", "{{.OCIConfigPath}}", id));
    const { ops } = JSON.parse(world.vitrine("explain", "--bundle", bundle, "--format", "json")) as Explained;
    assert.match(ops.find(({ op }) => op === "execute")?.calls[0] ?? "", /sleep.*77/);
    const bounding = ops.find(({ op }) => op === "dropBoundingSet")?.calls[0] ?? "";
    assert.ok(bounding.includes("CAP_CHOWN") && !bounding.includes("CAP_KILL"), bounding);
    assert.equal(world.run(["explain", "--diff", bundle, bundle]).status, 0);
  } finally {
    podman("rm", "-f", "-t", "0", id);
  }
});

test("an error in a bundle names its field", () => {
  const bundle = bundleOf(runtime, "wrong");
  edit(bundle, (config) => {
    config.process.cwd = 7;
  });
  const wrong = world.run(["explain", "--bundle", bundle]);
  assert.equal(wrong.status, 125);
  assert.match(wrong.stderr, /process\/cwd/);
  const missing = world.run(["explain", "--bundle", path.join(world.directory, "absent")]);
  assert.match(missing.stderr, /config\.json/);
  assert.notEqual(missing.status, 0);
});

test("two bundles that differ in a capability and a mount", () => {
  const one = bundleOf(runtime, "one");
  const two = bundleOf(runtime, "two");
  const same = world.run(["explain", "--diff", one, two]);
  assert.deepEqual([same.status, same.stdout, same.stderr], [0, "", ""]);
  edit(two, (config) => {
    config.process.capabilities["bounding"]!.push("CAP_SYS_TIME");
    config.mounts.push({ destination: "/more", type: "tmpfs", source: "tmpfs" });
  });
  const done = world.run(["explain", "--diff", "--format", "json", `bundle:${one}`, two]);
  assert.equal(done.status, 1, done.stderr);
  const { differences } = JSON.parse(done.stdout) as Compared;
  const found = differences.map(({ kind, op, target }) => `${kind} ${op} ${target}`);
  assert.ok(found.includes("changed dropBoundingSet "), found.join("\n"));
  assert.ok(found.includes("only-b tmpfsOver root:/more"), found.join("\n"));
  assert.ok(
    found.every((line) => /dropBoundingSet|setCapabilities|\/more/.test(line)),
    found.join("\n"),
  );
});

test("containers and images-as-run: equal but for the flags, with the flag that asked", () => {
  world.vitrine("create", "--name", "plain", "shell");
  world.vitrine("create", "--name", "again", "shell");
  world.vitrine("create", "--name", "other", "--cap-drop", "KILL", "--tmpfs", "/scratch", "shell");
  const equal = world.run(["explain", "--diff", "plain", "again"]);
  assert.deepEqual([equal.status, equal.stdout], [0, ""], equal.stdout);
  const image = world.run(["explain", "--diff", "plain", "image:shell"]);
  assert.deepEqual([image.status, image.stdout], [0, ""], image.stdout);
  const done = world.run(["explain", "--diff", "plain", "other", "--format", "json"]);
  assert.equal(done.status, 1, done.stderr);
  const { differences } = JSON.parse(done.stdout) as Compared;
  const bounding = differences.find(({ op }) => op === "dropBoundingSet");
  assert.equal(bounding?.b?.origin.text, "--cap-drop");
  assert.ok(
    differences.some(
      ({ kind, target, b }) =>
        kind === "only-b" && target === "root:/scratch" && b?.origin.text === "--tmpfs",
    ),
  );
  const text = world.run(["explain", "--diff", "plain", "other"]);
  assert.equal(text.status, 1);
  assert.match(text.stdout, /^--- plain\n\+\+\+ other\n/);
  assert.match(text.stdout, /- (?:keep|effective) CAP_KILL/);
});

test("a running container is compared by the plan that it was started by", () => {
  const id = world.detached(["--name", "runs"], "sleep 100");
  world.vitrine("create", "--name", "waits", "probe", "sh", "-c", "sleep 100");
  const done = world.run(["explain", "--diff", "runs", "waits"]);
  assert.deepEqual([done.status, done.stdout], [0, ""], done.stdout);
  assert.equal(world.run(["explain", "--diff", id, "runs"]).status, 0);
  world.vitrine("rm", "-f", "runs");
});

test("what cannot be compared is refused with a hint", () => {
  assert.match(world.run(["explain", "--diff", "plain"]).stderr, /explain --diff A B/);
  const absent = world.run(["explain", "--diff", "plain", "nothing-like-it"]);
  assert.notEqual(absent.status, 0);
  assert.match(absent.stderr, /nothing-like-it/);
});
