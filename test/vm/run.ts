/**
 * Runs tests in small machines of their own: Debian's cloud kernel (cgroup v2 alone, AppArmor, SELinux, systemd) under
 * QEMU's software emulation, because the host may have none of these. scripts/vm-image.sh makes kernel and disk.
 *
 *     node test/vm/run.ts                          the machines of `make test`, two at a time
 *     node test/vm/run.ts bare systemd             these
 *     node test/vm/run.ts bare user FILE…          these test files, in that machine and lane
 *     node test/vm/run.ts bare root -- COMMAND…    a shell command there; its output
 *
 * A second disk carries the checkout (built) to /vitrine. Results come back by a virtio port, the kernel's console goes
 * to build/vm/console-MACHINE.log. Node's closing lines (`ℹ pass N`) pass through, for scripts/test.sh to add up.
 */
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { type Machine, machines, onDemand, type Run } from "./machines.ts";

const repository = path.resolve(import.meta.dirname, "../..");
const image = path.join(repository, "build/vm");
/** A kernel that has started no job after so long hangs in its start: the emulator's fault, so it is started again, with more patience each time. */
const START_MS = 100_000;
const STARTS = 3;
/** A boot that says nothing for so long is lost, and one that is not over after so long. */
const SILENCE_MS = 660_000;
const BOOT_MINUTES = 60;

async function main(): Promise<void> {
  const chosen = choose(process.argv.slice(2));
  const reason = whyNot();
  if (reason !== undefined) {
    for (const machine of chosen) print(`﹣ vm ${machine.name}: cannot run here: ${reason} # SKIP`);
    print(`ℹ skipped ${chosen.length}`);
    return;
  }
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "vt-vm-"));
  try {
    const payload = makePayload(work, chosen);
    // Most tests have one process at work. What two machines say stays together.
    const waiting = [...chosen];
    const worker = async (): Promise<void> => {
      for (let machine = waiting.shift(); machine !== undefined; machine = waiting.shift()) {
        const said: string[] = [];
        await runMachine(machine, payload, work, chosen.length === 1 ? print : (line) => said.push(line));
        for (const line of said) print(line);
      }
    };
    await Promise.all([worker(), worker()]);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Machines by the command line; with files or a command, one machine of that one run. */
function choose(words: readonly string[]): readonly Machine[] {
  const [name, lane, ...rest] = words;
  if (name === undefined) return machines;
  const all = [...machines, ...onDemand];
  const known = (wanted: string): Machine => {
    const found = all.find((machine) => machine.name === wanted);
    if (found === undefined) throw new Error(`no machine ${wanted}: ${all.map((m) => m.name).join(", ")}`);
    return found;
  };
  if (lane !== "root" && lane !== "user") return words.map(known);
  return [{ ...known(name), boots: [{ runs: [{ lane, files: rest }] }] }];
}

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "not root (the disks are made with their owners)";
  for (const tool of ["qemu-system-x86_64", "mke2fs"]) {
    if (spawnSync(tool, ["--version"]).error !== undefined && spawnSync(tool, ["-V"]).error !== undefined)
      return `no ${tool}`;
  }
  if (!fs.existsSync(path.join(image, "version"))) return "no image (scripts/vm-image.sh says why)";
  return undefined;
}

/** The read-only disk of all machines: the checkout as it was built, and a job for each boot. */
function makePayload(work: string, all: readonly Machine[]): string {
  const stage = path.join(work, "stage");
  for (const directory of ["dist", "build/fixtures", "node_modules", "jobs"]) {
    fs.mkdirSync(path.join(stage, directory), { recursive: true });
  }
  const copy = (...names: readonly string[]): void => {
    const done = spawnSync("cp", ["-a", "--parents", ...names, stage], { cwd: repository });
    if (done.status !== 0) throw new Error(done.stderr.toString());
  };
  const built = ["vitrine", "vitrine-runtime", "vitrine-engine", "vitrine-helper"].map(
    (name) => `dist/${name}`,
  );
  copy("package.json", "src", "test", "scripts", "build/hello-image.ts", "build/probe", ...built);
  copy("build/fixtures/probe.tar");
  if (all.some(({ everything }) => everything === true))
    copy("dist/library", "build/fixtures/alpine.tar.gz", "build/fixtures/debian.tar", "docs", "native");
  const heavy = new Set(["@biomejs", "@oven", "@typescript", "@types", "bun", "typescript"]);
  const modules = fs.readdirSync(path.join(repository, "node_modules"));
  copy(
    ...modules
      .filter((name) => !name.startsWith(".") && !heavy.has(name))
      .map((name) => `node_modules/${name}`),
  );
  for (const machine of all) {
    machine.boots.forEach(({ runs }, boot) => {
      fs.writeFileSync(path.join(stage, "jobs", jobName(machine, boot)), runs.map(command).join(""));
    });
  }
  spawnSync("chmod", ["-R", "a+rX", stage]);
  const disk = path.join(work, "payload.ext4");
  const done = spawnSync("mke2fs", ["-q", "-t", "ext4", "-O", "^has_journal", "-d", stage, disk, "1000M"]);
  if (done.status !== 0) throw new Error(`mke2fs: ${done.stderr}`);
  fs.rmSync(stage, { recursive: true });
  return disk;
}

