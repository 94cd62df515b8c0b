/** The registries that are measured, each in a process of its own on a free port of 127.0.0.1. */
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { freePort } from "../../test/support/free-port.ts";
import type { Bench } from "../bench.ts";

export interface Server extends AsyncDisposable {
  /** `localhost:PORT` */
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

let directories = 0;

export async function startOurs(bench: Bench, directory = bench.work): Promise<Server> {
  const root = `${directory}/registry${directories++}`;
  return start(
    (port) => [bench.vitrine, "registry", "serve", "--addr", `127.0.0.1:${port}`, "--root", root],
    root,
  );
}

export async function startDockerRegistry(bench: Bench, directory: string): Promise<Server | undefined> {
  if (spawnSync("sh", ["-c", "command -v docker-registry"]).status !== 0) return undefined;
  const root = `${directory}/docker-registry`;
  const file = `${bench.work}/docker-registry.yml`;
  return start((port) => {
    fs.writeFileSync(
      file,
      `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${root}}, cache: {blobdescriptor: inmemory}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
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
