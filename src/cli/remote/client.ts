/** The registry client as commands use it: their shared options, and where warnings go. */
import { printable, quoted, VitrineError } from "../../base/mod.ts";
import {
  type ChoosePlace,
  type Credentials,
  openRegistryClient,
  type RegistryClient,
  type Timing,
} from "../../registry/mod.ts";
import type { Context } from "../framework/context.ts";
import { askLine } from "../framework/stdin.ts";
import { version } from "../version.ts";
import type { RegistryFlags } from "./options.ts";

export { flagsOfSide, type RegistryFlags, registryOptions, sideOptions } from "./options.ts";

/** Runs `body` with a client and lets its connections go. Errors: `credentials-invalid`, `flag-conflict`, `invalid-flag-value`, those of the body. */
export async function withClient<T>(
  context: Context,
  flags: RegistryFlags,
  given: ReadonlySet<string>,
  body: (client: RegistryClient) => Promise<T>,
): Promise<T> {
  const client = openRegistryClient({
    environment: context.environment,
    uid: context.uid,
    authFile: flags.authfile,
    certificateDirectory: flags["cert-dir"],
    tlsVerify: given.has("tls-verify") ? flags["tls-verify"] : undefined,
    credentials: await readCredentials(flags, context),
    timing: readTiming(flags),
    userAgent: `vitrine/${version}`,
    // Looked at for names that may lead to several places alone: it takes as long to load as the rest of this.
    get choosePlace(): ChoosePlace | undefined {
      if (!context.stdinIsTerminal || !context.stdoutIsTerminal) return undefined;
      return (text, places) => choosePlace(context, text, places);
    },
    onWarning: (registry, text) => context.log("warn", `${registry} says: ${printable(text)}`),
    onNote: (text) => context.log("info", printable(text)),
  });
  try {
    return await body(client);
  } finally {
    client.close();
  }
}

/** As podman: a list, and a number. */
function choosePlace(context: Context, text: string, places: readonly string[]): number | undefined {
  const list = places.map((place, at) => `  ${at + 1}  ${printable(place)}\n`).join("");
  context.err(`${printable(text)} names no registry. Which one is it?\n${list}`);
  const answer = askLine(context, `1 to ${places.length}, nothing to stop: `)?.trim() ?? "";
  return /^\d{1,3}$/.test(answer) ? Number(answer) - 1 : undefined;
}

async function readCredentials(
  flags: RegistryFlags,
  context: Context,
): Promise<Credentials | "none" | undefined> {
  const said = (["creds", "username", "no-creds", "registry-token"] as const).filter((name) =>
    Boolean(flags[name]),
  );
  if (said.length > 1) {
    throw new VitrineError("invalid", `--${said[0]} and --${said[1]} exclude each other`, {
      code: "flag-conflict",
      operand: `--${said[1]}`,
    });
  }
  if (flags["no-creds"] === true) return "none";
  if (flags["registry-token"]) return { kind: "token", registryToken: flags["registry-token"] };
  const { username, password } = flags;
  if (password !== undefined && !username) {
    throw new VitrineError("invalid", "--password needs --username", {
      code: "credentials-invalid",
      operand: "--password",
    });
  }
  if (username)
    return parseCredentials(password === undefined ? username : `${username}:${password}`, context);
  return flags.creds === undefined ? undefined : parseCredentials(flags.creds, context);
}

const mostRetries = 100;
const milliseconds: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function readTiming({ retry, "retry-delay": delay }: RegistryFlags): Partial<Timing> {
  if (retry !== undefined && (retry < 0 || retry > mostRetries)) {
    throw invalidValue("--retry", String(retry), `a number from 0 to ${mostRetries}`);
  }
  const match = delay === undefined ? null : /^(\d{1,7}(?:\.\d{1,3})?)(ms|s|m|h)?$/.exec(delay);
  if (delay !== undefined && match === null)
    throw invalidValue("--retry-delay", delay, "for example 500ms or 2s");
  return {
    ...(retry !== undefined && { attempts: retry + 1 }),
    ...(match !== null && { backoff: Number(match[1]) * milliseconds[match[2] ?? "s"]! }),
  };
}

function invalidValue(flag: string, text: string, hint: string): VitrineError {
  return new VitrineError("invalid", `invalid value ${quoted(text)} for ${flag}`, {
    code: "invalid-flag-value",
    operand: flag,
    hint,
  });
}

async function parseCredentials(text: string, context: Context): Promise<Credentials> {
  const colon = text.indexOf(":");
  const user = colon === -1 ? text : text.slice(0, colon);
  if (user === "") {
    throw new VitrineError("invalid", "--creds has no user name", {
      code: "credentials-invalid",
      operand: "--creds",
      hint: "--creds USER:PASSWORD; others on the machine see it: better log in, or leave :PASSWORD out",
    });
  }
  if (colon !== -1) return { kind: "password", user, password: text.slice(colon + 1) };
  const { askPassword } = await import("./password.ts");
  return {
    kind: "password",
    user,
    password: await askPassword(
      context,
      `Password for ${printable(user)}: `,
      "log in before: vitrine login --username USER --password-stdin REGISTRY",
    ),
  };
}