const jobName = (machine: Machine, boot: number): string => `${machine.name}-${boot}`;

/** One run as shell: the first word of `files` may be `--` for a command instead. */
function command(run: Run): string {
  const words = run.files[0] === "--" ? run.files.slice(1) : testCommand(run.files);
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  return `sh /vitrine/test/vm/guest/as ${run.lane} ${quoted} || failed=1\n[ -z "$failed" ]\n`;
}

const testCommand = (files: readonly string[]): readonly string[] => [
  "sh",
  "/vitrine/test/vm/guest/files",
  ...files,
];

async function runMachine(
  machine: Machine,
  payload: string,
  work: string,
  print: (line: string) => void,
): Promise<void> {
  const began = Date.now();
  const disk = path.join(work, `${machine.name}.ext4`);
  spawnSync("cp", ["--sparse=always", "--reflink=auto", path.join(image, "root.ext4"), disk]);
  for (let boot = 0; boot < machine.boots.length; boot++) {
    print(`== vm ${jobName(machine, boot)}`);
    let status = await runBoot(machine, boot, disk, payload, START_MS, print);
    for (let starts = 1; status === "hung" && starts < STARTS; starts++) {
      print(`vm ${jobName(machine, boot)}: the kernel hung while it started; once more`);
      status = await runBoot(machine, boot, disk, payload, START_MS * 2 ** starts, print);
    }
    if (status === undefined || status === "hung") {
      print(`✖ vm ${jobName(machine, boot)}: the machine ended without a result`);
      print("✖ failing tests: the console ends with:");
      print(fs.readFileSync(consoleLog(machine), "utf8").split("\n").slice(-40).join("\n"));
      print("ℹ fail 1");
    }
    if (status !== 0) process.exitCode = 1;
  }
  fs.rmSync(disk);
  print(`== vm ${machine.name}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

const consoleLog = (machine: Machine): string => path.join(image, `console-${machine.name}.log`);

/** Boots, passes the results on, cuts the power. Resolves to the job's exit status, undefined where it gave none, "hung" where no job was begun. */
function runBoot(
  machine: Machine,
  boot: number,
  disk: string,
  payload: string,
  patience: number,
  print: (line: string) => void,
): Promise<number | "hung" | undefined> {
  const { end = "cut" } = machine.boots[boot]!;
  const kernel = [
    // Where the host is busy, the kernel's look whether the timer ticks goes wrong, and it waits for ever.
    "console=ttyS0 loglevel=4 panic=-1 no_timer_check",
    `vitrine.init=${machine.init} vitrine.job=${jobName(machine, boot)} vitrine.end=${end}`,
    machine.append ?? "",
  ].join(" ");
  const drive = (id: string, file: string, more: string): readonly string[] => [
    ...["-drive", `file=${file},if=none,id=${id},format=raw,${more}`],
    ...["-device", `virtio-blk-pci,drive=${id}`],
  ];
  const child = spawn(
    "qemu-system-x86_64",
    [
      ...["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"],
      ...["-nodefaults", "-no-reboot", "-display", "none"],
      ...[
        "-kernel",
        path.join(image, "vmlinuz"),
        "-initrd",
        path.join(image, "initrd.gz"),
        "-append",
        kernel,
      ],
      ...drive("root", disk, "cache=unsafe"),
      ...drive("payload", payload, "readonly=on"),
      ...["-chardev", `file,id=console,path=${consoleLog(machine)}`, "-serial", "chardev:console"],
      ...["-chardev", "stdio,id=results,signal=off", "-device", "virtio-serial-pci"],
      ...["-device", "virtserialport,chardev=results,name=results"],
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const cut = (): void => {
    child.kill("SIGKILL");
  };
  process.once("exit", cut);
  return new Promise((resolve, reject) => {
    let status: number | "hung" | undefined = "hung";
    let rest = "";
    let lost = setTimeout(() => child.kill("SIGKILL"), patience);
    const endless = setTimeout(() => child.kill("SIGKILL"), (machine.minutes ?? BOOT_MINUTES) * 60_000);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      lost.refresh();
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const ended = /^vm: end (\d+)$/.exec(line);
        if (line === "vm: begin") {
          status = undefined;
          clearTimeout(lost);
          lost = setTimeout(() => child.kill("SIGKILL"), SILENCE_MS);
        } else if (ended === null) print(line);
        else {
          status = Number(ended[1]);
          // A clean end is the machine's own: -no-reboot makes it the emulator's.
          if (end === "cut") cut();
        }
      }
    });
    child.on("error", reject);
    child.on("close", () => {
      process.off("exit", cut);
      clearTimeout(lost);
      clearTimeout(endless);
      resolve(status);
    });
  });
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
await main();
