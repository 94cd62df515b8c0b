/** Programs `docker-credential-NAME` that keep passwords (docker-credential-helpers): a verb, JSON in, JSON out. */
import { type JsonValue, limits, parseJson, printable, quoted, VitrineError } from "../../base/mod.ts";
import type { Credentials, Environment } from "./types.ts";

/** A name of a program, nothing that could leave PATH. */
const helperName = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
/** A helper may ask its user to unlock something. */
const patience = 120_000;
const mostOutput = 1024 * 1024;

/** Helpers say this when they have nothing, with a status that means failure otherwise. */
const nothingThere = /credentials not found|no credentials|not found in native keychain/i;

/** Undefined when it has none. Errors: `credential-helper-missing`, `credential-helper-failed`. */
export async function getFromHelper(
  helper: string,
  server: string,
  environment: Environment,
): Promise<Credentials | undefined> {
  const output = await call(helper, "get", server, environment);
  if (output === undefined) return undefined;
  let value: JsonValue;
  try {
    value = parseJson(Buffer.from(output), { maxBytes: limits.configBytes, name: helper });
  } catch (cause) {
    throw failed(helper, "its answer is no JSON", cause);
  }
  const fields = value as { readonly Username?: JsonValue; readonly Secret?: JsonValue };
  if (typeof fields?.Username !== "string" || typeof fields.Secret !== "string") {
    throw failed(helper, "its answer has no Username and Secret");
  }
  // The name that helpers use for an identity token.
  if (fields.Username === "<token>") return { kind: "identity", identityToken: fields.Secret };
  if (fields.Username === "") return undefined;
  return { kind: "password", user: fields.Username, password: fields.Secret };
}

export async function storeWithHelper(
  helper: string,
  server: string,
  credentials: Exclude<Credentials, { kind: "token" }>,
  environment: Environment,
): Promise<void> {
  const pair =
    credentials.kind === "password"
      ? { Username: credentials.user, Secret: credentials.password }
      : { Username: "<token>", Secret: credentials.identityToken };
  await call(helper, "store", JSON.stringify({ ServerURL: server, ...pair }), environment);
}

/** Returns whether it had something. */
export async function eraseWithHelper(
  helper: string,
  server: string,
  environment: Environment,
): Promise<boolean> {
  return (await call(helper, "erase", server, environment)) !== undefined;
}

/** The servers that it has something for. */
export async function listOfHelper(helper: string, environment: Environment): Promise<readonly string[]> {
  const output = await call(helper, "list", "", environment);
  if (output === undefined || output.trim() === "") return [];
  try {
    const value = parseJson(Buffer.from(output), { maxBytes: mostOutput, name: helper });
    return Object.keys((value ?? {}) as object);
  } catch (cause) {
    throw failed(helper, "its list is no JSON", cause);
  }
}

async function call(
  helper: string,
  verb: "get" | "store" | "erase" | "list",
  input: string,
  environment: Environment,
): Promise<string | undefined> {
  if (!helperName.test(helper)) throw failed(helper, "its name is not one of a program");
  const { spawn } = await import("node:child_process");
  const program = `docker-credential-${helper}`;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [verb], { env: { ...environment }, stdio: ["pipe", "pipe", "pipe"] });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let complaint = "";
    const timer = setTimeout(() => child.kill("SIGKILL"), patience);
    child.on("error", (cause) => {
      clearTimeout(timer);
      reject(
        new VitrineError("not-found", `credential helper ${program} cannot be run`, {
          code: "credential-helper-missing",
          operand: program,
          hint: "install it, or take it out of credsStore and credHelpers in your auth files",
          cause,
        }),
      );
    });
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > mostOutput) child.kill("SIGKILL");
      else chunks.push(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(0, 1000);
    });
    child.on("close", (status) => {
      clearTimeout(timer);
      const output = Buffer.concat(chunks).toString();
      if (status === 0) return resolve(output);
      const said = `${output.slice(0, 500)} ${complaint}`.trim();
      if (nothingThere.test(said)) return resolve(undefined);
      reject(failed(helper, said === "" ? `status ${status}` : printable(said)));
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

function failed(helper: string, what: string, cause?: unknown): VitrineError {
  return new VitrineError("unavailable", `credential helper ${quoted(helper)} failed: ${what}`, {
    code: "credential-helper-failed",
    operand: helper,
    ...(helperName.test(helper) && { hint: `see what it says by itself: docker-credential-${helper} list` }),
    cause,
  });
}
