/** The certificate and key of a served registry: read, checked, and read again when whoever renews them has changed them. */
import * as fs from "node:fs";
import { errnoOf, VitrineError } from "../../base/mod.ts";
import type { KeyPair } from "./http/listener.ts";

export interface KeyFiles {
  readonly certificate: string;
  readonly key: string;
}

const everyMilliseconds = 1000;

/** Errors: `tls-certificate-invalid`, `tls-key-invalid`, `tls-key-mismatch`, which the first connection would meet otherwise. */
export async function readKeyPair(files: KeyFiles): Promise<KeyPair> {
  const { createPrivateKey, X509Certificate } = await import("node:crypto");
  const certificate = fs.readFileSync(files.certificate, "utf8");
  const key = fs.readFileSync(files.key, "utf8");
  const read = <T>(what: string, file: string, parse: () => T): T => {
    try {
      return parse();
    } catch (cause) {
      throw new VitrineError("invalid", `${file} holds no ${what} that can be read (PEM)`, {
        code: `tls-${what}-invalid`,
        operand: file,
        hint: /ENCRYPTED/.test(what === "key" ? key : "")
          ? `it has a passphrase; write it without: openssl pkey -in ${file} -out KEY`
          : `look at it: openssl ${what === "key" ? "pkey -noout" : "x509 -noout -subject"} -in ${file}`,
        cause,
      });
    }
  };
  const parsed = read("certificate", files.certificate, () => new X509Certificate(certificate));
  const secret = read("key", files.key, () => createPrivateKey(key));
  if (parsed.checkPrivateKey(secret)) return { certificate, key };
  throw new VitrineError(
    "invalid",
    `the key in ${files.key} is not that of the certificate in ${files.certificate}`,
    {
      code: "tls-key-mismatch",
      operand: files.key,
      hint: "the server's own certificate comes first in a chain",
    },
  );
}

export interface FollowedKeyPair extends Disposable {
  /** Looks now. What is wrong is told, and the old pair stays. */
  check(): void;
}

/**
 * Gives the registry a pair that has changed. One that is wrong is told where it is still so at the next look: certificate and key
 * are two files, which nobody changes at once.
 */
export function followKeyPair(
  files: KeyFiles,
  registry: { useKeyPair(pair: KeyPair): Promise<void> },
  onProblem: (message: string) => void,
): FollowedKeyPair {
  let taken = stateOf(files);
  let wrong: string | undefined;
  let told: string | undefined;
  let working = Promise.resolve();
  const look = async (asked: boolean): Promise<void> => {
    const state = stateOf(files);
    if (state === taken) return;
    try {
      await registry.useKeyPair(await readKeyPair(files));
      taken = state;
    } catch (error) {
      if (told !== state && (asked || wrong === state)) {
        told = state;
        onProblem(`the old certificate stays: ${error instanceof Error ? error.message : String(error)}`);
      }
      wrong = state;
    }
  };
  const check = (asked: boolean): void => {
    working = working.then(() => look(asked));
  };
  const timer = setInterval(() => check(false), everyMilliseconds);
  timer.unref();
  return { check: () => check(true), [Symbol.dispose]: () => clearInterval(timer) };
}

/** Another text for other files: what replaces a file is another one, and who writes into it changes its times. */
function stateOf({ certificate, key }: KeyFiles): string {
  const ofOne = (file: string): string => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = fs.statSync(file, { bigint: true });
      return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
    } catch (error) {
      return errnoOf(error) ?? "unreadable";
    }
  };
  return `${ofOne(certificate)}\n${ofOne(key)}`;
}
