/** What the two halves of the power cut in the middle of a pull's flush share. */
import { spawn } from "node:child_process";
import { until } from "../integration/run-support.ts";
import { vitrine } from "../integration/support.ts";

export const noteFile = "/var/lib/vt-cut-pull.json";
export const served = "/var/lib/vt-cut-pull-served";
const port = 5055;
export const image = `localhost:${port}/large:1`;
export const largeBytes = 18 * 1024 * 1024;

export interface Note {
  readonly boot: string;
  /** SHA-256 of /large in the image. */
  readonly sha256: string;
}

export const bootID = "/proc/sys/kernel/random/boot_id";

/** A registry with what was pushed there; it ends with the test. */
export async function serve(): Promise<AsyncDisposable> {
  const words = ["registry", "serve", "--addr", `127.0.0.1:${port}`, "--root", served];
  const server = spawn(vitrine, words, { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  server.stderr.on("data", (data: Buffer) => {
    text += data.toString();
  });
  await until(() => (/serving /.test(text) ? true : undefined), "the registry");
  return {
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => server.once("exit", resolve));
      server.kill("SIGTERM");
      await ended;
    },
  };
}
