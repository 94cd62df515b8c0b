/** From a file to a connection inside the kernel (sendfile(2)): the bytes are never copied into this process. */
import type { Socket } from "node:net";
import { foreignCalls, openConnection } from "./connection.ts";

export interface Conveyor {
  /**
   * Sends up to `length` bytes of `file` (a descriptor) from `position`; returns how many. 0: the connection takes none now,
   * or is broken, or the file ends: an ordinary write or read shows which. Call it only when all that was written has gone out.
   */
  send(file: number, position: number, length: number): number;
}

/** Undefined where there is none for this connection; then the blob goes through buffers. */
export async function openConveyor(socket: Socket): Promise<Conveyor | undefined> {
  const connection = await openConnection(socket);
  const calls = await foreignCalls();
  if (connection === undefined || calls === undefined) return undefined;
  const offset = new BigInt64Array(1);
  return {
    send(file, position, count) {
      const fd = connection.descriptor();
      if (fd === undefined) return 0;
      offset[0] = BigInt(position);
      return Math.max(0, Number(calls.sendfile(fd, file, offset, count)));
    },
  };
}
