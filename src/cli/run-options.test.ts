import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunOptions } from "../engine/mod.ts";
import { parseLine } from "./framework/parse.ts";
import { parseRunOptions, type RunFlags, runOptionTable } from "./run-options.ts";

function parse(line: string, environment: Readonly<Record<string, string>> = {}): RunOptions {
  const parsed = parseLine(line.split(" ").filter(Boolean), {
    options: runOptionTable,
    stopAtFirstPositional: true,
    helpCommand: "vitrine run --help",
  });
  return parseRunOptions(parsed.options as RunFlags, {
    positionals: parsed.positionals,
    given: parsed.given,
    environment,
    directory: "/home/ann",
  });
}

test("what nobody asks for stays undefined, so that defaults can be told apart", () => {
  const options = parse("alpine");
  assert.equal(options.image, "alpine");
  for (const [name, value] of Object.entries(options)) {
    const empty =
      value === undefined ||
      value === false ||
      (Array.isArray(value) && value.length === 0) ||
      (value instanceof Map && value.size === 0);
    const decided = [
      "image",
      "passwd",
      "passSignals",
      "readOnlyTmpfs",
      "imageVolumes",
      "hostsFile",
      "hostnameFile",
      "security",
      "resources",
      "cgroups",
    ];
    assert.ok(empty || decided.includes(name), name);
  }
});

test("flags end at the image: what follows is the command's", () => {
  const options = parse("-it --rm alpine ls -l --rm -e X");
  assert.deepEqual(options.command, ["ls", "-l", "--rm", "-e", "X"]);
  assert.deepEqual([options.interactive, options.tty, options.remove], [true, true, true]);
  assert.deepEqual(options.environment, []);
  assert.deepEqual(parse("-- alpine -x").command, ["-x"]);
});

test("one flag of each kind becomes the value that is planned with", () => {
  const options = parse(
    "--name web -h host -u app -w /w -e A=1 --env B --unsetenv C -v /s:/t:ro --tmpfs /u --mount type=bind,src=./x,dst=/y " +
      "--net host --pid host --ipc none --timens host --userns keep-id --cap-add net_raw --cap-drop all " +
      "--security-opt no-new-privileges --device /dev/fuse --sysctl net.core.somaxconn=1 --ulimit nofile=1:2 " +
      "--shm-size 1m --stop-signal INT --stop-timeout 3 -l a=b --annotation c=d --platform linux/arm64 -m 1g " +
      "--memory-swap -1 --cpus 1.5 --pids-limit -1 -c 512 --cpuset-cpus 0-1 --umask 077 --oom-score-adj -5 " +
      "--entrypoint /e --add-host n:1.2.3.4 --dns 1.1.1.1 --no-hosts --image-volume bind --read-only alpine",
    { B: "from caller" },
  );
  assert.deepEqual(options.environment, [
    { name: "A", value: "1", flag: "--env" },
    { name: "B", value: "from caller", flag: "--env" },
    { name: "C", unset: true, flag: "--unsetenv" },
  ]);
  assert.deepEqual(
    options.mounts.map(({ target, flag }) => [target, flag]),
    [
      ["/t", "--volume"],
      ["/y", "--mount"],
      ["/u", "--tmpfs"],
    ],
  );
  const bound = options.mounts[1];
  assert.equal(bound?.kind === "bind" && bound.source, "/home/ann/x");
  assert.deepEqual(options.resources, {
    deviceRules: [],
    memory: 1n << 30n,
    memorySwap: -1n,
    nanoCpus: 1_500_000_000n,
    cpuShares: 512n,
    cpusetCpus: "0-1",
    pidsLimit: -1n,
  });
  const { network, pid, ipc, time, userns, capAdd, capDrop, stopSignal, stopTimeout, platform } = options;
  assert.deepEqual(
    { network, pid, ipc, time, userns, capAdd, capDrop, stopSignal, stopTimeout, platform },
    {
      network: { mode: "host" },
      pid: { mode: "host" },
      ipc: { mode: "none" },
      time: { mode: "host" },
      userns: { mode: "keep-id" },
      capAdd: ["CAP_NET_RAW"],
      capDrop: ["ALL"],
      stopSignal: "SIGINT",
      stopTimeout: 3,
      platform: { os: "linux", architecture: "arm64" },
    },
  );
  assert.deepEqual([options.umask, options.oomScoreAdjust, options.shmSize], [0o77, -5, 1n << 20n]);
  assert.deepEqual([options.hostsFile, options.readOnly, options.imageVolumes], [false, true, "anonymous"]);
});

test("flags of later releases are refused as such, harmless ones are taken", () => {
  for (const line of ["-p 80:80", "-P", "--log-driver journald"]) {
    assert.throws(() => parse(`${line} alpine`), { code: "flag-unsupported" }, line);
  }
  for (const line of [
    "--restart no",
    "--log-driver none",
    "--pull never",
    "--pull always",
    "--pull newer",
    "--pull=missing",
    "--sig-proxy=false",
    "-d",
    "--log-driver json-file --log-opt max-size=1m",
  ]) {
    assert.equal(parse(`${line} alpine`).image, "alpine", line);
  }
});

test("without an image there is nothing to run", () => {
  assert.throws(() => parse("--rm"), { code: "image-missing" });
});

test("no short flag stands for two", () => {
  const shorts = Object.values(runOptionTable).flatMap((option) => ("short" in option ? [option.short] : []));
  assert.equal(new Set(shorts).size, shorts.length);
});
