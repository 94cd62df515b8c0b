/** A registry as the command serves it: from a config to a running server with all that surrounds it. */
import * as fs from "node:fs";
import * as path from "node:path";
import { makePrivateDirectory, VitrineError, writeAll } from "../../base/mod.ts";
import { AuthenticatedAccess } from "./access/authenticate.ts";
import type { ServeConfig } from "./config.ts";
import { accessLogLine } from "./observe/access-log.ts";
import type { Metrics } from "./observe/metrics.ts";
import { startWebhooks, type WebhookOptions, type Webhooks } from "./observe/webhooks.ts";
import { makePages } from "./pages/pages.ts";
import { type Registry, startRegistry } from "./registry.ts";
import { holdRoot, openFilesystemStorage } from "./storage/filesystem.ts";
import type { Environment } from "./storage/s3/credentials.ts";
import type { RegistryStorage } from "./storage/types.ts";
import { followKeyPair, readKeyPair } from "./tls-files.ts";
import { type CollectReport, collectGarbage } from "./upkeep/collect.ts";

const defaultAddress = "127.0.0.1:5000";
const hourMilliseconds = 3600 * 1000;
/** Node's timers take no more. */
const longestTimer = 2 ** 31 - 1;
const webhookPatience = 5000;
/** As other registries have it: time for a slow client to come with the URL, not to read all. */
const redirectSeconds = 20 * 60;

export interface ServeOptions extends ServeConfig {
  readonly root: string;
  /** Serves this OCI image layout as it stands, read-only, instead of `root`. */
  readonly layout?: { readonly directory: string; readonly temporaryDirectory: string };
  /** For `mirror`: see `UpstreamOptions`; for `s3`: see `storage/s3/credentials.ts`. */
  readonly environment?: Environment;
  /** See `RegistryOptions`. */
  readonly helperPath?: string;
  /** Something went wrong that only the operator can mend. */
  readonly onProblem: (message: string) => void;
}

export interface ServedRegistry extends AsyncDisposable {
  readonly registry: Registry;
  /** Removes garbage now; a second call while one runs is the same collection. */
  collect(): Promise<CollectReport>;
  /** Opens the access log again, after it was moved away, and takes a certificate that was changed. */
  reopen(): void;
  /** The rules of another config: those for repositories, and those for users where passwords or tokens are asked for. */
  useRules(config: Pick<ServeConfig, "rules" | "auth">): void;
}

