import * as path from "node:path";
import { printable, quoted, VitrineError } from "../../base/mod.ts";
import type { ServeConfig, ServedRegistry } from "../../registry/mod.ts";
import { isUpstreamUrl, serveRegistry } from "../../registry/mod.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { describeCollection, readConfig, registryRoot, storageOptions } from "../remote/registry-storage.ts";

export const command = defineCommand({
  description: `Serves a registry until it is interrupted; running requests may end. What is pushed is kept in an OCI image layout
that other tools read. A file (--config, YAML or JSON) says more than flags can: rules for users and repositories,
quotas, immutable tags, retention, webhooks, an object store (s3). Flags go before the file.

SIGUSR2 collects garbage now, SIGHUP opens the access log again and takes the rules of the file as they are by then. A certificate that
was renewed is taken by itself.`,
  options: {
    addr: {
      type: "string",
      value: "HOST:PORT",
      defaultText: "127.0.0.1:5000",
      help: "where to listen; ':PORT' for every address",
    },
    root: { ...storageOptions.root, help: "where to keep what is pushed" },
    store: {
      type: "boolean",
      help: "serve vitrine's own images as they are, without a copy; read-only",
    },
    config: { ...storageOptions.config, help: "read settings from a YAML or JSON file" },
    "tls-cert": {
      type: "string",
      value: "FILE",
      help: "serve https with this certificate chain (PEM)",
      completion: "file",
    },
    "tls-key": { type: "string", value: "FILE", help: "the certificate's key (PEM)", completion: "file" },
    auth: {
      type: "strings",
      value: "KIND",
      help: "ask who it is: htpasswd=FILE (bcrypt), or token,realm=URL,service=NAME,issuer=NAME,keys=FILE",
    },
    "read-only": { type: "boolean", help: "refuse pushes and deletes" },
    "no-delete": { type: "boolean", help: "refuse deletes" },
    mirror: { type: "string", value: "URL", help: "fetch what is missing from this registry, and keep it" },
    "access-log": {
      type: "string",
      value: "FILE",
      help: "write a line of JSON for each request; '-' for stdout",
      completion: "file",
    },
  },
  positionals: [],
  examples: [
    { command: "vitrine registry serve", does: "a registry at 127.0.0.1:5000 for this machine" },
    {
      command:
        "vitrine registry serve --addr :443 --tls-cert cert.pem --tls-key key.pem --auth htpasswd=users",
      does: "one for others, with passwords",
    },
    {
      command: "vitrine registry serve --mirror https://registry-1.docker.io",
      does: "a cache of Docker Hub",
    },
    { command: "vitrine registry serve --store", does: "the images of 'vitrine images', for others to pull" },
  ],
  async run({ options, context }) {
    const file = await readConfig(options.config);
    const config: ServeConfig = {
      ...file,
      ...(options.addr !== undefined && { addr: options.addr }),
      ...(options["access-log"] !== undefined && { accessLog: options["access-log"] }),
      ...(options["read-only"] && { readOnly: true }),
      ...(options["no-delete"] && { deletes: false }),
      ...(options.mirror !== undefined && { mirror: { ...file.mirror, url: checkUrl(options.mirror) } }),
      ...tlsOf(options["tls-cert"], options["tls-key"]),
      ...(options.auth.length > 0 && { auth: { ...file.auth, ...authOf(options.auth) } }),
    };
    const store = options.store ? await ownStore(context, config, options.root) : undefined;
    const root = store?.directory ?? registryRoot(context, options.root ?? config.root);
    await using served = await serveRegistry({
      ...config,
      root,
      helperPath: context.helperPath(),
      ...(store && { layout: store }),
      environment: context.environment,
      onProblem: (message) => context.log("error", printable(message)),
    });
    const { registry, collect } = served;
    context.err(`serving ${registry.url} from ${root}\n`);
    if (config.auth === undefined && isPublic(registry.address)) {
      const may = store === undefined && config.readOnly !== true ? "push and delete" : "pull every image";
      context.log("warn", `everybody who reaches this address may ${may}; see --auth and --read-only`);
    }
    await untilSignal({
      SIGUSR2: () => {
        collect().then(
          (report) => context.err(`${describeCollection(report)}\n`),
          (error: unknown) =>
            context.log(
              "error",
              `garbage collection: ${printable(error instanceof Error ? error.message : String(error))}`,
            ),
        );
      },
      SIGHUP: () => {
        served.reopen();
        void takeRules(context, options.config, file, served);
      },
    });
    return 0;
  },
});

