import * as fs from "node:fs";
import { type ByteStream, chunkBytes, errnoOf, VitrineError } from "../../base/mod.ts";
import type { Context } from "./context.ts";

/** Standard input in chunks; `what` and `flag` say what was expected when it is a terminal (`stdin-is-terminal`). */
export function readStdin(
  context: Pick<Context, "stdinIsTerminal">,
  expected: { readonly what: string; readonly hint: string },
): ByteStream {
  if (context.stdinIsTerminal) {
    throw new VitrineError("invalid", `cannot read ${expected.what} from a terminal`, {
      code: "stdin-is-terminal",
      hint: expected.hint,
    });
  }
  return stdinChunks();
}

async function* stdinChunks(): AsyncGenerator<Uint8Array, void> {
  while (true) {
    const buffer = Buffer.allocUnsafeSlow(chunkBytes);
    const count = await readSome(buffer);
    if (count === 0) return;
    yield buffer.subarray(0, count);
  }
}

/** Bytes read, 0 at the end. Without a position, so that it works on pipes; a non-blocking pipe is asked again. */
function readSome(buffer: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const attempt = (pauseMilliseconds: number): void => {
      fs.read(0, buffer, 0, buffer.length, null, (error, count) => {
        if (error === null) return resolve(count);
        const errno = errnoOf(error);
        if (errno === "EOF") return resolve(0);
        if (errno !== "EAGAIN" && errno !== "EINTR") return reject(error);
        setTimeout(() => attempt(Math.min(pauseMilliseconds * 2, 50)), pauseMilliseconds);
      });
    };
    attempt(1);
  });
}

/** A line typed by the user, without its newline; undefined at the end of input. */
export function askLine(context: Context, question: string): string | undefined {
  context.err(question);
  const bytes: number[] = [];
  const one = Buffer.alloc(1);
  while (bytes.length < 4096) {
    if (fs.readSync(0, one, 0, 1, null) === 0)
      return bytes.length === 0 ? undefined : Buffer.from(bytes).toString();
    if (one[0] === 0x0a) break;
    bytes.push(one[0]!);
  }
  return Buffer.from(bytes).toString().replace(/\r$/, "");
}

/** Whether the user says yes, typed or piped; as with docker and podman the end of input is a no. `what` is removed. */
export function agreesToRemove(context: Context, what: string): boolean {
  const answer = askLine(context, `WARNING! This removes${what}.\nAre you sure you want to continue? [y/N] `);
  return /^y(?:es)?$/i.test(answer?.trim() ?? "");
}
