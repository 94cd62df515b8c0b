/** The page of a manifest: how to pull it, what it is made of, what refers to it. */
import { printable } from "../../../base/mod.ts";
import { formatPlatform } from "../../../image/mod.ts";
import type { Descriptor, Digest, ImageConfig, ParsedIndex, ParsedManifest } from "../../../oci/mod.ts";
import { isConfigMediaType, parseImageConfig, parseManifestOrIndex } from "../../../oci/mod.ts";
import { parseManifestReference } from "../../protocol/names.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";
import type { Service } from "../service.ts";
import { mostRows } from "./choose.ts";
import { Html, html } from "./html.ts";
import { counted, hostOf, kindOf, page, short, size, table, terms } from "./layout.ts";

/** A config that is larger, or a manifest that an index names, is not read for the page: anybody may ask for it. */
const mostConfigBytes = 256 * 1024;
const mostEntryBytes = 64 * 1024;
/** Tags of the same manifest, variables, labels. */
const mostTags = 50;
/** Entries of an index that are read for their size. */
const mostSized = 32;

/** `/r/NAME/-/REFERENCE`. Error: 404 MANIFEST_UNKNOWN. */
export async function manifestPage(
  service: Service,
  exchange: Exchange,
  name: string,
  text: string,
): Promise<Html> {
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
  const others = await otherTags(service, name, digest, reference.tag);
  return page(
    `${name} ${text}`,
    [
      { text: "Repositories", href: "/" },
      { text: name, href: `/r/${name}` },
    ],
    html`<h1>${name}<span>${reference.tag === undefined ? "" : `:${reference.tag}`}</span></h1>
${terms([
  ["Digest", html`<code>${digest}</code>`],
  ["Media type", html`<code>${printable(record.mediaType)}</code>`],
  ["Artifact type", document.artifactType && html`<code>${printable(document.artifactType)}</code>`],
  ["Manifest", html`<a href="/v2/${name}/manifests/${digest}">${size(record.size)}</a>`],
  ["Subject", document.subject && link(name, document.subject.digest)],
  ["Other tags", tagLinks(name, others)],
])}
<h2>Pull</h2>
${pullCommands(image, name, parsed, exchange)}
${parsed.kind === "index" ? await entries(service, name, parsed) : await content(service, name, parsed)}
${annotations(document.annotations)}
${await referrersOf(service, name, digest)}`,
  );
}

/** Of a repository with very many tags none are told: each would be read. */
async function otherTags(
  { repositories }: Service,
  name: string,
  digest: Digest,
  but: string | undefined,
): Promise<readonly string[]> {
  if ((await repositories.tags(name)).length > mostRows) return [];
  return (await repositories.tagsOf(name, digest)).filter((tag) => tag !== but);
}

function link(name: string, digest: Digest): Html {
  return html`<a href="/r/${name}/-/${digest}" title="${digest}"><code>${short(digest)}</code></a>`;
}

function tagLinks(name: string, tags: readonly string[]): Html | undefined {
  if (tags.length === 0) return undefined;
  const shown = tags.slice(0, mostTags).map((tag) => html`<a href="/r/${name}/-/${tag}">${tag}</a> `);
  return html`${shown}${tags.length > mostTags ? html`and ${counted(tags.length - mostTags, "other", "others")}` : ""}`;
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
    return commands([
      ...(parsed.kind === "index" ? [] : [`vitrine artifact pull${ours} ${image}`, oras]),
      copy,
    ]);
  }
  const pulls = [
    `docker pull ${image}`,
    `podman pull${unverified} ${image}`,
    `vitrine pull${ours} ${image}`,
    copy,
  ];
  return html`${commands(pulls)}${plain && !local ? html`<p>Docker pulls without https only from the <code>insecure-registries</code> of its daemon.json.</p>` : ""}`;
}

/** What no engine runs. */
function isArtifact(parsed: ParsedManifest | ParsedIndex): boolean {
  if (parsed.kind === "index") return parsed.index.artifactType !== undefined;
  const { artifactType, config } = parsed.manifest;
  return artifactType !== undefined || !isConfigMediaType(config.mediaType);
}

/** One a line; a click selects one as a whole. */
function commands(lines: readonly string[]): Html {
  return html`<pre tabindex="0">${lines.map((line) => html`<code>${line}</code>\n`)}</pre>`;
}

async function entries(service: Service, name: string, { index }: ParsedIndex): Promise<Html> {
  const rows: Html[] = [];
  for (const entry of index.manifests.slice(0, mostRows)) {
    const platform = entry.platform === undefined ? "" : printable(formatPlatform(entry.platform));
    const bytes = rows.length < mostSized ? await contentSize(service, name, entry.digest) : undefined;
    rows.push(
      html`<td>${platform}</td><td>${link(name, entry.digest)}</td><td>${kindOf(entry.mediaType)}</td><td class="n">${bytes === undefined ? "" : size(bytes)}</td>`,
    );
  }
  return html`<h2>Manifests</h2>${table("Manifests", ["Platform", "Digest", "Kind", { number: "Content" }], rows)}`;
}

