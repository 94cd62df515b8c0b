import { collect, printable, VitrineError } from "../../base/mod.ts";
import {
  type Credentials,
  credentialHelpers,
  findCredentials,
  keepCredentials,
  openRegistryClient,
} from "../../registry/mod.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { askLine, readStdin } from "../framework/stdin.ts";
import { authFileOf, parseLoginKey } from "../remote/login-key.ts";
import { askPassword } from "../remote/password.ts";

export const command = defineCommand({
  description: `Checks a user name and password with a registry and keeps them where podman, skopeo and vitrine find them: the file of
    --authfile or $REGISTRY_AUTH_FILE, else $XDG_RUNTIME_DIR/containers/auth.json, which is gone when the session ends. A credential
    helper that is configured for the registry is used instead.

    REGISTRY/NAMESPACE keeps credentials for this namespace alone. Without a registry, Docker Hub is meant.`,
  options: {
    username: { type: "string", short: "u", value: "USER", help: "user name; without it, it is asked for" },
    password: {
      type: "string",
      short: "p",
      value: "PASSWORD",
      help: "password; other users of the machine see it",
    },
    "password-stdin": { type: "boolean", help: "read the password from standard input" },
    "get-login": { type: "boolean", help: "print the user name that is kept for the registry" },
    authfile: { type: "string", value: "FILE", completion: "file", help: "keep credentials here" },
    "compat-auth-file": {
      type: "string",
      value: "FILE",
      completion: "file",
      help: "keep credentials here, as docker reads them (its config.json)",
    },
    "cert-dir": {
      type: "string",
      value: "DIR",
      completion: "directory",
      help: "certificates instead of certs.d",
    },
    "tls-verify": {
      type: "boolean",
      help: "require TLS with a valid certificate",
      defaultText: "registries.conf",
    },
    verbose: { type: "boolean", short: "v", help: "say where credentials are kept" },
  },
  positionals: [{ name: "REGISTRY", optional: true }],
  examples: [
    { command: "vitrine login registry.example", does: "asks for user name and password" },
    {
      command: "pass show registry | vitrine login -u me --password-stdin registry.example",
      does: "in a script",
    },
  ],
  async run({ options, positionals, given, context }) {
    const { registry, key } = parseLoginKey(positionals[0] ?? "docker.io");
    const { environment, uid } = context;
    const helpers = await credentialHelpers({ environment, uid });
    const files = { environment, uid, ...authFileOf(options, key === registry), helpers };
    const name = key === registry ? undefined : key.slice(registry.length + 1);
    if (options["get-login"]) {
      const kept = await findCredentials(registry, name, files);
      if (kept === undefined) throw notLoggedIn(key);
      context.out(`${kept.kind === "password" ? printable(kept.user) : "<token>"}\n`);
      return 0;
    }
    const credentials = await readCredentials(options, context);
    const client = openRegistryClient({
      environment,
      uid,
      certificateDirectory: options["cert-dir"],
      tlsVerify: given.has("tls-verify") ? options["tls-verify"] : undefined,
    });
    try {
      const outcome = await client.verifyLogin(registry, credentials);
      const place = await keepCredentials(key, outcome.credentials, files);
      if (options.verbose) context.err(`kept in ${printable(place)}\n`);
    } finally {
      client.close();
    }
    context.out("Login Succeeded!\n");
    return 0;
  },
});

async function readCredentials(
  options: {
    readonly username: string | undefined;
    readonly password: string | undefined;
    readonly "password-stdin": boolean;
  },
  context: Context,
): Promise<Credentials> {
  if (options["password-stdin"]) {
    if (options.password !== undefined) {
      throw new VitrineError("invalid", "--password and --password-stdin exclude each other", {
        code: "flag-conflict",
        operand: "--password-stdin",
      });
    }
    if (options.username === undefined) throw missing("--username", "--password-stdin needs --username USER");
    const bytes = await collect(
      readStdin(context, { what: "a password", hint: "redirect stdin, or leave --password-stdin out" }),
      64 * 1024,
    );
    const password = Buffer.from(bytes)
      .toString("utf8")
      .replace(/\r?\n$/, "");
    if (password === "") {
      throw new VitrineError("invalid", "the password on standard input is empty", {
        code: "password-missing",
        operand: "--password-stdin",
        hint: "did the command before the pipe fail?",
      });
    }
    return { kind: "password", user: options.username, password };
  }
  if (options.username === undefined && !context.stdinIsTerminal) {
    throw missing("--username", "vitrine login --username USER --password-stdin REGISTRY");
  }
  const user = options.username ?? askLine(context, "Username: ") ?? "";
  if (user === "") throw missing("--username", "a user name is needed");
  const password = options.password ?? (await askPassword(context, "Password: "));
  return { kind: "password", user, password };
}

function missing(operand: string, hint: string): VitrineError {
  return new VitrineError("invalid", "there is no user name", { code: "credentials-invalid", operand, hint });
}

function notLoggedIn(key: string): VitrineError {
  return new VitrineError("not-found", `not logged in to ${key}`, {
    code: "not-logged-in",
    operand: key,
    hint: `vitrine login ${key}`,
  });
}
