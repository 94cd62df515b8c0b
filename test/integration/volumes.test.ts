/** Volumes by name: commands, first use, who has one, what goes with a container. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld, until } from "./run-support.ts";
import { isRoot, type Result } from "./support.ts";

const world = makeRunWorld("volumes");
after(async () => {
  world.run(["rm", "--all", "--force", "--volumes"]);
  // Only what is this test's: others may run beside it.
  for (const directory of ["root/containers", "root/names", "run/containers"]) {
    const full = path.join(world.directory, directory);
    assert.deepEqual(fs.existsSync(full) ? fs.readdirSync(full) : [], [], directory);
  }
  assert.doesNotMatch(fs.readFileSync("/proc/self/mountinfo", "utf8"), new RegExp(`${world.directory}/`));
  await world[Symbol.asyncDispose]();
});

function good(done: Result): string {
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.replace(/\n$/, "");
}

const vitrine = (...args: readonly string[]): string => good(world.run(args));
const volume = (...args: readonly string[]): string => vitrine("volume", ...args);
const names = (...flags: readonly string[]): readonly string[] =>
  volume("ls", "-q", ...flags)
    .split("\n")
    .filter(Boolean);
const data = (name: string): string => path.join(world.root, "volumes", name, "_data");

test("create, ls, inspect, exists, rm: docker's words", () => {
  // "pg" is no beginning of an anonymous one, and comes behind them.
  assert.equal(volume("create", "--label", "tier=db", "-l", "bare", "pg"), "pg");
  assert.equal(volume("create", "pg"), "pg", "a second time it is there");
  assert.match(volume("create"), /^[0-9a-f]{64}$/);
  assert.match(volume("ls"), /^DRIVER +VOLUME NAME\nlocal +[0-9a-f]{64}\nlocal +pg$/);
  const [shown] = JSON.parse(volume("inspect", "pg")) as Record<string, unknown>[];
  assert.match(String(shown!["CreatedAt"]), /^\d{4}-\d\d-\d\dT/);
  delete shown!["CreatedAt"];
  assert.deepEqual(shown, {
    Driver: "local",
    Labels: { tier: "db", bare: "" },
    Mountpoint: data("pg"),
    Name: "pg",
    Options: null,
    Scope: "local",
  });
  assert.equal(volume("inspect", "-f", "{{.Mountpoint}}", "pg"), data("pg"));
  assert.equal(
    volume("ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}", "-f", "name=^pg$"),
    "pg local local",
  );
  for (const [filter, expected] of [
    ["label=tier", ["pg"]],
    ["label=tier=web", []],
    ["name=^p", ["pg"]],
    ["driver=local", 2],
    ["driver=nfs", []],
    ["anonymous=false", ["pg"]],
    ["dangling=true", 2],
    ["dangling=false", []],
  ] as const) {
    const found = names("-f", filter);
    if (typeof expected === "number") assert.equal(found.length, expected, filter);
    else assert.deepEqual(found, expected, filter);
  }
  assert.equal(world.run(["volume", "ls", "-f", "nmae=x"]).status, 125);
  assert.equal(world.run(["volume", "exists", "pg"]).status, 0);
  assert.equal(world.run(["volume", "exists", "nobody"]).status, 1);
  const missing = world.run(["volume", "rm", "nobody"]);
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /get nobody: no such volume/);
  assert.equal(volume("rm", "-f", "nobody"), "nobody");
  assert.equal(world.run(["volume", "inspect", "nobody"]).status, 1);
  for (const name of ["a", "-x", "x/y", "..", "x y"]) {
    assert.equal(world.run(["volume", "create", "--", name]).status, 1, name);
  }
  assert.match(volume("prune", "--force"), /^Deleted Volumes:\n[0-9a-f]{64}\n\nTotal reclaimed space: 0B$/);
  assert.deepEqual(names(), ["pg"]);
  assert.match(volume("prune", "-af"), /Deleted Volumes:\npg\n/);
  assert.deepEqual(names(), []);
});

test("what one container writes the next one reads", () => {
  world.sh(["-v", "shared:/data"], "echo from one >/data/file");
  assert.equal(world.sh(["-v", "shared:/other:ro"], "cat /other/file"), "from one");
  assert.equal(world.probe(["-v", "shared:/other:ro"], "touch", "/other/x").status, 1);
  assert.equal(world.probe(["--mount", "source=shared,target=/o,readonly"], "touch", "/o/x").status, 1);
  assert.equal(fs.readFileSync(`${data("shared")}/file`, "utf8"), "from one\n");
  volume("rm", "shared");
});

test("the first use takes what the image has: owners, modes, links, and not a second time", () => {
  const look = "cd /etc; stat -c '%n %a %u:%g %F' . passwd group; readlink mtab; cat passwd";
  const image = world.sh([], look);
  assert.equal(world.sh(["-v", "filled:/etc"], look), image);
  world.sh(["-v", "filled:/etc"], "rm /etc/group; echo mine >/etc/passwd");
  assert.equal(world.sh(["-v", "filled:/etc"], "cat /etc/passwd; ls /etc"), "mine\nmtab\npasswd");
  assert.equal(world.sh(["-v", "bare:/home:nocopy"], "ls /home"), "");
  assert.equal(world.sh(["--mount", "src=bare2,dst=/home,volume-nocopy"], "ls /home"), "");
  // An empty one is filled whoever made it, and a directory that the image lacks is empty.
  volume("create", "made");
  assert.equal(world.sh(["-v", "made:/etc"], "cat /etc/passwd | head -1"), "root:x:0:0:root:/root:/bin/sh");
  assert.equal(
    world.sh(["-v", "fresh:/not-there"], "ls -a /not-there; stat -c %a:%u /not-there"),
    ".\n..\n755:0",
  );
  assert.deepEqual(fs.readdirSync(data("filled")).sort(), ["mtab", "passwd"], "no mark of the copy stays");
  volume("prune", "-af");
});

test("two containers at once: one fills, both see everything", async () => {
  const rounds = 5;
  for (let round = 0; round < rounds; round++) {
    const children = [1, 2, 3].map(() =>
      world.start(["run", "--rm", "-q", "-v", `race${round}:/bin`, "probe", "sh", "-c", "ls /bin | wc -l"]),
    );
    const outputs = await Promise.all(
      children.map(async (child) => {
        let text = "";
        child.stdout!.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        const status = await new Promise((resolve) => child.on("close", resolve));
        assert.equal(status, 0);
        return text;
      }),
    );
    assert.equal(new Set(outputs).size, 1, outputs.join());
    assert.ok(Number(outputs[0]) > 1);
  }
  volume("prune", "-af");
});

test("a volume that a container has stays: docker's words and status", () => {
  const id = vitrine("create", "--name", "holder", "-v", "held:/h", "probe", "true");
  const refused = world.run(["volume", "rm", "held"]);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, new RegExp(`remove held: volume is in use - \\[${id}\\]`));
  assert.deepEqual(names("-f", "dangling=true"), []);
  assert.equal(volume("prune", "-af"), "Total reclaimed space: 0B");
  vitrine("rm", "holder");
  assert.deepEqual(names(), ["held"], "it outlives its container");
  assert.equal(volume("rm", "held"), "held");
});

test("volumes without a name: kept by rm, removed by rm -v and --rm", async () => {
  vitrine("create", "--name", "keeps", "-v", "/data", "probe", "true");
  const [name] = names();
  assert.match(name!, /^[0-9a-f]{64}$/);
  assert.equal(volume("inspect", "-f", "{{.Anonymous}}", name!), "true");
  vitrine("rm", "keeps");
  assert.deepEqual(names(), [name]);
  volume("rm", name!);
  vitrine("create", "--name", "goes", "-v", "/data", "-v", "stays:/named", "probe", "true");
  vitrine("rm", "-v", "goes");
  assert.deepEqual(names(), ["stays"]);
  world.sh(["-v", "/data", "-v", "stays:/named"], "touch /data/x /named/x");
  assert.deepEqual(names(), ["stays"]);
  vitrine("run", "-d", "-q", "--rm", "--name", "back", "-v", "/data", "probe", "sleep", "1000");
  assert.equal(names().length, 2);
  vitrine("kill", "back");
  await until(() => (names().length === 1 ? true : undefined), "the volume to go with its container");
  volume("rm", "stays");
});

test("--volumes-from: the same mounts, and what is shared stays while it is used", async () => {
  vitrine(
    "run",
    "-d",
    "-q",
    "--rm",
    "--name",
    "first",
    "-v",
    "/data",
    "-v",
    "named:/n",
    "probe",
    "sleep",
    "1000",
  );
  world.sh(["--volumes-from", "first"], "echo shared >/data/file; echo named >/n/file");
  assert.equal(vitrine("exec", "first", "cat", "/data/file", "/n/file"), "shared\nnamed");
  assert.equal(world.probe(["--volumes-from", "first:ro"], "touch", "/data/x").status, 1);
  assert.equal(
    world.sh(["--volumes-from", "first", "--tmpfs", "/data"], "ls /data"),
    "",
    "a flag of its own wins",
  );
  vitrine("run", "-d", "-q", "--name", "second", "--volumes-from", "first", "probe", "sleep", "1000");
  vitrine("kill", "first");
  await until(
    () => (world.run(["inspect", "first"]).status === 0 ? undefined : true),
    "the first to be gone",
  );
  assert.equal(names().length, 2);
  assert.equal(vitrine("exec", "second", "cat", "/data/file"), "shared");
  vitrine("rm", "-f", "second");
  assert.deepEqual(names(), ["named"], "its container is gone, and so is who shared it");
  volume("rm", "named");
});

test("a container that is started again has its volume as it left it", () => {
  // Its /etc/mtab is no file of the image: each start makes it.
  const script = "ls /etc | grep -vc mtab; stat -c %u /etc; rm /etc/*; chown 7 /etc";
  vitrine("create", "--name", "twice", "-v", "/etc", "probe", "sh", "-c", script);
  assert.equal(vitrine("start", "-a", "twice"), "2\n0");
  assert.equal(vitrine("start", "-a", "twice"), "0\n7", "what was emptied stays empty");
  vitrine("rm", "-v", "twice");
});

test("options of the driver: memory, a directory of the host, and what cannot be", () => {
  volume("create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=700", "memory");
  const mounted = world.sh(["-v", "memory:/m"], "grep ' /m ' /proc/self/mounts; stat -c %a /m");
  assert.match(mounted, /^tmpfs \/m tmpfs rw,nosuid,nodev.*size=1024k.*\n700$/s);
  const host = path.join(world.directory, "on-host");
  fs.mkdirSync(host);
  fs.writeFileSync(path.join(host, "file"), "host\n");
  volume("create", "--opt", "type=none", "--opt", `device=${host}`, "--opt", "o=bind", "bound");
  assert.equal(world.sh(["-v", "bound:/b"], "cat /b/file; touch /b/new"), "host");
  assert.ok(fs.existsSync(path.join(host, "new")));
  assert.deepEqual(JSON.parse(volume("inspect", "-f", "{{json .Options}}", "bound")), {
    type: "none",
    device: host,
    o: "bind",
  });
  assert.deepEqual(names("-f", "opt=type=tmpfs"), ["memory"]);
  for (const wrong of [
    ["-o", "size=10m"],
    ["-o", "nonsense=1"],
    ["-o", "o=size=1m"],
    ["-o", "type=none", "-o", "o=bind", "-o", "device=relative"],
    ["-o", "type=nfs", "-o", "device=:/x", "-o", "o=addr=server"],
    ["-d", "flocker"],
  ]) {
    const done = world.run(["volume", "create", ...wrong, "wrong"]);
    assert.equal(done.status, 1, wrong.join(" "));
    assert.match(done.stderr, /^hint: \S/m);
  }
  const other = world.run(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "bound"]);
  assert.equal(other.status, 1);
  assert.equal(volume("create", "--ignore", "-o", "type=tmpfs", "-o", "device=tmpfs", "bound"), "bound");
  volume("rm", "bound", "memory");
  assert.ok(fs.existsSync(path.join(host, "file")), "the host's directory is not the volume's to remove");
  const sized = world.sh(
    [
      "--mount",
      'type=volume,src=inline,dst=/i,volume-opt=type=tmpfs,volume-opt=device=tmpfs,"volume-opt=o=size=2m"',
    ],
    "df -k /i | tail -1",
  );
  assert.match(sized, /2048/);
  volume("rm", "inline");
});

test("a part of a volume", () => {
  world.sh(["-v", "tree:/t"], "mkdir -p /t/a/b; echo deep >/t/a/b/file; ln -s b /t/a/link");
  const part = (subpath: string, script: string): string =>
    world.sh(["--mount", `type=volume,src=tree,dst=/p,volume-subpath=${subpath}`], script);
  assert.equal(part("a/b", "ls /p"), "file");
  assert.equal(part("a/link", "cat /p/file"), "deep");
  assert.equal(part("a/b/file", "cat /p"), "deep");
  const missing = world.probe(["--mount", "type=volume,src=tree,dst=/p,volume-subpath=none"], "true");
  assert.equal(missing.status, 125);
  volume("rm", "tree");
});

test("images as mounts: read-only, a part, and writable for one container", () => {
  assert.equal(
    world.sh(["--mount", "type=image,src=probe,dst=/i"], "cmp /i/etc/passwd /etc/passwd && ls /i/etc"),
    "group\npasswd",
  );
  assert.equal(world.probe(["--mount", "type=image,src=probe,dst=/i"], "touch", "/i/x").status, 1);
  assert.equal(world.sh(["--mount", "type=image,src=probe,dst=/i,subpath=etc"], "ls /i"), "group\npasswd");
  assert.equal(
    world.sh(["--mount", "type=image,src=probe,dst=/i,subpath=etc/passwd"], "head -c 4 /i"),
    "root",
  );
  assert.equal(world.sh(["--mount", "type=image,src=probe,dst=/i,rw=true"], "echo x >/i/x; cat /i/x"), "x");
  assert.equal(
    world.sh(["--mount", "type=image,src=probe,dst=/i"], "ls /i/x 2>&1 || true"),
    "ls: /i/x: No such file or directory",
  );
  // The image is in use while a container has it.
  vitrine("tag", "probe", "second");
  vitrine(
    "create",
    "--name",
    "viewer",
    "--mount",
    "type=image,src=second,dst=/i,rw",
    "probe",
    "sh",
    "-c",
    "echo x >>/i/n; wc -l </i/n",
  );
  assert.equal(vitrine("start", "-a", "viewer"), "1");
  assert.equal(vitrine("start", "-a", "viewer"), "2", "what it wrote is its own");
  vitrine("rm", "viewer");
  vitrine("rmi", "second");
  assert.notEqual(
    world.probe(["--pull", "never", "--mount", "type=image,src=ghost,dst=/i"], "true").status,
    0,
  );
});

test("U gives what is in it to the container's user", () => {
  world.sh(["-v", "owned:/o"], "mkdir /o/d; touch /o/d/f");
  assert.equal(
    world.sh(["-u", "user", "-v", "owned:/o:U"], "stat -c %u:%g /o /o/d /o/d/f; touch /o/d/mine"),
    "1000:1000\n1000:1000\n1000:1000",
  );
  volume("rm", "owned");
});

test("ids: a volume belongs to the root of the container that uses it first", () => {
  for (const userns of isRoot ? ["auto", "private"] : ["keep-id", "nomap"]) {
    const flags = ["--userns", userns, "-u", "0"];
    const done = world.probe(
      [...flags, "-v", "mapped:/etc"],
      "sh",
      "-c",
      "stat -c %u:%g /etc /etc/passwd; touch /etc/x && ls /etc",
    );
    if (done.status === 125 && /subuid|ids/.test(done.stderr)) continue;
    assert.equal(done.status, 0, done.stderr);
    assert.equal(done.stdout, "0:0\n0:0\ngroup\nmtab\npasswd\nx\n", userns);
    volume("rm", "mapped");
  }
});

test("inspect, ps and df show volumes", () => {
  const host = path.join(world.directory, "shown");
  fs.mkdirSync(host);
  const flags = [
    "-v",
    "named:/n:ro",
    "-v",
    "/anonymous",
    "-v",
    `${host}:/h`,
    "--mount",
    "type=image,src=probe,dst=/i",
  ];
  vitrine("create", "--name", "shown", ...flags, "probe", "true");
  const [{ Mounts, Config, HostConfig }] = JSON.parse(vitrine("inspect", "shown")) as [
    {
      Mounts: Record<string, unknown>[];
      Config: { Volumes: unknown };
      HostConfig: { Binds: string[] };
    },
  ];
  const anonymous = names().find((name) => name !== "named")!;
  const fields = Mounts.map(({ Type, Name, Source, Destination, Driver, RW }) => [
    Type,
    Name,
    Source,
    Destination,
    Driver,
    RW,
  ]);
  assert.deepEqual(fields, [
    ["volume", "named", data("named"), "/n", "local", false],
    ["volume", anonymous, data(anonymous), "/anonymous", "local", true],
    ["bind", undefined, host, "/h", "", true],
    ["image", undefined, "probe", "/i", "", false],
  ]);
  assert.deepEqual(Config.Volumes, { "/anonymous": {} });
  assert.deepEqual(HostConfig.Binds, ["named:/n:ro", `${host}:/h:rw`]);
  const found = (filter: string): string => vitrine("ps", "-a", "--filter", filter, "--format", "{{.Names}}");
  for (const value of ["named", "/n", host, "/h", anonymous])
    assert.equal(found(`volume=${value}`), "shown", value);
  assert.equal(found("volume=other"), "");
  assert.match(vitrine("ps", "-a", "--format", "{{.LocalVolumes}} {{.Mounts}}"), /^2 named,/);
  volume("create", "idle");
  fs.writeFileSync(path.join(data("idle"), "file"), "x".repeat(1000));
  const row = (): string =>
    vitrine("system", "df", "--format", "{{.Type}}|{{.Total}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}")
      .split("\n")
      .at(-1)!;
  assert.equal(row(), "Local Volumes|3|2|1kB|1kB (100%)");
  vitrine("rm", "-v", "shown");
  const explained = vitrine(
    "explain",
    "run",
    "--format",
    "json",
    "-v",
    "named:/n",
    "-v",
    "/etc",
    "probe",
    "true",
  );
  assert.match(explained, /fillVolume/);
  assert.match(explained, /--volume/);
  assert.deepEqual(names(), ["idle", "named"], "explain makes nothing");
  volume("prune", "-af");
});

test("inspect: --mount type=tmpfs is a mount as docker says and in HostConfig.Mounts, --tmpfs in HostConfig.Tmpfs", () => {
  const flags = [
    "--tmpfs",
    "/a:size=1m",
    "--mount",
    "type=tmpfs,dst=/b,tmpfs-size=64k",
    "--mount",
    "type=tmpfs,dst=/c,ro",
  ];
  vitrine("create", "--name", "memory", ...flags, "probe", "true");
  const mounts =
    "{{range .Mounts}}[{{.Type}} {{.Source}} {{.Destination}} {{.Mode}} {{.RW}} {{.Propagation}}]{{end}}";
  assert.equal(vitrine("inspect", "-f", mounts, "memory").trim(), "[tmpfs  /b  true ][tmpfs  /c  false ]");
  const { Tmpfs, Mounts } = JSON.parse(vitrine("inspect", "-f", "{{json .HostConfig}}", "memory")) as {
    readonly Tmpfs: object;
    readonly Mounts: readonly object[];
  };
  assert.deepEqual(Tmpfs, { "/a": "size=1048576" });
  assert.deepEqual(Mounts, [
    { Type: "tmpfs", Target: "/b", TmpfsOptions: { SizeBytes: 65536 } },
    { Type: "tmpfs", Target: "/c", ReadOnly: true },
  ]);
  vitrine("rm", "memory");
});

/** What dockerd 28.5 says of the same flags; only its empty DriverConfig beside a Subpath is left out. */
test("inspect: HostConfig.Mounts has what --mount asks for, Binds what -v does", () => {
  const host = path.join(world.directory, "asked");
  fs.mkdirSync(host);
  const mounts = [
    `type=bind,source=${host},target=/b`,
    `type=bind,source=${host},target=/b2,readonly,bind-propagation=rslave`,
    `type=bind,source=${host},target=/b3,bind-recursive=disabled`,
    `type=bind,source=${host},target=/b4,ro,bind-recursive=writable`,
    `type=bind,source=${host},target=/b5,ro,bind-recursive=readonly,bind-propagation=rprivate`,
    "type=volume,source=vol,target=/v",
    "type=volume,target=/v2",
    "type=volume,source=vol2,target=/v3,volume-nocopy,volume-label=a=b,volume-opt=type=tmpfs,volume-opt=device=tmpfs,readonly",
    "type=volume,source=vol,target=/v4,volume-subpath=x",
    "type=image,source=probe,target=/i,image-subpath=bin",
    "type=tmpfs,target=/t2,tmpfs-size=1m,tmpfs-mode=1777,readonly",
  ];
  const flags = mounts.flatMap((mount) => ["--mount", mount]);
  vitrine("create", "--name", "asks", ...flags, "-v", `${host}:/n:ro`, "-v", "named:/nn", "probe", "true");
  const [{ HostConfig, Config }] = JSON.parse(vitrine("inspect", "asks")) as [
    { HostConfig: { Mounts: object[]; Binds: string[]; Tmpfs: object }; Config: { Volumes: unknown } },
  ];
  assert.deepEqual(HostConfig.Mounts, [
    { Type: "bind", Source: host, Target: "/b" },
    { Type: "bind", Source: host, Target: "/b2", ReadOnly: true, BindOptions: { Propagation: "rslave" } },
    { Type: "bind", Source: host, Target: "/b3", BindOptions: { NonRecursive: true } },
    {
      Type: "bind",
      Source: host,
      Target: "/b4",
      ReadOnly: true,
      BindOptions: { ReadOnlyNonRecursive: true },
    },
    {
      ...{ Type: "bind", Source: host, Target: "/b5", ReadOnly: true },
      BindOptions: { Propagation: "rprivate", ReadOnlyForceRecursive: true },
    },
    { Type: "volume", Source: "vol", Target: "/v" },
    { Type: "volume", Target: "/v2" },
    {
      ...{ Type: "volume", Source: "vol2", Target: "/v3", ReadOnly: true },
      VolumeOptions: {
        ...{ NoCopy: true, Labels: { a: "b" } },
        DriverConfig: { Options: { device: "tmpfs", type: "tmpfs" } },
      },
    },
    { Type: "volume", Source: "vol", Target: "/v4", VolumeOptions: { Subpath: "x" } },
    { Type: "image", Source: "probe", Target: "/i", ReadOnly: true, ImageOptions: { Subpath: "bin" } },
    {
      ...{ Type: "tmpfs", Target: "/t2", ReadOnly: true },
      TmpfsOptions: { SizeBytes: 1048576, Mode: 0o1777 },
    },
  ]);
  assert.deepEqual(HostConfig.Binds, [`${host}:/n:ro`, "named:/nn:rw"]);
  assert.deepEqual(HostConfig.Tmpfs, {});
  assert.equal(Config.Volumes, null);
  vitrine("rm", "asks");
  volume("prune", "-af");
});

