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
    await using theirs = await startDockerRegistry(bench);
    if (theirs === undefined) fs.writeSync(2, "bench: docker-registry is not installed, so not compared\n");
    else rows.push(...(await servers(bench, image, ours, theirs)));
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
      rounds: 3,
      warmup: 1,
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
      rounds: bench.rounds,
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
  for (let round = 0; round < rounds; round++) {
    for (const [key, command] of Object.entries(commands)) {
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

const loadSeconds = 3;
const uploadBytes = 64 * 1024 * 1024;
const rounds = 3;

/** The two servers in turn, with clients that cost next to nothing (registry-load.c). */
async function servers(bench: Bench, image: DebianImage, ours: Server, theirs: Server): Promise<Row[]> {
  const load = `${bench.work}/registry-load`;
  bench.shell(`cc -O2 -o ${load} bench/registry-load.c -lpthread`);
  bench.shell(
    `${bench.vitrine} copy -q oci:${image.directory}:${image.tag} docker://${theirs.name}/debian:1`,
  );
  const digests = Array.from({ length: 16 }, (_, client) => digestOfFill(client + 1, uploadBytes));
  const blob = `/v2/debian/blobs/sha256:${image.blobs[0]!.slice(-64)}`;
  const put = ["put", "load", `${uploadBytes}`, ...digests];
  const rate = (server: Server, clients: number, words: readonly string[], column: 0 | 1): number => {
    const done = spawnSync(load, [`${server.port}`, `${loadSeconds}`, `${clients}`, ...words], {
      encoding: "utf8",
    });
    if (done.status !== 0) throw new Error(`registry-load: ${done.stderr}`);
    return Number(done.stdout.split(" ")[column]);
  };
  const row = (what: string, unit: "MB/s" | "/s", clients: number, words: readonly string[]): Row => {
    const column = unit === "/s" ? 1 : 0;
    const scale = unit === "/s" ? 1 : 1e6;
    const pairs = Array.from({ length: rounds }, () => [
      rate(ours, clients, words, column),
      rate(theirs, clients, words, column),
    ]);
    return {
      what,
      ours: median(pairs.map(([mine]) => mine! / scale)),
      unit,
      peer: "docker-registry",
      theirs: median(pairs.map(([, other]) => other! / scale)),
      budget: 2,
    };
  };
  return [
    row("registry: GET of a 145 MB blob, 1 client", "MB/s", 1, ["get", blob]),
    row("registry: GET of a 145 MB blob, 16 clients", "MB/s", 16, ["get", blob]),
    row("registry: PUT of 64 MiB blobs, 1 client", "MB/s", 1, put),
    row("registry: PUT of 64 MiB blobs, 16 clients", "MB/s", 16, put),
    row("registry: GET of a manifest, 16 clients", "/s", 16, ["get", "/v2/debian/manifests/1"]),
  ];
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
    await peak([bench.vitrine, "copy", "-q", image, `docker://${name}`]),
  );
  add("memory of the registry, taking it", highWater(server.pid));
  const store = { VITRINE_ROOT: `${bench.work}/sparse`, VITRINE_RUNROOT: `${bench.work}/sparse.run` };
  add(
    "memory of the client, pulling and unpacking it",
    await peak([bench.vitrine, "pull", "-q", name], store),
  );
  add("memory of the registry, taking and sending it", highWater(server.pid));
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

/** KiB; 0 of a process that has ended. */
function highWater(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

let directories = 0;

async function startOurs(bench: Bench): Promise<Server> {
  const root = `${bench.work}/registry${directories++}`;
  return start(
    (port) => [bench.vitrine, "registry", "serve", "--addr", `127.0.0.1:${port}`, "--root", root],
    root,
  );
}

async function startDockerRegistry(bench: Bench): Promise<Server | undefined> {
  if (spawnSync("sh", ["-c", "command -v docker-registry"]).status !== 0) return undefined;
  const root = `${bench.work}/docker-registry`;
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
