/**
 * A real S3 server: OpenStack Swift with its S3 interface, one of each of its four servers below one directory. It checks
 * signatures, keeps objects in files, and has multipart uploads and listings of its own.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { sha256Hex, signRequest } from "../../src/registry/server/storage/s3/signature.ts";
import { findProgram } from "../integration/support.ts";
import { freePort } from "./free-port.ts";

export interface Swift extends AsyncDisposable {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  makeBucket(name: string): Promise<void>;
}

const services = ["account", "container", "object"] as const;

/** Programs that must be there. */
export const swiftPrograms = [...services, "proxy"].map((name) => `swift-${name}-server`);

export async function startSwift(directory: string): Promise<Swift> {
  const etc = path.join(directory, "etc");
  fs.mkdirSync(etc, { recursive: true });
  fs.mkdirSync(path.join(directory, "devices/d1"), { recursive: true });
  const write = (name: string, text: string): void => fs.writeFileSync(path.join(etc, name), text);
  const user = spawnSync("id", ["-un"], { encoding: "utf8" }).stdout.trim();
  const common = (port: number): string =>
    `[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = ${port}\nuser = ${user}\nswift_dir = ${etc}\nworkers = 0\n` +
    `log_address = ${directory}/no-syslog\n`;
  write(
    "swift.conf",
    "[swift-hash]\nswift_hash_path_suffix = test\n[storage-policy:0]\nname = one\ndefault = yes\n",
  );
  const daemons: ChildProcess[] = [];
  for (const service of services) {
    const port = await freePort();
    write(
      `${service}.conf`,
      `${common(port)}devices = ${directory}/devices\nmount_check = false\n` +
        `[pipeline:main]\npipeline = ${service}-server\n[app:${service}-server]\nuse = egg:swift#${service}\n`,
    );
    makeRing(path.join(etc, `${service}.builder`), port);
    daemons.push(start(service, etc));
  }
  const port = await freePort();
  write("proxy.conf", `${common(port)}${proxy(await freePort())}`);
  daemons.push(start("proxy", etc));
  const endpoint = `http://127.0.0.1:${port}`;
  const credentials = { accessKey: "test:tester", secretKey: "testing" };
  const makeBucket = async (name: string): Promise<number> => {
    const payloadHash = sha256Hex("");
    const { host: _, ...headers } = signRequest(
      { method: "PUT", host: `127.0.0.1:${port}`, path: `/${name}`, query: {}, headers: {}, payloadHash },
      { credentials, region: "us-east-1", now: new Date() },
    );
    return (await fetch(`${endpoint}/${name}`, { method: "PUT", headers })).status;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(
      daemons.map((daemon) => {
        if (daemon.exitCode !== null || daemon.signalCode !== null) return undefined;
        const ended = new Promise((resolve) => daemon.once("exit", resolve));
        daemon.kill("SIGKILL");
        return ended;
      }),
    );
  };
  try {
    await until(async () => (await makeBucket("first")) === 200, daemons);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    endpoint,
    ...credentials,
    async makeBucket(name) {
      const status = await makeBucket(name);
      if (status !== 200) throw new Error(`the bucket ${name} was not made: status ${status}`);
    },
    [Symbol.asyncDispose]: stop,
  };
}

const proxy = (memcachePort: number): string => `[pipeline:main]
pipeline = catch_errors cache s3api tempauth slo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${memcachePort}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
`;

function makeRing(builder: string, port: number): void {
  const run = (...args: readonly string[]): void => {
    const done = spawnSync("swift-ring-builder", [builder, ...args], { encoding: "utf8" });
    // 1 is a warning: one device is not much of a ring.
    if (done.status !== 0 && done.status !== 1)
      throw new Error(`swift-ring-builder: ${done.stdout}${done.stderr}`);
  };
  run("create", "4", "1", "0");
  run(
    "add",
    "--region",
    "1",
    "--zone",
    "1",
    "--ip",
    "127.0.0.1",
    "--port",
    String(port),
    "--device",
    "d1",
    "--weight",
    "1",
  );
  run("rebalance");
}

function start(service: string, etc: string): ChildProcess {
  const log = fs.openSync(path.join(etc, `${service}.log`), "a");
  const child = spawn(findProgram(`swift-${service}-server`)!, [path.join(etc, `${service}.conf`)], {
    stdio: ["ignore", log, log],
  });
  fs.closeSync(log);
  return child;
}

async function until(ready: () => Promise<boolean>, daemons: readonly ChildProcess[]): Promise<void> {
  const deadline = Date.now() + 300_000;
  for (;;) {
    if (await ready().catch(() => false)) return;
    if (Date.now() > deadline || daemons.some(({ exitCode }) => exitCode !== null)) {
      throw new Error("swift does not start");
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
