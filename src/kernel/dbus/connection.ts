/** A connection to a message bus, or straight to systemd: authentication, method calls, signals. */
import type { Socket } from "node:net";
import { VitrineError } from "../../base/mod.ts";
import {
  type DbusValue,
  decodeMessage,
  encodeMessage,
  type Message,
  messageLength,
  messageTypes,
} from "./wire.ts";

export interface Call {
  readonly destination?: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly DbusValue[];
}

export interface ConnectOptions {
  /** Of a unix socket; an abstract one begins with NUL. */
  readonly socket: string;
  readonly uid: number;
  /** A bus gives its clients names (`Hello`); systemd's private socket has no bus behind it. */
  readonly bus: boolean;
  /** For every answer. */
  readonly timeoutMilliseconds: number;
}

type Listener = (signal: Message) => void;

interface Waiting {
  readonly resolve: (message: Message) => void;
  readonly reject: (error: Error) => void;
}

export class DbusConnection {
  readonly #socket: Socket;
  readonly #options: ConnectOptions;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<Listener>();
  #serial = 0;
  #rest = new Uint8Array(0);
  #ended: Error | undefined;

  private constructor(socket: Socket, options: ConnectOptions, rest: Uint8Array) {
    this.#socket = socket;
    this.#options = options;
    socket.on("data", (data: Buffer) => this.#receive(data));
    socket.on("error", (error) => this.#end(unreachable(options, error)));
    socket.on("close", () => this.#end(unreachable(options)));
    if (rest.length > 0) this.#receive(rest);
  }

  /** Errors: `dbus-unreachable`, `dbus-denied`. */
  static async connect(options: ConnectOptions): Promise<DbusConnection> {
    const { connect } = process.getBuiltinModule("node:net");
    const socket = connect({ path: options.socket });
    try {
      const rest = await authenticate(socket, options);
      const connection = new DbusConnection(socket, options, rest);
      if (options.bus) await connection.call({ ...busItself, member: "Hello" });
      return connection;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** The body of the reply. Errors: `dbus-error` (the bus's or the service's, its name as the operand), `dbus-timeout`, … */
  async call(call: Call): Promise<readonly DbusValue[]> {
    const serial = ++this.#serial;
    if (this.#ended !== undefined) throw this.#ended;
    const { body = [], ...rest } = call;
    const reply = new Promise<Message>((resolve, reject) => this.#waiting.set(serial, { resolve, reject }));
    this.#socket.write(encodeMessage({ type: messageTypes.call, serial, ...rest, body }));
    const answer = await this.within(reply, `an answer to ${call.member}`);
    if (answer.type !== messageTypes.error) return answer.body;
    const name = answer.errorName ?? "";
    const text = typeof answer.body[0] === "string" ? answer.body[0] : name;
    throw new VitrineError("unavailable", `${call.member}: ${text}`, { code: "dbus-error", operand: name });
  }

  /** Calls `listener` for each signal until the connection ends. */
  onSignal(listener: Listener): void {
    this.#listeners.add(listener);
  }

  /** Has the bus pass signals on that match (dbus-specification, "Match Rules"). */
  async match(rule: string): Promise<void> {
    if (!this.#options.bus) return;
    await this.call({ ...busItself, member: "AddMatch", signature: "s", body: [rule] });
  }

  /** Error: `dbus-timeout`, or why the connection ended. */
  async within<T>(promise: Promise<T>, what: string): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new VitrineError("unavailable", `waited in vain for ${what}`, { code: "dbus-timeout" })),
        this.#options.timeoutMilliseconds,
      );
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#end(unreachable(this.#options));
    this.#socket.destroy();
  }

  #receive(data: Uint8Array): void {
    let bytes = new Uint8Array(this.#rest.length + data.length);
    bytes.set(this.#rest);
    bytes.set(data, this.#rest.length);
    try {
      for (let length = messageLength(bytes); length !== undefined && length <= bytes.length; ) {
        this.#dispatch(decodeMessage(bytes.subarray(0, length)));
        bytes = bytes.slice(length);
        length = messageLength(bytes);
      }
      this.#rest = bytes;
    } catch (error) {
      this.#end(error as Error);
      this.#socket.destroy();
    }
  }

  #dispatch(message: Message): void {
    if (message.type === messageTypes.signal) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    const waiting = this.#waiting.get(message.replySerial ?? 0);
    this.#waiting.delete(message.replySerial ?? 0);
    waiting?.resolve(message);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}

const busItself = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

/** SASL EXTERNAL: the socket says who we are. Resolves to what came after the last line. */
function authenticate(socket: Socket, options: ConnectOptions): Promise<Uint8Array> {
  const hex = Buffer.from(String(options.uid)).toString("hex");
  return new Promise((resolve, reject) => {
    let text = Buffer.alloc(0);
    const timer = setTimeout(
      () => finish(() => reject(unreachable(options, new Error("it does not answer")))),
      options.timeoutMilliseconds,
    );
    const finish = (then: () => void): void => {
      clearTimeout(timer);
      socket.removeListener("data", onData);
      socket.removeListener("error", onError);
      socket.removeListener("close", onClose);
      then();
    };
    const onError = (error: Error): void => finish(() => reject(unreachable(options, error)));
    const onClose = (): void => finish(() => reject(unreachable(options)));
    const onData = (data: Buffer): void => {
      text = Buffer.concat([text, data]);
      const end = text.indexOf("\r\n");
      if (end < 0 && text.length < 4096) return;
      const line = text.subarray(0, Math.max(end, 0)).toString("latin1");
      finish(() => {
        if (!line.startsWith("OK ")) {
          reject(
            new VitrineError("denied", `the bus at ${options.socket} does not let us in`, {
              code: "dbus-denied",
            }),
          );
          return;
        }
        socket.write("BEGIN\r\n");
        resolve(text.subarray(end + 2));
      });
    };
    socket.on("data", onData);
    socket.on("error", onError);
    socket.on("close", onClose);
    socket.write(`\0AUTH EXTERNAL ${hex}\r\n`);
  });
}

function unreachable({ socket }: ConnectOptions, cause?: Error): VitrineError {
  return new VitrineError("unavailable", `the message bus at ${socket} cannot be reached`, {
    code: "dbus-unreachable",
    operand: socket,
    hint: "--cgroup-manager cgroupfs does without",
    ...(cause === undefined ? {} : { cause }),
  });
}
