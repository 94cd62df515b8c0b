/** The door to registries: configuration, credentials, connections and mirrors behind one value. */
import { VitrineError } from "../../base/mod.ts";
import { formatReference, type ImageReference, parseReference } from "../../image/mod.ts";
import { paths } from "../protocol/mod.ts";
import { Agents } from "./agents.ts";
import { loadCertificates } from "./certificates.ts";
import {
  type ConfigOptions,
  type Endpoint,
  endpointsFor,
  entryFor,
  loadRegistriesConfig,
  type RegistriesConfig,
} from "./config.ts";
import { findCredentials } from "./credentials.ts";
import { responseError, wrongCredentials } from "./failures.ts";
import { fetchLists, listOfTexts } from "./lists.ts";
import { isLoopback } from "./proxy.ts";
import { type QuickAnswer, quickHead, type Reached, reachedBy } from "./quick-head.ts";
import { openRepository } from "./repository.ts";
import { Session } from "./session.ts";
import { namesRegistry, recordAlias, shortNameCandidates } from "./short-names.ts";
import { registrySource } from "./source.ts";
import { defaultTiming, Transport } from "./transport.ts";
import type { ClientOptions, Credentials, RegistryClient, Repository } from "./types.ts";

/** Nothing is read or connected until a method is called. */
export function openRegistryClient(options: ClientOptions): RegistryClient {
  return new Client(options);
}

class Client implements RegistryClient {
  private readonly options: ClientOptions;
  private readonly systemDirectory: string;
  private readonly insecure = new Set<string>();
  private readonly agents: Agents;
  private readonly transport: Transport;
  private readonly sessions = new Map<string, Session>();
  private readonly warned = new Set<string>();
  /** Answers on their way, by the full name. */
  private readonly asked = new Map<string, QuickAnswer>();
  private readonly chosen = new Map<string, ImageReference>();
  private config: Promise<RegistriesConfig> | undefined;
  private reached: Reached | undefined;

  constructor(options: ClientOptions) {
    this.options = options;
    this.systemDirectory = options.systemDirectory ?? "/etc";
    this.reached = reachedBy(options.environment);
    const timing = { ...defaultTiming, ...options.timing };
    this.agents = new Agents({
      environment: options.environment,
      connectTimeout: timing.connect,
      tls: (host) => ({
        verify: options.tlsVerify !== false && !(options.tlsVerify === undefined && this.insecure.has(host)),
        certificates: loadCertificates(host, {
          environment: options.environment,
          directory: options.certificateDirectory,
          systemDirectory: this.systemDirectory,
        }),
      }),
    });
    this.transport = new Transport({
      agents: this.agents,
      timing,
      userAgent: options.userAgent ?? "vitrine",
      onNote: (text) => options.onNote?.(text),
    });
  }

  async source(reference: ImageReference) {
    const { repository, value } = await this.fromFirst(reference, (candidate) =>
      candidate.getManifest(askedFor(reference)),
    );
    return registrySource(reference, repository, value);
  }

  async head(reference: ImageReference) {
    const key = formatReference(reference);
    const asked = this.asked.get(key);
    this.asked.delete(key);
    const quick = await (asked ?? (await this.quickHead(reference)))?.();
    if (quick !== undefined) return quick;
    const { value } = await this.fromFirst(reference, async (repository) => {
      const found = await repository.headManifest(askedFor(reference));
      if (found !== undefined) return found;
      throw new VitrineError("not-found", `${repository.registry} does not have it`, {
        code: "manifest-unknown",
        operand: askedFor(reference),
      });
    }).catch((error: unknown) => {
      if (error instanceof VitrineError && error.code === "manifest-unknown") return { value: undefined };
      throw error;
    });
    return value;
  }

  async ahead(text: string) {
    try {
      const reference = parseReference(text);
      const name = formatReference(reference);
      if (reference.digest !== undefined || !namesRegistry(text) || this.asked.has(name)) return;
      const asked = await this.quickHead(reference);
      if (asked !== undefined) this.asked.set(name, asked);
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
    }
  }

  /** Where nothing but a plain registry on this machine can be meant. */
  private async quickHead(reference: ImageReference): Promise<QuickAnswer | undefined> {
    const { tlsVerify, userAgent = "vitrine" } = this.options;
    const [endpoint, ...more] = endpointsFor(await this.loadConfig(), reference);
    if (endpoint === undefined || more.length > 0 || tlsVerify === true) return undefined;
    if (this.sessions.has(endpoint.domain) || !isLoopback(endpoint.domain.replace(/:[0-9]+$/, "")))
      return undefined;
    const { reached } = this;
    this.reached = undefined;
    return quickHead(endpoint.domain, endpoint.path, askedFor(reference), userAgent, reached);
  }

  async repository(reference: Pick<ImageReference, "domain" | "path">) {
    const endpoint = endpointsFor(await this.loadConfig(), reference).at(-1)!;
    return this.open(endpoint, reference);
  }

