/**
 * Each defence of the helper against an attack on the helper without it: the attack must succeed there, or its test
 * would show nothing, and fail on ours. The plans are those parts of a container's that matter.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { MS_PRIVATE, type Op, type OpPath, type WireOp } from "../../src/kernel/mod.ts";
import { repository } from "../integration/support.ts";
import { Bench, container, mountOp, testedHelper } from "../support/containers.ts";

const host = (name: string): OpPath => ({ base: "host", path: name });
const root = (name: string): OpPath => ({ base: "root", path: name });
const rounds = Number(process.env["VITRINE_ATTACK_ROUNDS"] ?? 4000);

/** A line of the helper's source, and what it was before the defence; every line must be there once. */
interface Removal {
  readonly file: string;
  readonly lines: readonly (readonly [ours: string, unpatched: string])[];
}

interface Attack {
  readonly cve: string;
  readonly what: string;
  readonly removal: Removal;
  /** True: it reached what it should not. */
  readonly run: (place: Place) => boolean | Promise<boolean>;
}

/** A root filesystem that the attacker wrote, and a directory of the host beside it. */
class Place extends Bench {
  readonly bait = path.join(this.directory, "bait");

  constructor(program?: string) {
    super(program);
    fs.mkdirSync(this.bait);
    fs.writeFileSync(path.join(this.bait, "file"), "bait\n");
  }

  link(name: string, target: string): void {
    const at = path.join(this.rootfs, name);
    fs.mkdirSync(path.dirname(at), { recursive: true });
    fs.symlinkSync(target, at);
  }

  has(name: string): boolean {
    return fs.existsSync(path.join(this.bait, name));
  }

  /** `ops` while the host's tree is still there. */
  runBeforePivot(ops: readonly WireOp[], argv: readonly string[] = ["/bin/true"], init: readonly Op[] = []) {
    const plan = container(this, { argv, init });
    const pivot = plan.findIndex(({ op }) => op.op === "pivotRoot");
    return this.run([...plan.slice(0, pivot), ...ops, ...plan.slice(pivot)]);
  }

  /** With a descriptor of the host's directory that is open as 3. */
  runWithLeak(argv: readonly string[], init: readonly Op[]) {
    const leak = fs.openSync(this.bait, "r");
    const plan = this.write(container(this, { argv, init }));
    // As if the engine had left it open, which main.c would close.
    const done = spawnSync(this.program, ["run", "--preserve-fds", "1", plan], {
      stdio: ["ignore", "pipe", "pipe", leak],
      encoding: "utf8",
    });
    fs.closeSync(leak);
    return done;
  }
}

const wire = (op: Op): WireOp => ({ stage: "init", tolerate: ["ENOENT", "EEXIST", "ENOTDIR"], op });
const makeMountPoint = (name: string): Op => ({ op: "makeMountPoint", path: root(name), file: false });

/** Files of /proc are opened where /proc happens to lead. */
const falseProc: Removal = {
  file: "resolve.c",
  lines: [
    [
      "  int proc = proc_handle(h);\n  if (proc < 0) return -1;\n  while",
      '  int proc = h != NULL ? open("/proc", O_PATH | O_CLOEXEC) : -1;\n  while',
    ],
    ["K_RESOLVE_BENEATH | K_RESOLVE_NO_XDEV | K_RESOLVE_NO_SYMLINKS);", "0);"],
  ],
};

const overProc = (fake: string): Op => ({
  op: "bindMount",
  source: host(fake),
  target: root("/proc"),
  recursive: false,
  set: 0n,
  clear: 0n,
  recursiveAttributes: false,
  propagation: MS_PRIVATE,
});

/** Names that are joined and given to the kernel, which follows links out of the root. */
const joinedNames: Removal = {
  file: "resolve.c",
  lines: [
    [
      "int make_in_root(int root, const char *path, bool file, mode_t mode) {",
      `int make_in_root(int root, const char *path, bool file, mode_t mode) {
  if (!file) {
    while (*path == '/') path++;
    return mkdirat(root, path, mode) == 0 || errno == EEXIST ? openat(root, path, O_PATH | O_CLOEXEC) : -1;
  }`,
    ],
    [
      "    int fd = k_openat2(root, path, flags, mode, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_MAGICLINKS);",
      "    while (path[0] == '/' && path[1] != 0) path++;\n" +
        "    int fd = openat(root, path[0] == '/' ? \".\" : path, (int)flags | O_CLOEXEC, (mode_t)mode);",
    ],
  ],
};

