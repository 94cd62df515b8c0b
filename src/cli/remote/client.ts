/** The registry client as commands use it: their shared options, and where warnings go. */
import { printable, VitrineError } from "../../base/mod.ts";
import { type Credentials, openRegistryClient, type RegistryClient } from "../../registry/mod.ts";
import type { Context } from "../framework/context.ts";
import { version } from "../version.ts";
import type { RegistryFlags } from "./options.ts";

export { type RegistryFlags, registryOptions } from "./options.ts";

/** Runs `body` with a client and lets its connections go. Errors: `credentials-invalid`, those of the body. */
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
    credentials: flags.creds === undefined ? undefined : await parseCredentials(flags.creds, context),
    userAgent: `vitrine/${version}`,
    onWarning: (registry, text) => context.log("warn", `${registry} says: ${printable(text)}`),
    onNote: (text) => context.log("info", printable(text)),
  });
  try {
    return await body(client);
  } finally {
    client.close();
  }
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
    password: await askPassword(context, `Password for ${printable(user)}: `),
  };
}