/** Errors: those of `startRegistry` and of the files it names; `address-invalid`. */
export async function serveRegistry(options: ServeOptions): Promise<ServedRegistry> {
  await using stack = new AsyncDisposableStack();
  const { host, port } = parseAddress(options.addr ?? defaultAddress);
  let metrics: Metrics | undefined;
  const access =
    options.auth === undefined
      ? undefined
      : new AuthenticatedAccess({
          ...options.auth,
          onFailure: () => metrics?.add("vitrine_registry_auth_failures_total"),
        });
  const storage = await openStorage(options);
  const unserved = stack.use(new AsyncDisposableStack());
  unserved.use(storage);
  const directory = options.layout === undefined ? path.join(options.root, "events") : undefined;
  const events = await openWebhooks(options, directory, stack, {
    source: options.auth?.publicUrl ?? `vitrine-registry://${host}:${port}`,
    metrics: () => metrics,
    onProblem: options.onProblem,
  });
  const log = stack.use(openLog(options.accessLog));
  // The registry disposes it, also where it does not start.
  unserved.move();
  const registry = await startRegistry({
    ...options,
    ...(options.layout && { readOnly: true, deletes: false }),
    limits: {
      ...options.limits,
      ...(options.stopSeconds !== undefined && { stopMilliseconds: options.stopSeconds * 1000 }),
    },
    storage,
    host,
    port,
    access,
    events,
    tls: options.tls && (await readKeyPair(options.tls)),
    mirror: options.mirror && {
      ...options.mirror,
      environment: options.environment,
      certificateDirectory: options.mirror.certificates,
      password: options.mirror.passwordFile && fs.readFileSync(options.mirror.passwordFile, "utf8").trim(),
    },
    pages: makePages({ access, metrics: options.metrics, browse: options.page }),
    onAnswer: log.write && ((exchange, status) => log.write?.(accessLogLine(exchange, status, Date.now()))),
    onFault: (error, exchange) =>
      options.onProblem(`${exchange.method} ${exchange.path}: ${messageOf(error)}`),
  });
  stack.use(registry);
  metrics = registry.service.metrics;
  metrics.gauge(
    "vitrine_registry_events_waiting",
    "Webhook events that no receiver has taken yet.",
    () => events.waiting,
  );
  const certificate = options.tls && stack.use(followKeyPair(options.tls, registry, options.onProblem));
  const collect = collector(registry, options);
  stack.use(schedule(options, collect));
  const open = stack.move();
  return {
    registry,
    collect,
    reopen: () => {
      log.reopen();
      certificate?.check();
    },
    useRules: ({ rules, auth }) => {
      registry.service.policy.useRules(rules);
      access?.useRules(auth?.rules);
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

/** Nobody else writes to the directory meanwhile: of an object store's registries, each has a root of its own. */
async function openWebhooks(
  options: ServeOptions,
  directory: string | undefined,
  stack: AsyncDisposableStack,
  settings: WebhookOptions,
): Promise<Webhooks> {
  const hooks = options.webhooks ?? [];
  if (directory !== undefined && (hooks.length > 0 || fs.existsSync(directory))) {
    makePrivateDirectory(directory);
    stack.defer(await holdRoot(path.join(directory, "lock"), options.root));
    settings = { ...settings, directory };
  }
  const events = startWebhooks(hooks, settings);
  stack.defer(() => events.close(webhookPatience));
  return events;
}

async function openStorage(options: ServeOptions): Promise<RegistryStorage> {
  const { layout, s3 } = options;
  if (layout !== undefined) {
    const { openLayoutStorage } = await import("./storage/layout.ts");
    return openLayoutStorage(layout.directory, layout.temporaryDirectory);
  }
  return s3 === undefined
    ? openFilesystemStorage(options.root)
    : openConfiguredS3(s3, options.environment ?? {}, options.root);
}

/**
 * The object store of a config; uploads under way are kept in `root`. Errors: `s3-credentials-missing`, `s3-credentials-unusable`;
 * those of `openS3Storage`.
 */
export async function openConfiguredS3(
  s3: NonNullable<ServeConfig["s3"]>,
  environment: Environment,
  root: string,
): Promise<RegistryStorage> {
  makePrivateDirectory(root);
  const { openS3Storage } = await import("./storage/s3/storage.ts");
  const { findCredentials } = await import("./storage/s3/credentials.ts");
  const region = s3.region ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? "us-east-1";
  const credentials = findCredentials(environment, region);
  const { redirect, ...store } = s3;
  return openS3Storage({
    ...store,
    ...(redirect === true && { redirectSeconds }),
    region,
    credentials,
    uploadDirectory: path.join(root, "uploads"),
  });
}

function collector(registry: Registry, options: ServeOptions): () => Promise<CollectReport> {
  const { repositories, policy, events, metrics, now } = registry.service;
  let running: Promise<CollectReport> | undefined;
  let warned = false;
  return () => {
    if (options.layout !== undefined) return Promise.reject(layoutNotCollected(options.layout.directory));
    running ??= collectGarbage({
      repositories,
      policy,
      events,
      now,
      graceMilliseconds: (options.collect?.graceHours ?? 24) * hourMilliseconds,
    })
      .then((report) => {
        metrics.add("vitrine_registry_collected_bytes_total", report.bytes);
        if (report.unguarded && !warned) {
          warned = true;
          options.onProblem(unguarded);
        }
        for (const { repository, message } of report.damaged) {
          options.onProblem(`garbage collection left ${repository} alone: ${message}`);
        }
        return report;
      })
      .finally(() => {
        running = undefined;
      });
    return running;
  };
}

const unguarded =
  "the object store knows no conditional writes, so nothing keeps two registries from collecting garbage at once: " +
  "let one of those on this bucket collect (everyHours: 0 for the others), or say that there is one (s3: {exclusive: true})";

function layoutNotCollected(directory: string): VitrineError {
  return new VitrineError("unsupported", `${directory} is served as it stands: its owner collects it`, {
    code: "registry-layout-not-collected",
    operand: directory,
    hint: "vitrine image prune",
  });
}

function schedule(options: ServeOptions, collect: () => Promise<CollectReport>): Disposable {
  const hours = options.layout === undefined ? (options.collect?.everyHours ?? 24) : 0;
  if (hours === 0) return { [Symbol.dispose]: () => undefined };
  const timer = setInterval(
    () => {
      collect().catch((error: unknown) => {
        // Another one does it.
        if (error instanceof VitrineError && error.code === "collect-leased") return;
        options.onProblem(`garbage collection: ${messageOf(error)}`);
      });
    },
    Math.min(hours * hourMilliseconds, longestTimer),
  );
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

interface Log extends Disposable {
  readonly write: ((line: string) => void) | undefined;
  reopen(): void;
}

const logMilliseconds = 200;
const logBytes = 64 * 1024;

/** Lines are gathered for a moment: a write for each request would cost as much as the request. */
function openLog(target: string | undefined): Log {
  if (target === undefined) {
    return { write: undefined, reopen: () => undefined, [Symbol.dispose]: () => undefined };
  }
  const open = (): number => (target === "-" ? 1 : fs.openSync(target, "a", 0o640));
  let fd = open();
  let lines = "";
  const flush = (): void => {
    const text = lines;
    lines = "";
    // A log that nobody reads, or a full disk, must not stop the registry.
    try {
      if (text !== "") writeAll(fd, text);
    } catch {}
  };
  const timer = setInterval(flush, logMilliseconds);
  timer.unref();
  return {
    write: (line) => {
      lines += line;
      if (lines.length > logBytes) flush();
    },
    reopen: () => {
      flush();
      if (target === "-") return;
      const before = fd;
      fd = open();
      fs.closeSync(before);
    },
    [Symbol.dispose]: () => {
      clearInterval(timer);
      flush();
      if (target !== "-") fs.closeSync(fd);
    },
  };
}

/** `HOST:PORT`, `[::1]:PORT`, `:PORT` (every address), `PORT` alone on the default host. */
export function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[^:[\]]*):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new VitrineError("invalid", `${JSON.stringify(text)} is not an address to listen on`, {
      code: "address-invalid",
      operand: text,
      hint: "write HOST:PORT, or :PORT for every address",
    });
  }
  const host = match[1] === undefined ? "127.0.0.1" : match[1].replace(/^\[|\]$/g, "");
  return { host: host === "" ? "::" : host, port };
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return `${message}${cause}`;
}