/** What was checked is used by its name: it may be another by then. */
const checkedThenNamed: Removal = {
  file: "resolve.c",
  lines: [
    [
      "int make_in_root(int root, const char *path, bool file, mode_t mode) {",
      `int make_in_root(int root, const char *path, bool file, mode_t mode) {
  char buffer[PATH_MAX], name[PATH_MAX + 300], link[64];
  const char *directory, *last;
  if (!file && split_path(path, buffer, &directory, &last)) {
    int parent = open_in_root(root, directory, O_PATH | O_DIRECTORY, 0);
    if (parent < 0) return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", parent);
    ssize_t length = readlink(link, name, PATH_MAX);
    close(parent);
    if (length < 0) return -1;
    snprintf(name + length, sizeof name - (size_t)length, "/%s", last);
    return mkdir(name, mode) == 0 ? open(name, O_PATH | O_CLOEXEC) : -1;
  }`,
    ],
  ],
};

const attacks: readonly Attack[] = [
  {
    cve: "CVE-2021-30465",
    what: "a mount point below a link is made where the link leads in the root",
    removal: joinedNames,
    run(place) {
      place.link("v/link", place.bait);
      place.runBeforePivot([wire(makeMountPoint("v/link/made"))]);
      return place.has("made");
    },
  },
  {
    cve: "CVE-2021-30465, CVE-2024-45310",
    what: `a directory that is swapped for a link while mount points are made in it (${rounds} rounds)`,
    removal: checkedThenNamed,
    run: race,
  },
  {
    cve: "CVE-2019-5736",
    what: "what stays in the container is not the host's program",
    removal: {
      file: "seal.c",
      lines: [
        ["bool seal_self(char **argv) {", "bool seal_self(char **argv) {\n  if (*argv != NULL) return true;"],
      ],
    },
    run(place) {
      const argv = ["/bin/sh", "-c", "stat -L -c %i /proc/1/exe"];
      const done = place.run(container(place, { argv, init: [{ op: "initReaper" }] }));
      assert.match(done.stdout, /^\d+$/m, done.stderr);
      return done.stdout.trim() === String(fs.statSync(place.program).ino);
    },
  },
  {
    cve: "CVE-2024-21626",
    what: "a working directory is not entered through a descriptor",
    removal: {
      file: "ops_process.c",
      lines: [
        [
          '  if (h->root < 0) return fail_as(h, EBADF, "no setRoot before it");\n  struct path path = {a->path, BASE_ROOT};',
          "  if (h->root >= 0) return chdir(a->path.at) == 0 ? 0 : errno;\n  struct path path = {a->path, BASE_ROOT};",
        ],
      ],
    },
    run(place) {
      const enter: Op = { op: "changeDirectory", path: "/proc/self/fd/3", create: false };
      return place.runWithLeak(["/bin/cat", "file"], [enter]).stdout.includes("bait");
    },
  },
  {
    cve: "CVE-2024-21626",
    what: "a descriptor of the host does not reach the program",
    removal: {
      file: "ops_process.c",
      lines: [
        [
          "int op_close_descriptors(struct helper *h, const struct args_close_descriptors *a) {",
          "int op_close_descriptors(struct helper *h, const struct args_close_descriptors *a) {\n  if (h != NULL) return 0;",
        ],
      ],
    },
    run(place) {
      const close: Op = { op: "closeDescriptors", first: 3 };
      return place.runWithLeak(["/bin/cat", "/proc/self/fd/3/file"], [close]).stdout.includes("bait");
    },
  },
  {
    cve: "CVE-2025-31133",
    what: "a link in the place of /dev/null is not what masks a path",
    removal: {
      file: "ops_mask.c",
      lines: [
        [
          "if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) return fd;",
          "if (fstat(fd, &st) == 0 && makedev(1, 3) != 0) return fd;",
        ],
        ["0, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_SYMLINKS);", "0, K_RESOLVE_IN_ROOT);"],
        ["open_null(h, O_PATH | O_NOFOLLOW)", "open_null(h, O_PATH)"],
      ],
    },
    run(place) {
      fs.writeFileSync(path.join(place.rootfs, "etc/owned"), "bait\n");
      const init: Op[] = [
        { op: "unmount", path: root("dev"), flags: 2 },
        mountOp("tmpfs", "dev"),
        { op: "makeSymlink", path: root("dev/null"), target: "/etc/owned" },
        { op: "maskPath", path: root("proc/version") },
      ];
      return place.run(container(place, { argv: ["/bin/cat", "/proc/version"], init })).stdout === "bait\n";
    },
  },
  {
    cve: "CVE-2025-52565",
    what: "a link in the place of /dev/console is not mounted on",
    removal: {
      file: "ops_terminal.c",
      lines: [
        [
          'k_openat2(h->root, "dev/console", O_PATH, 0, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_SYMLINKS)',
          'k_openat2(h->root, "dev/console", O_PATH, 0, K_RESOLVE_IN_ROOT)',
        ],
      ],
    },
    run(place) {
      const init: Op[] = [
        { op: "makeSymlink", path: root("dev/console"), target: "/proc/version" },
        {
          op: "openTerminal",
          rows: 0,
          columns: 0,
          uid: 0,
          consoleSocket: "",
          bindConsole: true,
          plainNewlines: false,
        },
      ];
      const argv = ["/bin/grep", " /proc/version ", "/proc/mounts"];
      return place.run(container(place, { argv, init })).stdout.includes("devpts");
    },
  },
  {
    cve: "CVE-2019-16884",
    what: "an AppArmor profile is not written to files that lie over /proc",
    removal: falseProc,
    run(place) {
      const fake = path.join(place.directory, "fake");
      const file = path.join(fake, "1/attr/apparmor/exec");
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.symlinkSync("1", path.join(fake, "self"));
      fs.writeFileSync(file, "");
      place.runBeforePivot(
        [wire(overProc(fake))],
        ["/bin/true"],
        [{ op: "apparmorProfile", profile: "any" }],
      );
      return fs.readFileSync(file, "utf8") === "exec any";
    },
  },
  {
    cve: "CVE-2025-52881",
    what: "what is written to /proc does not go to files that lie over it",
    removal: falseProc,
    run(place) {
      const fake = path.join(place.directory, "fake");
      fs.mkdirSync(path.join(fake, "sys/kernel"), { recursive: true });
      const file = path.join(fake, "sys/kernel/shm_rmid_forced");
      fs.writeFileSync(file, "0");
      const data = new TextEncoder().encode("1");
      const target: OpPath = { base: "proc", path: "sys/kernel/shm_rmid_forced" };
      const write: Op = { op: "writeFile", path: target, data, create: false, mode: 0 };
      place.runBeforePivot([wire(overProc(fake))], ["/bin/true"], [write]);
      return fs.readFileSync(file, "utf8") === "1";
    },
  },
  {
    cve: "CVE-2026-41579",
    what: "a /dev that is a link gets its links where it leads in the root",
    removal: joinedNames,
    run(place) {
      place.link("device", place.bait);
      place.runBeforePivot([
        wire({ op: "makeSymlink", path: root("device/stdin"), target: "/proc/self/fd/0" }),
      ]);
      return fs.readdirSync(place.bait).includes("stdin");
    },
  },
  {
    cve: "CVE-2026-55686",
    what: "a working directory below a link is made where it leads in the root",
    removal: joinedNames,
    run(place) {
      place.link("job", place.bait);
      place.runBeforePivot([
        wire({ op: "makeDirectory", path: root("job/made"), mode: 0o755, parents: true }),
      ]);
      return place.has("made");
    },
  },
  {
    cve: "CVE-2023-27561",
    what: "procfs is not mounted by way of a link",
    removal: {
      file: "ops_mount.c",
      lines: [
        [
          'bool exact = strcmp(a->fstype.at, "proc") == 0 || strcmp(a->fstype.at, "sysfs") == 0;',
          "bool exact = false;",
        ],
      ],
    },
    run(place) {
      fs.mkdirSync(path.join(place.rootfs, "srv/fake"), { recursive: true });
      place.link("procfs", "/srv/fake");
      return (
        place.runBeforePivot([{ stage: "init", tolerate: [], op: mountOp("proc", "procfs") }]).status === 0
      );
    },
  },
];