test("export and import: files, owners, links, and over what is there", () => {
  world.sh(
    ["-v", "from:/f"],
    "mkdir -p /f/d; echo one >/f/d/one; chown 7:8 /f/d/one; chmod 4750 /f/d/one; ln /f/d/one /f/two; ln -s /etc/passwd /f/link",
  );
  const archive = path.join(world.directory, "from.tar");
  volume("export", "-o", archive, "from");
  volume("create", "to");
  volume("import", "to", archive);
  const look = "cd /v; stat -c '%n %a %u:%g %h' d/one; readlink link; cat two; ls";
  assert.equal(world.sh(["-v", "to:/v"], look), world.sh(["-v", "from:/v"], look));
  // Through pipes, compressed, and over what is there.
  world.sh(["-v", "to:/v"], "echo changed >/v/two; echo stays >/v/other");
  const piped = world.run(["volume", "export", "from"]);
  assert.equal(piped.status, 0, piped.stderr);
  const packed = spawnSync("gzip", ["-c"], { input: fs.readFileSync(archive) }).stdout;
  assert.equal(good(world.run(["volume", "import", "to", "-"], { input: packed })), "");
  assert.equal(world.sh(["-v", "to:/v"], "cat /v/d/one /v/other"), "one\nstays");
  for (const wrong of [
    ["volume", "export", "nobody"],
    ["volume", "import", "nobody", archive],
    ["volume", "import", "to", "/no/such/file"],
  ]) {
    assert.equal(world.run(wrong).status, 1, wrong.join(" "));
  }
  assert.notEqual(world.run(["volume", "import", "to", "-"], { input: "no archive at all" }).status, 0);
  volume("prune", "-af");
});