/** The rules of the file as it is by now; where it is wrong, that is told and the old ones stay. */
async function takeRules(
  context: Context,
  name: string | undefined,
  before: ServeConfig,
  served: Pick<ServedRegistry, "useRules">,
): Promise<void> {
  if (name === undefined) return;
  try {
    const config = await readConfig(name);
    // A file that was cut short must not open a closed registry.
    if ((config.auth === undefined) !== (before.auth === undefined)) {
      throw new VitrineError("invalid", "whether there is an auth in it counts at the start alone", {
        code: "registry-config-invalid",
        operand: name,
      });
    }
    served.useRules(config);
    context.err(`took the rules of ${printable(name)}\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    context.log("error", `the old rules stay: ${printable(name)}: ${printable(reason)}`);
  }
}

/** The layout of the engine's store. */
async function ownStore(context: Context, config: ServeConfig, root: string | undefined) {
  const other =
    root !== undefined ? "--root" : config.mirror !== undefined ? "--mirror" : config.s3 && "s3 of --config";
  if (other) {
    throw new VitrineError("invalid", `--store and ${other} exclude each other`, {
      code: "flag-conflict",
      operand: "--store",
      hint: "--store serves what vitrine keeps already: 'vitrine images'",
    });
  }
  const store = await context.store();
  return { directory: path.join(store.root, "oci"), temporaryDirectory: store.temporaryDirectory() };
}

function tlsOf(certificate: string | undefined, key: string | undefined): Pick<ServeConfig, "tls"> {
  if (certificate === undefined && key === undefined) return {};
  if (certificate === undefined || key === undefined) {
    throw new VitrineError("invalid", "--tls-cert and --tls-key go together", { code: "tls-incomplete" });
  }
  return { tls: { certificate, key } };
}

function checkUrl(text: string): string {
  if (isUpstreamUrl(text)) return text;
  throw new VitrineError(
    "invalid",
    `--mirror: ${text.includes("@") ? "this" : quoted(text)} is not the http or https URL of a registry`,
    {
      code: "flag-invalid",
      operand: "--mirror",
      hint: "for example --mirror https://registry-1.docker.io; a user and a password go into the file of --config",
    },
  );
}

function authOf(values: readonly string[]): NonNullable<ServeConfig["auth"]> {
  let auth: NonNullable<ServeConfig["auth"]> = {};
  for (const value of values) {
    if (value.startsWith("htpasswd=")) auth = { ...auth, htpasswd: value.slice("htpasswd=".length) };
    else if (value.startsWith("token,")) auth = { ...auth, token: tokenOf(value) };
    else throw authInvalid(value);
  }
  return auth;
}

function tokenOf(value: string): NonNullable<NonNullable<ServeConfig["auth"]>["token"]> {
  const pairs = value
    .split(",")
    .slice(1)
    .map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)] as const);
  const { realm, service, issuer, keys, ...unknown } = Object.fromEntries(pairs);
  const others = Object.keys(unknown);
  if (others.length > 0 || !realm || !service || !issuer || !keys) throw authInvalid(value);
  return { realm, service, issuer, keys };
}

function authInvalid(value: string): VitrineError {
  return new VitrineError("invalid", `--auth: ${JSON.stringify(value)} is no way to ask who it is`, {
    code: "flag-invalid",
    operand: "--auth",
    hint: "htpasswd=FILE, or token,realm=URL,service=NAME,issuer=NAME,keys=FILE",
  });
}

function isPublic(address: string): boolean {
  return !/^(127\.|localhost:|\[::1\])/.test(address);
}

/** Resolves at SIGINT or SIGTERM; a second one ends the process at once. `others` are handled meanwhile. */
function untilSignal(others: Readonly<Partial<Record<NodeJS.Signals, () => void>>>): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (asked) process.exit(128 + (signal === "SIGINT" ? 2 : 15));
        asked = true;
        resolve();
      });
    }
    for (const [signal, handler] of Object.entries(others)) process.on(signal, handler);
  });
}