/**
 * Many mount points in each plan, in a directory that another process swaps for a link all the time. It goes on until the attack
 * reached the bait or both were met, as often as a busy machine needs for that.
 */
async function race(place: Place): Promise<boolean> {
  const volume = path.join(place.rootfs, "v");
  const inside = path.join(place.rootfs, place.bait);
  fs.mkdirSync(path.join(volume, "spot"), { recursive: true });
  fs.mkdirSync(inside, { recursive: true });
  place.link("v/link", place.bait);
  // Whatever its name is.
  const directory = fs.openSync(path.join(volume, "spot"), fs.constants.O_DIRECTORY);
  const racer = spawn(programs.racer, [volume, "spot", "link"], { stdio: "ignore" });
  const met = { directory: 0, link: 0 };
  try {
    const each = 500;
    for (let round = 0; round < rounds || isPatient(place, met, round); round += each) {
      const ops = Array.from({ length: each }, (_, index) =>
        wire(makeMountPoint(`v/spot/m${round + index}`)),
      );
      const done = place.runBeforePivot(ops);
      assert.equal(done.status, 0, done.stderr);
      if (fs.readdirSync(place.bait).length > 1) return true;
      met.directory = fs.readdirSync(`/proc/self/fd/${directory}`).length;
      met.link = fs.readdirSync(inside).length;
    }
  } finally {
    fs.closeSync(directory);
    const ended = racer.exitCode === null && racer.signalCode === null ? once(racer, "exit") : undefined;
    racer.kill("SIGKILL");
    await ended;
  }
  assert.ok(met.directory > 0 && met.link > 0, `both were met: ${JSON.stringify(met)}`);
  return false;
}