  async candidates(text: string) {
    const config = await this.loadConfig();
    if (namesRegistry(text)) return [parseReference(text)];
    const { choosePlace } = this.options;
    let asked = false;
    const choose = (name: string, places: readonly string[]): number | undefined => {
      asked = true;
      return choosePlace?.(name, places);
    };
    const known = this.chosen.get(text);
    if (known !== undefined) return [known];
    const found = shortNameCandidates(text, config, choosePlace === undefined ? undefined : choose);
    if (asked) this.chosen.set(text, found[0]!);
    return found;
  }

  async remember(text: string) {
    const chosen = this.chosen.get(text);
    if (chosen !== undefined) await recordAlias(text, chosen, this.configOptions());
  }

  async verifyLogin(registry: string, credentials: Credentials) {
    const config = await this.loadConfig();
    const insecure = entryFor(config, { domain: registry, path: "" })?.insecure === true;
    if (insecure) this.insecure.add(registry);
    const session = this.newSession(registry, insecure, async () => credentials);
    const response = await session.send({ method: "GET", target: paths.base, scopes: [] });
    if (response.status === 200) {
      await response.discard();
      return { credentials };
    }
    if (response.status === 404) {
      await response.discard();
      throw new VitrineError("unsupported", `${registry} is no registry: it has no /v2/`, {
        code: "registry-unsupported",
        operand: registry,
        hint: "check the address and the port",
      });
    }
    const error = await responseError(response, registry);
    if (response.status !== 401) throw error;
    throw wrongCredentials(registry, error);
  }

  async catalog(registry: string) {
    const config = await this.loadConfig();
    const insecure = entryFor(config, { domain: registry, path: "" })?.insecure === true;
    const session = this.session(registry, insecure);
    const scopes = [{ type: "registry", name: "catalog", actions: ["*"] }];
    const names: string[] = [];
    for await (const page of fetchLists(session, paths.catalog, scopes, registry)) {
      names.push(...listOfTexts(page, "repositories"));
    }
    return names;
  }

  close(): void {
    this.agents.close();
  }

  private loadConfig(): Promise<RegistriesConfig> {
    this.config ??= loadRegistriesConfig(this.configOptions());
    return this.config;
  }

  private configOptions(): ConfigOptions {
    const { environment, uid } = this.options;
    return { environment, uid, systemDirectory: this.systemDirectory };
  }

  /** Tries the places in order; the last one's error is the one that counts. */
  private async fromFirst<T>(
    reference: ImageReference,
    ask: (repository: Repository) => Promise<T>,
  ): Promise<{ readonly repository: Repository; readonly value: T }> {
    const endpoints = endpointsFor(await this.loadConfig(), reference);
    for (const [at, endpoint] of endpoints.entries()) {
      const repository = this.open(endpoint, reference);
      try {
        return { repository, value: await ask(repository) };
      } catch (error) {
        if (at === endpoints.length - 1 || !(error instanceof VitrineError)) throw error;
        this.options.onNote?.(`mirror ${endpoint.domain} left out: ${error.message}`);
      }
    }
    throw new Error("a reference leads to one endpoint at least");
  }

  private open(endpoint: Endpoint, reference: Pick<ImageReference, "domain" | "path">): Repository {
    // A mirror at a path of its own is told by the path what it mirrors.
    const proxies =
      endpoint.isMirror && endpoint.domain !== reference.domain && endpoint.path === reference.path;
    return openRepository({
      session: this.session(endpoint.domain, endpoint.insecure),
      name: endpoint.path,
      namespace: proxies ? reference.domain : undefined,
      timing: this.transport.timing,
      onNote: (text) => this.options.onNote?.(text),
    });
  }

  private session(registry: string, insecure: boolean): Session {
    if (insecure) this.insecure.add(registry);
    let session = this.sessions.get(registry);
    if (session === undefined) {
      const { environment, uid, authFile, credentials } = this.options;
      session = this.newSession(registry, insecure, async (name) => {
        if (credentials === "none") return undefined;
        if (credentials !== undefined) return credentials;
        const { helpers } = await this.loadConfig();
        return findCredentials(registry, name, { environment, uid, authFile, helpers });
      });
      this.sessions.set(registry, session);
    }
    return session;
  }

  private newSession(
    registry: string,
    insecure: boolean,
    credentials: (name: string | undefined) => Promise<Credentials | undefined>,
  ): Session {
    return new Session({
      transport: this.transport,
      registry,
      tlsVerify: this.options.tlsVerify,
      insecure,
      credentials,
      onWarning: (text) => {
        const key = `${registry} ${text}`;
        if (this.warned.has(key)) return;
        this.warned.add(key);
        this.options.onWarning?.(registry, text);
      },
    });
  }
}

/** A digest says more than a tag beside it. */
function askedFor(reference: ImageReference): string {
  return reference.digest ?? reference.tag ?? "latest";
}