test("a removal and a container that takes the volume, at once: who has a container has its volume", async () => {
  const ended = (child: ReturnType<typeof world.start>): Promise<unknown> =>
    new Promise((resolve) => child.on("close", resolve));
  for (let round = 0; round < 12; round++) {
    volume("create", "wanted");
    const [made] = await Promise.all([
      ended(world.start(["create", "--name", "wants", "-v", "wanted:/w", "probe", "true"])),
      ended(world.start(["volume", "rm", "wanted"])),
    ]);
    assert.equal(made, 0);
    volume("inspect", "wanted");
    vitrine("start", "-a", "wants");
    vitrine("rm", "wants");
    volume("rm", "wanted");
  }
});

test("kill -9 at any time: the next command finds the volume whole, or finishes it", async () => {
  const archive = path.join(world.directory, "many.tar");
  world.sh(["-v", "many:/m"], "i=0; while [ $i -lt 400 ]; do echo $i >/m/$i; i=$((i+1)); done");
  volume("export", "-o", archive, "many");
  const attempts: readonly (readonly [string, readonly string[]])[] = [
    ["create", ["volume", "create", "killed"]],
    ["rm", ["volume", "rm", "many2"]],
    ["import", ["volume", "import", "many3", archive]],
    ["first use", ["run", "--rm", "-q", "-v", "killed:/bin", "probe", "true"]],
  ];
  const expected = world.sh([], "ls /bin | wc -l");
  for (const [what, command] of attempts) {
    for (const delay of [2, 10, 18, 30, 50]) {
      if (what === "rm") {
        volume("create", "many2");
        volume("import", "many2", archive);
      }
      if (what === "import") volume("create", "many3");
      const child = world.start(command);
      const closed = new Promise((resolve) => child.on("close", resolve));
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill("SIGKILL");
      await closed;
      // Whatever it had done, these see no half of a volume, and nothing stays hidden.
      const there = names();
      for (const name of there) volume("inspect", name);
      if (what === "import") {
        volume("import", "many3", archive);
        assert.equal(world.sh(["-v", "many3:/m"], "ls /m | wc -l; cat /m/399"), "400\n399");
        volume("rm", "many3");
      }
      if (what === "first use") {
        assert.equal(
          world.sh(["-v", "killed:/bin"], "ls -A /bin | wc -l"),
          expected,
          `killed after ${delay} ms`,
        );
      }
      volume("rm", "-f", "killed", "many2");
      world.run(["ps", "-a"]);
      const hidden = fs.readdirSync(path.join(world.root, "volumes")).filter((name) => name.startsWith("."));
      assert.deepEqual(hidden, [], `${what} killed after ${delay} ms`);
    }
  }
  volume("prune", "-af");
});