/** Of the layers of a manifest that is here; undefined for others. */
async function contentSize(service: Service, name: string, digest: Digest): Promise<number | undefined> {
  const { repositories } = service;
  const record = await repositories.manifest(name, digest);
  if (record === undefined || record.size > mostEntryBytes) return undefined;
  const bytes = await repositories.manifestBytes(digest, record.size);
  const parsed = parseManifestOrIndex(bytes, record.mediaType, { maxBytes: bytes.length });
  return parsed.kind === "index" ? undefined : sumOf(parsed.manifest.layers);
}

function sumOf(layers: readonly Descriptor[]): number {
  return layers.reduce((sum, layer) => sum + layer.size, 0);
}

async function content(service: Service, name: string, parsed: ParsedManifest): Promise<Html> {
  const { config, layers } = parsed.manifest;
  const row = (what: string, { digest, mediaType, size: bytes }: Descriptor): Html =>
    html`<td class="k">${what}</td><td><a href="/v2/${name}/blobs/${digest}" title="${digest}"><code>${short(digest)}</code></a></td><td><code>${printable(mediaType)}</code></td><td class="n">${size(bytes)}</td>`;
  const foot = html`<td class="k">${counted(layers.length, "layer", "layers")}</td><td></td><td></td><td class="n">${size(sumOf(layers))}</td>`;
  const rows = [
    row("config", config),
    ...layers.slice(0, mostRows).map((layer, index) => row(`layer ${index + 1}`, layer)),
  ];
  return html`${await imageOf(service, name, config)}
<h2>Content</h2>${table("Content", ["Part", "Digest", "Media type", { number: "Size" }], rows, foot)}`;
}

/** What a container of the image would be, by its config; nothing where that is not here or cannot be read. */
async function imageOf(service: Service, name: string, descriptor: Descriptor): Promise<Html | string> {
  const { repositories } = service;
  const { digest, size: bytes, mediaType } = descriptor;
  if (!isConfigMediaType(mediaType) || bytes > mostConfigBytes) return "";
  if ((await repositories.blob(name, digest)) === undefined) return "";
  let image: ImageConfig;
  try {
    image = parseImageConfig(await repositories.manifestBytes(digest, bytes)).config;
  } catch {
    return "";
  }
  const { config = {}, history = [] } = image;
  const words = (values: readonly string[] | undefined): Html | undefined =>
    values && values.length > 0
      ? html`<code>${printable(values.map(shellWord).join(" "))}</code>`
      : undefined;
  const lines = (values: readonly string[] | undefined): Html | undefined =>
    values && values.length > 0
      ? html`${values.slice(0, mostTags).map((value) => html`<code class="line">${printable(value.slice(0, 500))}</code>`)}`
      : undefined;
  const steps = history.slice(0, mostRows).map(({ created_by: by = "", empty_layer: empty }) => {
    const text = printable(by.slice(0, 2000));
    return html`<li${empty === true ? new Html(' class="soft"') : ""}><code>${text}</code></li>`;
  });
  return html`<h2>Image</h2>${terms([
    ["Platform", printable(formatPlatform(image))],
    [
      "Created",
      image.created === undefined ? undefined : html`<time>${printable(image.created.slice(0, 40))}</time>`,
    ],
    ["Author", image.author && printable(image.author.slice(0, 200))],
    ["Entrypoint", words(config.Entrypoint)],
    ["Command", words(config.Cmd)],
    ["User", config.User && html`<code>${printable(config.User)}</code>`],
    ["Directory", config.WorkingDir && html`<code>${printable(config.WorkingDir)}</code>`],
    ["Ports", words(config.ExposedPorts)],
    ["Volumes", words(config.Volumes)],
    ["Environment", lines(config.Env)],
    ["Labels", lines(Object.entries(config.Labels ?? {}).map(([key, value]) => `${key}=${value}`))],
  ])}${steps.length === 0 ? "" : html`<details><summary>How it was made: ${counted(steps.length, "step", "steps")}</summary><ol>${steps}</ol></details>`}`;
}

/** As one would type it. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function annotations(values: Readonly<Record<string, string>> | undefined): Html | string {
  const known = Object.entries(values ?? {}).slice(0, mostRows);
  if (known.length === 0) return "";
  return html`<h2>Annotations</h2>${terms(
    known.map(([key, value]) => [printable(key), printable(value.slice(0, 2000)) || "-"]),
    true,
  )}`;
}

async function referrersOf(service: Service, name: string, digest: Digest): Promise<Html | string> {
  const referrers = await service.repositories.referrers(name, digest);
  if (referrers.length === 0) return "";
  const rows = referrers
    .slice(0, mostRows)
    .map(
      (entry) =>
        html`<td>${link(name, entry.digest)}</td><td><code>${printable(entry.artifactType ?? "")}</code></td><td>${printable(entry.annotations?.["org.opencontainers.image.created"]?.slice(0, 40) ?? "")}</td><td class="n">${size(entry.size)}</td>`,
    );
  return html`<h2>Referrers</h2>${table("Referrers", ["Digest", "Artifact type", "Created", { number: "Manifest" }], rows)}`;
}
