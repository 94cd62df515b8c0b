import { spawnSync } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import { type Bench, median, type Part, type Row, roundsOf } from "../bench.ts";
import type { DebianImage } from "../debian-image.ts";
import { processorSeconds } from "./processes.ts";
import { type Server, startDockerRegistry, startOurs } from "./servers.ts";

const loadSeconds = 0.6;
const pieceBytes = 1024 * 1024;
const uploadBytes = 32 * pieceBytes;
const mostClients = 16;

interface Load {
  readonly program: string;
  /** 1 MiB that cannot be compressed, and the digests of what each client makes of it. */
  readonly piece: string;
  readonly digests: readonly string[];
}

/** The two servers in turn, with clients that cost next to nothing (registry-load.c) and with curl, on the disk and in memory. */
export async function* loads(bench: Bench, image: DebianImage): AsyncGenerator<Part> {
  const load = prepareLoad(bench);
  const memory = fs.mkdtempSync("/dev/shm/vitrine-bench-");
  try {
    yield* loadsAt(bench, image, load, bench.work, "on a disk");
    yield* loadsAt(bench, image, load, memory, "in memory");
  } finally {
    fs.rmSync(memory, { recursive: true, force: true });
  }
}

function prepareLoad(bench: Bench): Load {
  const program = `${bench.work}/registry-load`;
  bench.shell(`cc -O2 -o ${program} bench/registry-load.c -lpthread`);
  const piece = `${bench.work}/piece`;
  const bytes = randomFillSync(Buffer.alloc(pieceBytes));
  fs.writeFileSync(piece, bytes);
  const digests = Array.from({ length: mostClients }, (_, client) => {
    bytes[0] = client;
    const hash = createHash("sha256");
    for (let done = 0; done < uploadBytes; done += bytes.length) hash.update(bytes);
    return `sha256:${hash.digest("hex")}`;
  });
  return { program, piece, digests };
}

/** What one server did in a moment. */
interface Done {
  readonly bytes: number;
  readonly requests: number;
  readonly seconds: number;
}

async function* loadsAt(
  bench: Bench,
  image: DebianImage,
  { program, piece, digests }: Load,
  directory: string,
  where: string,
): AsyncGenerator<Part> {
  await using ours = await startOurs(bench, directory);
  await using theirs = await startDockerRegistry(bench, directory);
  if (theirs === undefined) throw new Error("docker-registry is not installed");
  for (const { name } of [ours, theirs]) {
    bench.shell(`${bench.vitrine} copy -q oci:${image.directory}:${image.tag} docker://${name}/debian:1`);
  }
  const blob = `/v2/debian/blobs/sha256:${image.blobs[0]!.slice(-64)}`;
  const size = fs.statSync(image.blobs[0]!).size;
  const by =
    (...words: readonly string[]) =>
    (server: Server, clients: number) =>
      runLoad([program, `${server.port}`, `${loadSeconds}`, `${clients}`, ...words]);
  const upload = ["load", `${uploadBytes}`, piece, ...digests];
  const length = `${uploadBytes / pieceBytes} MiB blobs`;
  const kinds = [
    { what: `GET of a ${Math.round(size / 1e6)} MB blob`, run: by("get", blob) },
    {
      what: `GET of a ${Math.round(size / 1e6)} MB blob by curl`,
      run: (server: Server, clients: number) => runCurl(server, clients, blob, size),
    },
    { what: `uploads of ${length}, each in one request`, run: by("put", ...upload) },
    { what: `uploads of ${length}, chunked as docker's`, run: by("chunked", ...upload) },
  ];
  for (const { what, run } of kinds) {
    for (const clients of [1, mostClients]) {
      const named = `registry ${where}: ${what}, ${clients} ${clients === 1 ? "client" : "clients"}`;
      yield {
        what: named,
        measure: () => besideDocker(bench, named, ours, theirs, (to) => run(to, clients)),
      };
    }
  }
  if (directory !== bench.work) return;
  const named = `registry ${where}: GET of a manifest, ${mostClients} clients`;
  const get = by("get", "/v2/debian/manifests/1");
  yield {
    what: named,
    measure: () => besideDocker(bench, named, ours, theirs, (to) => get(to, mostClients)),
  };
}

/** In turn; bytes a second (of manifests, requests), and what a gigabyte costs the server. */
function besideDocker(
  bench: Bench,
  what: string,
  ours: Server,
  theirs: Server,
  run: (server: Server) => Done,
): Row[] {
  const measure = (server: Server) => {
    const before = processorSeconds(server.pid);
    const { bytes, requests, seconds } = run(server);
    const cost = ((processorSeconds(server.pid) - before) * 1000) / (bytes / 1e9);
    return { bytes: bytes / 1e6 / seconds, requests: requests / seconds, cost };
  };
  const pairs = Array.from({ length: roundsOf(bench) + 1 }, () => [measure(ours), measure(theirs)] as const);
  const row = (
    more: string,
    key: "bytes" | "requests" | "cost",
    unit: Row["unit"],
    budget?: number,
  ): Row => ({
    what: `${what}${more}`,
    ours: median(pairs.map(([mine]) => mine[key])),
    unit,
    peer: "docker-registry",
    theirs: median(pairs.map(([, other]) => other[key])),
    ...(budget === undefined ? {} : { budget }),
  });
  if (what.includes("manifest")) return [row("", "requests", "/s", 2)];
  return [row("", "bytes", "MB/s", 2), row(": its processor time for a gigabyte", "cost", "ms")];
}

function runLoad(command: readonly string[]): Done {
  const done = spawnSync(command[0]!, command.slice(1), { encoding: "utf8", timeout: 60_000 });
  if (done.status !== 0) throw new Error(`registry-load: ${done.stderr}`);
  const [bytes, requests, seconds] = done.stdout.split(" ").map(Number);
  return { bytes: bytes!, requests: requests!, seconds: seconds! };
}

function runCurl({ port }: Server, clients: number, path: string, size: number): Done {
  const times = clients === 1 ? 6 : 1;
  const call = `curl -sf -o /dev/null "http://127.0.0.1:${port}${path}?[1-${times}]"`;
  const script = `for n in $(seq ${clients}); do ${call} & all="$all $!"; done; for one in $all; do wait $one || exit 1; done`;
  const begun = performance.now();
  if (spawnSync("sh", ["-c", script]).status !== 0) throw new Error("curl did not get the blob");
  const seconds = (performance.now() - begun) / 1000;
  return { bytes: size * clients * times, requests: clients * times, seconds };
}
