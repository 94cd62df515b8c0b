import { randomInt } from "node:crypto";
import * as net from "node:net";

/**
 * Of 127.0.0.1; nobody holds it until whoever asked does. Not one of those that the kernel gives to who asks for any (32768 and
 * more): the next connection could have it meanwhile.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(10_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error("no port is free");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
