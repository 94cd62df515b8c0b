/**
 * The page for people: repositories, tags, manifests. Read-only, one request a page, no JavaScript. Names and annotations
 * are whatever somebody pushed: they are escaped, and the policy of the page lets nothing run or load.
 *
 * `/` lists repositories, `/r/NAME` its tags, `/r/NAME/-/REFERENCE` a manifest (`-` is no component of a name).
 */
import { createHash } from "node:crypto";
import { isRepositoryName } from "../../protocol/names.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";
import type { Service } from "../service.ts";
import { choose } from "./choose.ts";
import { type Html, html } from "./html.ts";
import { counted, filter, hostOf, kindOf, more, page, pushedAt, short, table } from "./layout.ts";
import { manifestPage } from "./manifest-page.ts";
import { style } from "./style.ts";

const styleHash = createHash("sha256").update(style).digest("base64");
const headers = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy": `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
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
    const sorry = page(error.message, [home], html`<h1>${error.message}</h1>`);
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

const home = { text: "Repositories", href: "/" };

async function repositoriesPage(service: Service, exchange: Exchange): Promise<Html> {
  const { repositories, access } = service;
  const names = (await repositories.names()).filter((name) => access.shows(exchange, name));
  const { asked, fitting, shown } = choose(exchange.query, names);
  const rows = await Promise.all(
    shown.map(async (name) => {
      const tags = await repositories.tags(name);
      return html`<td><a href="/r/${name}">${name}</a></td><td class="n">${tags.length.toLocaleString("en")}</td>`;
    }),
  );
  const title = html`<h1>Repositories</h1>`;
  if (names.length === 0) {
    return page(
      "Repositories",
      [],
      html`${title}<p>Nothing was pushed yet. A first image:</p><pre tabindex="0"><code>vitrine push IMAGE ${hostOf(exchange)}/NAME:TAG</code></pre>`,
    );
  }
  return page(
    "Repositories",
    [],
    html`${title}${filter("repositories", asked)}
<p class="soft">${howMany(names, fitting, asked, "repository", "repositories")}</p>
${shown.length === 0 ? "" : table("Repositories", ["Repository", { number: "Tags" }], rows)}
${more(shown, fitting, "/", asked)}`,
  );
}

async function tagsPage(service: Service, exchange: Exchange, name: string): Promise<Html> {
  const { repositories } = service;
  if (!(await repositories.exists(name))) throw new RegistryError(404, "NAME_UNKNOWN");
  const tags = await repositories.tags(name);
  const { asked, fitting, shown } = choose(exchange.query, tags);
  const rows: Html[] = [];
  for (const tag of shown) {
    const record = await repositories.tag(name, tag);
    if (record === undefined) continue;
    rows.push(
      html`<td><a href="/r/${name}/-/${tag}">${tag}</a></td><td><code title="${record.digest}">${short(record.digest)}</code></td><td>${kindOf(record.mediaType)}</td><td>${pushedAt(record.pushed)}</td>`,
    );
  }
  return page(
    name,
    [home],
    html`<h1>${name}</h1>${tags.length === 0 ? "" : filter("tags", asked)}
<p class="soft">${howMany(tags, fitting, asked, "tag", "tags")}</p>
${rows.length === 0 ? "" : table("Tags", ["Tag", "Digest", "Kind", "Pushed (UTC)"], rows)}
${more(shown, fitting, `/r/${name}`, asked)}`,
  );
}

function howMany(
  all: readonly string[],
  fitting: readonly string[],
  asked: string,
  one: string,
  several: string,
): string {
  const total = counted(all.length, one, several);
  return asked === "" ? total : `${fitting.length.toLocaleString("en")} of ${total}`;
}
