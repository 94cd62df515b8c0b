import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as net from "node:net";
import { type Bench, compare, median, mountFresh, type Row, type Subject } from "../bench.ts";
import { type DebianImage, makeDebianImage } from "../debian-image.ts";
import { makeSparseImage } from "../sparse-image.ts";

/** Pull, push and the registry, beside podman, skopeo and docker-registry; and what a 4 GiB blob costs in memory. */
export const registry: Subject = {
  name: "registry",
  run: async (bench) => {
    const image = makeDebianImage(bench.work, `${bench.repository}/build/fixtures/debian-large.tar`);
    if (image === undefined) {
      fs.writeSync(2, "bench: no Debian system by mmdebstrap, so no registry measured\n");
      return [];
    }
    await using ours = await startOurs(bench);
    bench.shell(
      `${bench.vitrine} copy -q oci:${image.directory}:${image.tag} docker://${ours.name}/debian:1`,
    );
    const rows = [
      ...pull(bench, image, ours, "ext4"),
      ...pull(bench, image, ours, "tmpfs"),
      ...present(bench, ours),
      ...(await push(bench, image, ours)),
    ];
    rows.push(...(await servers(bench, image)));
    rows.push(...(await memory(bench, ours)));
    return rows;
  },
};

interface Server extends AsyncDisposable {
  /** `localhost:PORT` */
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;

/** Every round has a store of its own: some filesystems are slow where much was removed a moment ago. */
function pull(bench: Bench, image: DebianImage, from: Server, kind: "ext4" | "tmpfs"): Row[] {
  const { vitrine, work } = bench;
  const place = `${work}/${kind}`;
  fs.mkdirSync(place);
  const call = bench.peerShell("podman");
  const round = `n=$(cat ${place}/pulls 2>/dev/null || echo 0); n=$((n+1)); echo $n >${place}/pulls;`;
  const script = (text: string) => ["sh", "-c", `${round} ${text}`];
  const podman =
    call === undefined
      ? undefined
      : script(
          `exec ${call} --root ${place}/pods/$n --runroot ${place}/podruns/$n pull -q --tls-verify=false ${from.name}/debian:1`,
        );
  const inflate = `for f in ${image.blobs.join(" ")}; do gzip -dc $f; done >/dev/null`;
  const sha256 = `cat ${image.blobs.join(" ")} | sha256sum`;
  const network = image.blobs
    .map((blob) => `http://${from.name}/v2/debian/blobs/sha256:${blob.slice(-64)}`)
    .join(" ");
  const remove = `for d in ${place}/pods/*; do umount $d/overlay 2>/dev/null || :; done; rm -rf ${place}/pulled ${place}/pods`;
  const between = kind === "tmpfs" ? ["sh", "-c", remove] : ["sync"];
  const rows = compare(
    bench,
    {
      rounds: roundsOf(bench),
      warmup: 0,
      before: mountFresh(kind, place, work),
      after: remove,
    },
    {
      what: `\`pull\` of a Debian image of ${megabytes(image.bytes)} in four layers, verified and unpacked, on a new ${kind}`,
      ours: script(
        `VITRINE_ROOT=${place}/pulled/$n VITRINE_RUNROOT=${place}/pulled/$n.run exec ${vitrine} pull -q ${from.name}/debian:1`,
      ),
      peers: [
        { name: "(between)", command: between },
        { name: "podman pull", command: podman, budget: 1 / 3 },
        { name: "(between)", command: between },
        { name: "gzip -dc", command: ["sh", "-c", inflate] },
        { name: "sha256sum", command: ["sh", "-c", sha256] },
        { name: "curl", command: ["sh", "-c", `curl -sf ${network} >/dev/null`] },
      ],
    },
  ).filter(({ peer }) => peer !== "(between)");
  const limits = rows.filter(({ peer }) => peer !== "podman pull");
  const limit = limits.reduce((most, row) => (row.theirs > most.theirs ? row : most));
  return [
    ...rows.filter((row) => !limits.includes(row)),
    { ...limit, peer: `the limit: ${limit.peer} of its layers`, budget: 1.3 },
  ];
}

function present(bench: Bench, from: Server): Row[] {
  const name = `${from.name}/debian:1`;
  const store = `VITRINE_ROOT=${bench.work}/held VITRINE_RUNROOT=${bench.work}/held.run`;
  const times = bench.measure(
    {
      rounds: Math.min(bench.rounds, 20),
      before: `${store} ${bench.vitrine} pull -q ${name}`,
      after: `rm -rf ${bench.work}/held`,
    },
    [["env", ...store.split(" "), bench.vitrine, "pull", "-q", name]],
  );
  return [
    {
      what: "`pull` of what is present",
      ours: median(times[0]!),
      unit: "ms",
      peer: "15 ms",
      theirs: 15,
      budget: 1,
    },
  ];
}

/**
 * Each time into an empty registry of another address: skopeo remembers where on a registry it has seen a blob, and would only mount it.
 * From an engine's own store, which for podman's means putting the layers together and compressing them again; and from a layout
 * where the blobs are ready. The floor is the registry's own work, which is the same for every client: three uploads by curl.
 */
async function push(bench: Bench, image: DebianImage, from: Server): Promise<Row[]> {
  const skopeo = bench.peer("skopeo");
  const podman = bench.peerShell("podman");
  if (skopeo === undefined || podman === undefined) return [];
  const { work, vitrine } = bench;
  const layout = `oci:${image.directory}:${image.tag}`;
  const ownStore = ["env", `VITRINE_ROOT=${work}/pushes`, `VITRINE_RUNROOT=${work}/pushes.run`, vitrine];
  const name = `${from.name}/debian:1`;
  bench.shell(`${ownStore.join(" ")} pull -q ${name}`);
  bench.shell(
    `${podman} --root ${work}/pushpods --runroot ${work}/pushpods.run pull -q --tls-verify=false ${name}; umount ${work}/pushpods/overlay 2>/dev/null || :`,
  );
  const theirStore = `containers-storage:[overlay@${work}/pushpods+${work}/pushpods.run]${name}`;
  const copy = [...skopeo, "copy", "-q", "--dest-tls-verify=false"];
  const upload = (to: Server, blob: string): string =>
    `u=http://${to.name}/v2/new/blobs/uploads/; l=$(curl -sfi -X POST $u | tr -d '\\r' | sed -n 's/^location: *//Ip'); case $l in /*) l=http://${to.name}$l;; esac; curl -sf -X PATCH -H 'Content-Type: application/octet-stream' -T ${blob} $l; curl -sf -X PUT $l?digest=sha256:${blob.slice(-64)}`;
  const commands: Readonly<Record<string, (to: Server) => readonly string[]>> = {
    ours: (to) => [...ownStore, "push", "-q", name, `${to.name}/new:1`],
    theirs: (to) => [...copy, theirStore, `docker://${to.name}/new:1`],
    oursReady: (to) => [vitrine, "copy", "-q", layout, `docker://${to.name}/new:1`],
    theirsReady: (to) => [...copy, layout, `docker://${to.name}/new:1`],
    floor: (to) => ["sh", "-c", `${image.blobs.map((blob) => `(${upload(to, blob)}) &`).join("\n")}\nwait`],
  };
  const times: Record<string, number[]> = {};
  for (let round = 0; round < roundsOf(bench); round++) {
    for (const [key, command] of Object.entries(commands)) {
      // Ten times the others, and as many times slower: once is enough.
      if (key === "theirs" && round > 0) continue;
      await using to = await startOurs(bench);
      bench.shell("sync");
      const [time] = bench.measure({ rounds: 1, warmup: 0 }, [command(to)]);
      times[key] = [...(times[key] ?? []), time![0]!];
    }
  }
  const row = (what: string, mine: string, peer: string, other: string, budget?: number): Row => ({
    what,
    ours: median(times[mine]!),
    unit: "ms",
    peer,
    theirs: median(times[other]!),
    ...(budget !== undefined && { budget }),
  });
  const stored = "`push` of the same image from the engine's own store to an empty registry";
  const ready = "`copy` of it from a layout to an empty registry";
  return [
    row(stored, "ours", "skopeo copy containers-storage:", "theirs", 1 / 3),
    row(ready, "oursReady", "skopeo copy oci:", "theirsReady"),
    row(ready, "oursReady", "the floor: curl, all blobs at once", "floor"),
  ];
}

const loadSeconds = 1;
const uploadBytes = 64 * 1024 * 1024;

/** How often what takes seconds is measured. */
function roundsOf(bench: Bench): number {
  return Math.max(1, Math.min(bench.rounds, 2));
}

/** The two servers in turn, with clients that cost next to nothing (registry-load.c) and with curl, on the disk and in memory. */
async function servers(bench: Bench, image: DebianImage): Promise<Row[]> {
  const load = `${bench.work}/registry-load`;
  bench.shell(`cc -O2 -o ${load} bench/registry-load.c -lpthread`);
  const digests = Array.from({ length: 16 }, (_, client) => digestOfFill(client + 1, uploadBytes));
  const memory = fs.mkdtempSync("/dev/shm/vitrine-bench-");
  try {
    return [
      ...(await serversAt(bench, image, load, digests, bench.work, "on a disk")),
      ...(await serversAt(bench, image, load, digests, memory, "in memory")),
    ];
  } finally {
    fs.rmSync(memory, { recursive: true, force: true });
  }
}

async function serversAt(
  bench: Bench,
  image: DebianImage,
  load: string,
  digests: readonly string[],
  directory: string,
  where: string,
): Promise<Row[]> {
  await using ours = await startOurs(bench, directory);
  await using theirs = await startDockerRegistry(bench, directory);
  if (theirs === undefined) {
    fs.writeSync(2, "bench: docker-registry is not installed, so not compared\n");
    return [];
  }
  for (const { name } of [ours, theirs]) {
    bench.shell(`${bench.vitrine} copy -q oci:${image.directory}:${image.tag} docker://${name}/debian:1`);
  }
  const blob = `/v2/debian/blobs/sha256:${image.blobs[0]!.slice(-64)}`;
  const put = ["put", "load", `${uploadBytes}`, ...digests];
  const rows: Row[] = [];
  /** Bytes and requests a second, and what a gigabyte costs the server. */
  const measure = (server: Server, clients: number, words: readonly string[]) => {
    const before = processorSeconds(server.pid);
    const begun = performance.now();
    const [bytes, requests] =
      words[0] === "curl"
        ? curl(server, clients)
        : runLoad([load, `${server.port}`, `${loadSeconds}`, `${clients}`, ...words]);
    const seconds = words[0] === "curl" ? (performance.now() - begun) / 1000 : loadSeconds;
    const cost = ((processorSeconds(server.pid) - before) * 1000) / (bytes / 1e9);
    return { bytes: bytes / 1e6 / seconds, requests: requests / seconds, cost };
  };
  const compared = (what: string, clients: number, words: readonly string[]): void => {
    const pairs = Array.from({ length: roundsOf(bench) + 1 }, () => [
      measure(ours, clients, words),
      measure(theirs, clients, words),
    ]);
    const of = (side: 0 | 1, key: "bytes" | "requests" | "cost"): number =>
      median(pairs.map((pair) => pair[side]![key]));
    const add = (text: string, key: "bytes" | "requests" | "cost", unit: Row["unit"], budget?: number) => {
      rows.push({
        what: text,
        ours: of(0, key),
        unit,
        peer: "docker-registry",
        theirs: of(1, key),
        ...(budget !== undefined && { budget }),
      });
    };
    const named = `registry ${where}: ${what}, ${clients} ${clients === 1 ? "client" : "clients"}`;
    if (what.includes("manifest")) {
      add(named, "requests", "/s", 2);
      return;
    }
    add(named, "bytes", "MB/s", 2);
    add(`${named}: its processor time for a gigabyte`, "cost", "ms");
  };
  const size = fs.statSync(image.blobs[0]!).size;
  const curl = (server: Server, clients: number): readonly [bytes: number, requests: number] => {
    const times = clients === 1 ? 10 : 1;
    const call = `curl -sf -o /dev/null "http://127.0.0.1:${server.port}${blob}?[1-${times}]"`;
    const script = `for n in $(seq ${clients}); do ${call} & all="$all $!"; done; for one in $all; do wait $one || exit 1; done`;
    if (spawnSync("sh", ["-c", script]).status !== 0) throw new Error("curl did not get the blob");
    return [size * clients * times, clients * times];
  };
  for (const clients of [1, 16]) compared("GET of a 145 MB blob", clients, ["get", blob]);
  for (const clients of [1, 16]) compared("GET of a 145 MB blob by curl", clients, ["curl"]);
  for (const clients of [1, 16]) compared("PUT of 64 MiB blobs", clients, put);
  if (directory === bench.work) compared("GET of a manifest", 16, ["get", "/v2/debian/manifests/1"]);
  return rows;
}

/** Bytes of bodies and requests in `loadSeconds`, as registry-load.c prints them for a second. */
function runLoad(command: readonly string[]): readonly [bytes: number, requests: number] {
  const done = spawnSync(command[0]!, command.slice(1), { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`registry-load: ${done.stderr}`);
  const [bytes, requests] = done.stdout.split(" ").map((word) => Number(word) * loadSeconds);
  return [bytes!, requests!];
}

/** Of a process and its children. */
function processorSeconds(pid: number): number {
  const ticks = family(pid).map((each) => {
    const stat = fs.readFileSync(`/proc/${each}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / 100;
}

function family(pid: number): number[] {
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
  const others = fs.readdirSync(`/proc/${pid}/task`).filter((task) => task !== `${pid}`);
  const more = others.map((task) => fs.readFileSync(`/proc/${pid}/task/${task}/children`, "latin1"));
  return [pid, ...[children, ...more].join(" ").split(" ").filter(Boolean).map(Number)];
}

function digestOfFill(value: number, bytes: number): string {
  const hash = createHash("sha256");
  const piece = Buffer.alloc(1024 * 1024, value);
  for (let done = 0; done < bytes; done += piece.length) hash.update(piece);
  return `sha256:${hash.digest("hex")}`;
}

/** The peak of resident memory (VmHWM) on both sides while 4 GiB go up and come down. */
async function memory(bench: Bench, to: Server): Promise<Row[]> {
  const image = makeSparseImage(bench.work, 4 * 1024 ** 3);
  const place = `${to.name}/sparse:1`;
  await using server = await startOurs(bench);
  const rows: Row[] = [];
  const add = (what: string, kilobytes: number): void => {
    rows.push({ what, ours: kilobytes / 1024, unit: "MiB", peer: "100 MiB", theirs: 100, budget: 1 });
  };
  const name = place.replace(to.name, server.name);
  add(
    "memory of the client, pushing a 4 GiB blob",
    // As it is: by default a plain layer is gzipped on its way, and 4 GiB of zeros would come down as a bomb.
    await peak([bench.vitrine, "copy", "-q", "--preserve-digests", image, `docker://${name}`]),
  );
  add("memory of the registry with its helper, taking it", highWaterOfAll(server.pid));
  const store = { VITRINE_ROOT: `${bench.work}/sparse`, VITRINE_RUNROOT: `${bench.work}/sparse.run` };
  add(
    "memory of the client, pulling and unpacking it",
    await peak([bench.vitrine, "pull", "-q", name], store),
  );
  add("memory of the registry with its helper, taking and sending it", highWaterOfAll(server.pid));
  fs.rmSync(store.VITRINE_ROOT, { recursive: true, force: true });
  return rows;
}

async function peak(
  command: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<number> {
  const child = spawn(command[0]!, command.slice(1), { stdio: "ignore", env: { ...process.env, ...more } });
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, highWater(child.pid!));
  }, 50);
  const status = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  clearInterval(watch);
  if (status !== 0) throw new Error(`${command.join(" ")} ended with ${status}`);
  return most;
}

function highWaterOfAll(pid: number): number {
  return family(pid).reduce((sum, each) => sum + highWater(each), 0);
}

/** KiB; 0 of a process that has ended. */
function highWater(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

let directories = 0;

async function startOurs(bench: Bench, directory = bench.work): Promise<Server> {
  const root = `${directory}/registry${directories++}`;
  return start(
    (port) => [bench.vitrine, "registry", "serve", "--addr", `127.0.0.1:${port}`, "--root", root],
    root,
  );
}

async function startDockerRegistry(bench: Bench, directory: string): Promise<Server | undefined> {
  if (spawnSync("sh", ["-c", "command -v docker-registry"]).status !== 0) return undefined;
  const root = `${directory}/docker-registry`;
  const file = `${bench.work}/docker-registry.yml`;
  return start((port) => {
    fs.writeFileSync(
      file,
      `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${root}}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
    );
    return ["docker-registry", "serve", file];
  }, root);
}

async function start(command: (port: number) => readonly string[], root: string): Promise<Server> {
  const port = await freePort();
  const [program, ...args] = command(port);
  const child = spawn(program!, args, { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  for (let tries = 0; !(await answers(port)); tries++) {
    if (child.exitCode !== null || tries > 200) throw new Error(`${program} does not serve`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    name: `localhost:${port}`,
    port,
    pid: child.pid!,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
      fs.rmSync(root, { recursive: true, force: true });
    },
  };
}

async function answers(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/v2/`)).status === 200;
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