/** The attack is to succeed on what has no defence; on ours it must have had its chance. */
function isPatient(
  { program }: Place,
  met: { readonly directory: number; readonly link: number },
  round: number,
): boolean {
  return round < 50 * rounds && (program !== testedHelper || met.directory === 0 || met.link === 0);
}

// --- helpers without a defence ---

const native = path.join(repository, "native");
const build = fs.mkdtempSync(path.join(repository, "build/unpatched-"));
const programs = { racer: path.join(build, "racer") };
const flags = ["-O1", "-w", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", `-I${native}`];
const sources = fs
  .readdirSync(native)
  .filter((name) => name.endsWith(".c") && !/^(probe|launcher)/.test(name));

before(() => {
  cc(["-D_GNU_SOURCE", "-o", programs.racer, path.join(repository, "test/attack/racer.c")]);
  const objects = spawnSync("xargs", ["-P", "2", "-n", "8", "cc", ...flags, "-c"], {
    cwd: build,
    input: sources.map((name) => path.join(native, name)).join("\n"),
    encoding: "utf8",
  });
  assert.equal(objects.status, 0, objects.stderr);
});

after(() => fs.rmSync(build, { recursive: true, force: true }));

function cc(args: readonly string[]): void {
  const done = spawnSync("cc", args, { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
}

function without({ file, lines }: Removal, name: string): string {
  let text = fs.readFileSync(path.join(native, file), "utf8");
  for (const [ours, unpatched] of lines) {
    assert.equal(text.split(ours).length, 2, `${file} has this once: ${ours}`);
    text = text.replace(ours, () => unpatched);
  }
  const source = path.join(build, `${name}.c`);
  fs.writeFileSync(source, text);
  const program = path.join(build, name);
  cc([...flags, "-c", "-o", `${source}.o`, source]);
  const others = sources.filter((one) => one !== file).map((one) => path.join(build, one.replace(/c$/, "o")));
  cc(["-o", program, `${source}.o`, ...others]);
  fs.chmodSync(program, 0o755);
  return program;
}

async function reaches(attack: Attack, program?: string): Promise<boolean> {
  const place = new Place(program);
  try {
    return await attack.run(place);
  } finally {
    place.close();
  }
}

for (const [index, attack] of attacks.entries()) {
  test(`${attack.cve}: ${attack.what}`, async () => {
    assert.equal(await reaches(attack), false, "the attack reached it");
    const unpatched = without(attack.removal, `unpatched-${index}`);
    assert.equal(await reaches(attack, unpatched), true, "the attack fails without the defence as well");
  });
}
