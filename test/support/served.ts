/** `vitrine registry serve` as a process of a world, for tests that talk to it from outside. */
import type { ChildProcess } from "node:child_process";
import type { World } from "../integration/support.ts";

export interface Served extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  readonly process: ChildProcess;
  /** Ends it as a user does; its exit status. */
  stop(): Promise<number | null>;
  /** What it printed. */
  readonly printed: () => string;
}

export async function serve(world: World, flags: readonly string[]): Promise<Served> {
  const child = world.start(["registry", "serve", "--addr", "127.0.0.1:0", ...flags]);
  let text = "";
  const address = await new Promise<string>((resolve, reject) => {
    child.stderr?.on("data", (data: Buffer) => {
      text += data.toString();
      const match = /serving https?:\/\/(\S+) /.exec(text);
      if (match !== null) resolve(match[1]!);
    });
    child.once("exit", () => reject(new Error(`the registry ended: ${text}`)));
  });
  const stop = (): Promise<number | null> => {
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    return ended;
  };
  return {
    address,
    process: child,
    stop,
    printed: () => text,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}