test("an interrupted first copy is made whole by the next container, and what is not its own stays", () => {
  volume("create", "half");
  // As a copy leaves it that was killed in the middle.
  const place = data("half");
  fs.writeFileSync(path.join(place, ".vitrine-filling"), "");
  fs.writeFileSync(path.join(place, "passwd"), "half");
  fs.mkdirSync(path.join(place, "group"));
  fs.writeFileSync(path.join(place, "other"), "mine");
  const seen = world.sh(
    ["-v", "half:/etc"],
    "cmp /etc/passwd /etc/passwd; head -1 /etc/passwd; ls -A /etc; cat /etc/other",
  );
  assert.equal(seen, "root:x:0:0:root:/root:/bin/sh\ngroup\nmtab\nother\npasswd\nmine");
  assert.equal(world.sh(["-v", "half:/etc"], "wc -l </etc/group"), world.sh([], "wc -l </etc/group"));
  volume("rm", "half");
});

test("a removal that was killed before it was decided gives the volume back to who took it", () => {
  vitrine("create", "--name", "taker", "-v", "taken:/t", "probe", "true");
  const root = path.join(world.root, "volumes");
  const dead = `.taken.999999999-1-${fs.readlinkSync("/proc/self/ns/pid").replace(/\D/g, "")}-abc.tmp`;
  fs.renameSync(path.join(root, "taken"), path.join(root, dead));
  assert.deepEqual(names(), ["taken"]);
  vitrine("rm", "taker");
  fs.renameSync(path.join(root, "taken"), path.join(root, dead));
  assert.deepEqual(names(), []);
  assert.deepEqual(fs.readdirSync(root), []);
});
