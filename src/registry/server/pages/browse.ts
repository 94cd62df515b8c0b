/**
 * The page for people: repositories, tags, manifests. Read-only, one request a page, no JavaScript. Names and annotations
 * are whatever somebody pushed: they are escaped, and the policy of the page lets nothing run or load.
 *
 * `/` lists repositories, `/r/NAME` its tags, `/r/NAME/-/REFERENCE` a manifest (`-` is no component of a name).
 */
import { createHash } from "node:crypto";
import { printable } from "../../../base/mod.ts";
import { formatPlatform } from "../../../image/mod.ts";
import type { Descriptor, Digest, ParsedIndex, ParsedManifest } from "../../../oci/mod.ts";
import { isConfigMediaType, parseManifestOrIndex } from "../../../oci/mod.ts";
import { isRepositoryName, parseManifestReference } from "../../protocol/names.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";
import type { Service } from "../service.ts";
import { Html, html } from "./html.ts";
import { style } from "./style.ts";

const mostRows = 500;

const styleHash = createHash("sha256").update(style).digest("base64");
const headers = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy": `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "Referrer-Policy": "no-referrer",
  "Cache-Control": "no-cache",
};

/** Answers a page; false where the path is none. */
export async function browse(service: Service, exchange: Exchange): Promise<boolean> {
  const place = readPath(exchange.path);
  if (place === undefined) return false;
  try {
    const body = await lookAt(service, exchange, place);
    exchange.send(200, headers, body.text);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    const sorry = page(error.message, html`<p><a href="/">Repositories</a></p><h1>${error.message}</h1>`);
    exchange.send(error.status, { ...error.headers, ...headers }, sorry.text);
  }
  return true;
}

async function lookAt(service: Service, exchange: Exchange, place: Place): Promise<Html> {
  if (!service.access.open) {
    await service.access.authenticate(exchange);
    const [repository, action] =
      place.name === undefined ? [undefined, "list" as const] : [place.name, "pull" as const];
    if (!service.access.allows(exchange, repository, action)) {
      throw service.access.refusal(exchange, repository, action);
    }
  }
  return render(service, exchange, place);
}

interface Place {
  readonly name?: string;
  readonly reference?: string;
}

