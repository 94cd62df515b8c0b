/** A message bus with a systemd on it, for tests: as much of both as a client of ours can see. */
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { decodeMessage, encodeMessage, type Message, messageLength, messageTypes } from "./wire.ts";

export interface Answer {
  readonly signature?: string;
  readonly body?: Message["body"];
  /** `org.freedesktop.systemd1.UnitExists` */
  readonly error?: string;
  /** Sent before the answer, as systemd does when a job is done at once. */
  readonly before?: readonly Message[];
  readonly after?: readonly Message[];
}

export interface FakeBus extends AsyncDisposable {
  readonly socket: string;
  /** Method calls as they came. */
  readonly calls: readonly Message[];
}

/** `answer` undefined: the call stays without one. */
export async function fakeBus(
  answer: (call: Message) => Answer | undefined,
  { deny = false }: { readonly deny?: boolean } = {},
): Promise<FakeBus> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-bus-"));
  const socket = `${directory}/bus`;
  const calls: Message[] = [];
  const open = new Set<net.Socket>();
  const server = net.createServer((client) => {
    open.add(client);
    client.on("error", () => undefined);
    let begun = false;
    let bytes = Buffer.alloc(0);
    client.on("data", (data: Buffer) => {
      bytes = Buffer.concat([bytes, data]);
      if (!begun) {
        const text = bytes.toString("latin1");
        if (/^\0AUTH EXTERNAL [0-9a-f]+\r\n$/.test(text)) {
          client.write(deny ? "REJECTED EXTERNAL\r\n" : "OK 1234deadbeef\r\n");
          bytes = Buffer.alloc(0);
        } else if (text.startsWith("BEGIN\r\n")) {
          begun = true;
          bytes = bytes.subarray(7);
        }
      }
      for (
        let length = begun ? messageLength(bytes) : undefined;
        length !== undefined && length <= bytes.length;
      ) {
        const call = decodeMessage(new Uint8Array(bytes.subarray(0, length)));
        bytes = bytes.subarray(length);
        length = messageLength(bytes);
        calls.push(call);
        reply(client, call, answer(call));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    socket,
    calls,
    async [Symbol.asyncDispose]() {
      for (const client of open) client.destroy();
      await new Promise((resolve) => server.close(resolve));
      fs.rmSync(directory, { recursive: true });
    },
  };
}

function reply(client: net.Socket, call: Message, given: Answer | undefined): void {
  if (given === undefined) return;
  const { before = [], after = [], error, signature, body = [] } = given;
  const message: Message = {
    type: error === undefined ? messageTypes.reply : messageTypes.error,
    serial: call.serial + 1000,
    replySerial: call.serial,
    ...(error === undefined ? {} : { errorName: error }),
    ...(signature === undefined ? {} : { signature }),
    body,
  };
  // In one piece, then in small ones: a client must put messages together.
  const all = Buffer.concat([...before, message, ...after].map((each) => encodeMessage(each)));
  client.write(all.subarray(0, 20));
  client.write(all.subarray(20));
}

export function jobRemoved(job: string, unit: string, result: string): Message {
  return {
    type: messageTypes.signal,
    serial: 5,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "JobRemoved",
    signature: "uoss",
    body: [1, job, unit, result],
  };
}
