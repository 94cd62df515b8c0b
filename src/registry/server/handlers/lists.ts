/** Lists: tags, the catalog, referrers (spec.md#content-discovery, end-8, end-12). */
import { type Descriptor, mediaTypes } from "../../../oci/mod.ts";
import { headerNames } from "../../protocol/headers.ts";
import { formatNextLink } from "../../protocol/links.ts";
import { paths } from "../../protocol/paths.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";
import type { Service } from "../service.ts";
import { cutPage, type Page, readDigest, readPage } from "./requests.ts";

export async function listTags(service: Service, exchange: Exchange, name: string): Promise<void> {
  const page = readPage(exchange);
  const own = await service.repositories.tags(name);
  const theirs = await ofUpstream(own, () => service.upstream?.tags(name));
  const tags = theirs === undefined ? own : [...new Set([...own, ...theirs])].sort();
  if (theirs === undefined && tags.length === 0 && !(await service.repositories.exists(name))) {
    throw new RegistryError(404, "NAME_UNKNOWN", { detail: { name } });
  }
  const cut = cutPage(tags, page, service.limits.pageEntries);
  exchange.json(200, nextPage(paths.tags(name), page, cut), { name, tags: cut.entries });
}

/** What a mirror's upstream says; when it cannot be reached, what is here has to do. */
async function ofUpstream<T>(
  own: readonly unknown[],
  ask: () => Promise<T | undefined> | undefined,
): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (own.length === 0) throw error;
    return undefined;
  }
}

/** Not in the spec, but in every registry: the repositories that the client may read. */
export async function listRepositories(service: Service, exchange: Exchange): Promise<void> {
  const page = readPage(exchange);
  const names = await service.repositories.names();
  const visible = service.access.open ? names : names.filter((name) => service.access.shows(exchange, name));
  const cut = cutPage(visible, page, service.limits.pageEntries);
  exchange.json(200, nextPage(paths.catalog, page, cut), { repositories: cut.entries });
}

function nextPage(
  path: string,
  page: Page,
  cut: { readonly entries: readonly string[]; readonly more: boolean },
): Record<string, string> {
  const last = cut.entries.at(-1);
  if (!cut.more || last === undefined) return {};
  const query = new URLSearchParams({ last });
  if (page.count !== undefined) query.set("n", String(page.count));
  return { Link: formatNextLink(`${path}?${query}`) };
}

/** One page of referrers is no larger than a manifest may be. */
const pageBytes = 3 * 1024 * 1024;

export async function listReferrers(
  service: Service,
  exchange: Exchange,
  name: string,
  text: string,
): Promise<void> {
  const digest = readDigest(text);
  const { query } = exchange;
  const artifactType = query.get("artifactType") ?? undefined;
  const last = query.get("last") ?? "";
  const own = await service.repositories.referrers(name, digest);
  const theirs = await ofUpstream(own, () => service.upstream?.referrers(name, digest));
  const all = merged(own, theirs ?? []).filter(
    (descriptor) =>
      descriptor.digest > last && (artifactType === undefined || descriptor.artifactType === artifactType),
  );
  const { page, more } = cutBytes(all);
  const headers: Record<string, string> = { "Content-Type": mediaTypes.index };
  if (artifactType !== undefined) headers[headerNames.filtersApplied] = "artifactType";
  if (more) {
    const next = new URLSearchParams({ last: page.at(-1)!.digest });
    if (artifactType !== undefined) next.set("artifactType", artifactType);
    headers["Link"] = formatNextLink(`${paths.referrers(name, digest)}?${next}`);
  }
  exchange.json(200, headers, { schemaVersion: 2, mediaType: mediaTypes.index, manifests: page });
}

function merged(own: readonly Descriptor[], theirs: readonly Descriptor[]): readonly Descriptor[] {
  if (theirs.length === 0) return own;
  const all = new Map([...theirs, ...own].map((descriptor) => [descriptor.digest, descriptor]));
  return [...all.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

function cutBytes(descriptors: readonly Descriptor[]): {
  readonly page: readonly Descriptor[];
  readonly more: boolean;
} {
  let bytes = 0;
  for (const [index, descriptor] of descriptors.entries()) {
    bytes += JSON.stringify(descriptor).length;
    if (bytes > pageBytes && index > 0) return { page: descriptors.slice(0, index), more: true };
  }
  return { page: descriptors, more: false };
}