function readPath(path: string): Place | undefined {
  if (path === "/") return {};
  const match = /^\/r\/(.+?)(?:\/-\/([^/]+))?$/.exec(path);
  if (match === null) return undefined;
  const name = match[1]!;
  if (!isRepositoryName(name)) return undefined;
  return match[2] === undefined ? { name } : { name, reference: decode(match[2]) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

async function render(service: Service, exchange: Exchange, place: Place): Promise<Html> {
  const { name, reference } = place;
  if (name === undefined) return repositoriesPage(service, exchange);
  if (reference === undefined) return tagsPage(service, exchange, name);
  return manifestPage(service, exchange, name, reference);
}

async function repositoriesPage(service: Service, exchange: Exchange): Promise<Html> {
  const { repositories, access } = service;
  const names = (await repositories.names()).filter((name) => access.shows(exchange, name));
  const after = exchange.query.get("after") ?? "";
  const shown = names.filter((name) => name > after).slice(0, mostRows);
  const rows = await Promise.all(
    shown.map(async (name) => {
      const tags = await repositories.tags(name);
      return html`<tr><td><a href="/r/${name}">${name}</a></td><td class="n">${tags.length}</td></tr>`;
    }),
  );
  return page(
    "Repositories",
    html`<h1>Repositories</h1>
${names.length === 0 ? html`<p>Nothing was pushed yet. Push with <code>vitrine push IMAGE ${hostOf(exchange)}/NAME:TAG</code>.</p>` : html`<table><thead><tr><th>Repository</th><th class="n">Tags</th></tr></thead><tbody>${rows}</tbody></table>`}
${more(shown, names, "/")}`,
  );
}

async function tagsPage(service: Service, exchange: Exchange, name: string): Promise<Html> {
  const { repositories } = service;
  if (!(await repositories.exists(name))) throw new RegistryError(404, "NAME_UNKNOWN");
  const tags = await repositories.tags(name);
  const after = exchange.query.get("after") ?? "";
  const shown = tags.filter((tag) => tag > after).slice(0, mostRows);
  const rows: Html[] = [];
  for (const tag of shown) {
    const record = await repositories.tag(name, tag);
    if (record === undefined) continue;
    rows.push(
      html`<tr><td><a href="/r/${name}/-/${tag}">${tag}</a></td><td><code title="${record.digest}">${short(record.digest)}</code></td><td>${kindOf(record.mediaType)}</td><td>${pushedAt(record.pushed)}</td></tr>`,
    );
  }
  return page(
    name,
    html`<p><a href="/">Repositories</a></p><h1>${name}</h1>
<table><thead><tr><th>Tag</th><th>Digest</th><th>Kind</th><th>Pushed (UTC)</th></tr></thead><tbody>${rows}</tbody></table>
${more(shown, tags, `/r/${name}`)}`,
  );
}

async function manifestPage(service: Service, exchange: Exchange, name: string, text: string): Promise<Html> {
  const { repositories } = service;
  const unknown = new RegistryError(404, "MANIFEST_UNKNOWN");
  let reference: ReturnType<typeof parseManifestReference>;
  try {
    reference = parseManifestReference(text);
  } catch {
    throw unknown;
  }
  if (reference === undefined) throw unknown;
  const digest = reference.digest ?? (await repositories.tag(name, reference.tag))?.digest;
  const record = digest && (await repositories.manifest(name, digest));
  if (digest === undefined || record === undefined) throw unknown;
  const bytes = await repositories.manifestBytes(digest, record.size);
  const parsed = parseManifestOrIndex(bytes, record.mediaType, { maxBytes: bytes.length });
  const image = `${hostOf(exchange)}/${name}${reference.tag === undefined ? `@${digest}` : `:${reference.tag}`}`;
  const document = parsed.kind === "manifest" ? parsed.manifest : parsed.index;
  return page(
    `${name} ${text}`,
    html`<p><a href="/">Repositories</a> / <a href="/r/${name}">${name}</a></p>
<h1>${name}<span>${reference.tag === undefined ? "" : `:${reference.tag}`}</span></h1>
<dl><dt>Digest</dt><dd><code>${digest}</code></dd><dt>Media type</dt><dd><code>${record.mediaType}</code></dd>
<dt>Manifest</dt><dd>${size(record.size)}</dd>${document.artifactType === undefined ? "" : html`<dt>Artifact type</dt><dd><code>${printable(document.artifactType)}</code></dd>`}
${document.subject === undefined ? "" : html`<dt>Subject</dt><dd><a href="/r/${name}/-/${document.subject.digest}"><code>${short(document.subject.digest)}</code></a></dd>`}</dl>
<h2>Pull</h2>
${pullCommands(image, name, parsed, exchange)}
${content(name, parsed)}
${annotations(document.annotations)}
${await referrersOf(service, name, digest)}`,
  );
}

/** Commands that work as they stand, for what this is. Over plain HTTP most clients must be told. */
function pullCommands(
  image: string,
  name: string,
  parsed: ParsedManifest | ParsedIndex,
  exchange: Exchange,
): Html {
  const plain = !exchange.secure;
  const local = /^(localhost|127\.|\[::1\])/.test(image);
  const unverified = plain ? " --tls-verify=false" : "";
  const ours = plain && !local ? " --tls-verify=false" : "";
  const copy = `skopeo copy${parsed.kind === "index" ? " --all" : ""}${plain ? " --src-tls-verify=false" : ""} docker://${image} oci:${name.split("/").at(-1)!}`;
  if (isArtifact(parsed)) {
    const oras = `oras pull${plain ? " --plain-http" : ""} ${image}`;
    return html`<pre>${parsed.kind === "index" ? "" : `vitrine artifact pull${ours} ${image}\n${oras}\n`}${copy}</pre>`;
  }
  return html`<pre>docker pull ${image}
podman pull${unverified} ${image}
vitrine pull${ours} ${image}
${copy}</pre>${plain && !local ? html`<p>Docker pulls without https only from the <code>insecure-registries</code> of its daemon.json.</p>` : ""}`;
}

/** What no engine runs. */
function isArtifact(parsed: ParsedManifest | ParsedIndex): boolean {
  if (parsed.kind === "index") return parsed.index.artifactType !== undefined;
  const { artifactType, config } = parsed.manifest;
  return artifactType !== undefined || !isConfigMediaType(config.mediaType);
}

function content(name: string, parsed: ParsedManifest | ParsedIndex): Html {
  if (parsed.kind === "index") {
    const rows = parsed.index.manifests.map(
      (entry) =>
        html`<tr><td>${entry.platform === undefined ? "" : printable(formatPlatform(entry.platform))}</td><td><a href="/r/${name}/-/${entry.digest}"><code>${short(entry.digest)}</code></a></td><td>${kindOf(entry.mediaType)}</td><td class="n">${size(entry.size)}</td></tr>`,
    );
    return html`<h2>Manifests</h2><table><thead><tr><th>Platform</th><th>Digest</th><th>Kind</th><th class="n">Size</th></tr></thead><tbody>${rows}</tbody></table>`;
  }
  const { config, layers } = parsed.manifest;
  const total = layers.reduce((sum, layer) => sum + layer.size, 0);
  const row = (what: string, { digest, mediaType, size: bytes }: Descriptor): Html =>
    html`<tr><td>${what}</td><td><a href="/v2/${name}/blobs/${digest}"><code>${short(digest)}</code></a></td><td><code>${printable(mediaType)}</code></td><td class="n">${size(bytes)}</td></tr>`;
  return html`<h2>Content</h2><table><thead><tr><th></th><th>Digest</th><th>Media type</th><th class="n">Size</th></tr></thead><tbody>${row("config", config)}${layers.map((layer, index) => row(`layer ${index + 1}`, layer))}</tbody><tfoot><tr><td>layers</td><td></td><td></td><td class="n">${size(total)}</td></tr></tfoot></table>`;
}

function annotations(values: Readonly<Record<string, string>> | undefined): Html | string {
  const entries = Object.entries(values ?? {});
  if (entries.length === 0) return "";
  const rows = entries
    .slice(0, mostRows)
    .map(([key, value]) => html`<dt>${printable(key)}</dt><dd>${printable(value.slice(0, 2000))}</dd>`);
  return html`<h2>Annotations</h2><dl>${rows}</dl>`;
}

async function referrersOf(service: Service, name: string, digest: Digest): Promise<Html | string> {
  const referrers = await service.repositories.referrers(name, digest);
  if (referrers.length === 0) return "";
  const rows = referrers
    .slice(0, mostRows)
    .map(
      (entry) =>
        html`<tr><td><a href="/r/${name}/-/${entry.digest}"><code>${short(entry.digest)}</code></a></td><td><code>${printable(entry.artifactType ?? "")}</code></td><td class="n">${size(entry.size)}</td></tr>`,
    );
  return html`<h2>Referrers</h2><table><thead><tr><th>Digest</th><th>Artifact type</th><th class="n">Size</th></tr></thead><tbody>${rows}</tbody></table>`;
}

function more(shown: readonly string[], all: readonly string[], path: string): Html | string {
  const last = shown.at(-1);
  if (last === undefined || last === all.at(-1)) return "";
  return html`<p><a href="${path}?after=${encodeURIComponent(last)}">More</a></p>`;
}

/** What a client calls this registry: the `Host` it asked for, where that is one. */
function hostOf(exchange: Exchange): string {
  const host = exchange.header("host") ?? "";
  return /^[A-Za-z0-9.:[\]-]{1,255}$/.test(host) ? host : "REGISTRY";
}

/** Zero: it was never pushed, but stands in a layout that is served as it is. */
function pushedAt(milliseconds: number): Html | string {
  if (milliseconds === 0) return "";
  return html`<time>${new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ")}</time>`;
}

function kindOf(mediaType: string): string {
  return /index|manifest\.list/.test(mediaType) ? "index" : "manifest";
}

function short(digest: string): string {
  return digest.slice(0, digest.indexOf(":") + 13);
}

function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = -1;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function page(title: string, body: Html): Html {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>${styleElement}</head>
<body><main>${body}</main></body></html>
`;
}

/** Not escaped: it is ours, and its hash is over these very bytes. */
const styleElement = new Html(`<style>${style}</style>`);
