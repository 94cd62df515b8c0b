/** What all pages have: their frame, and how values look on them. */
import type { Exchange } from "../http/exchange.ts";
import { Html, html } from "./html.ts";
import { style } from "./style.ts";

/** Where a page is, from the outermost. */
export interface Crumb {
  readonly text: string;
  readonly href: string;
}

export function page(title: string, crumbs: readonly Crumb[], body: Html): Html {
  const way = crumbs.map(({ text, href }) => html`<li><a href="${href}">${text}</a></li>`);
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title>${styleElement}</head>
<body><main>${way.length === 0 ? "" : html`<nav aria-label="Breadcrumb"><ol>${way}</ol></nav>`}${body}</main></body></html>
`;
}

/** Not escaped: it is ours, and its hash is over these very bytes. */
const styleElement = new Html(`<style>${style}</style>`);

/** A column's name; a number's cells stand at the right. */
export type Column = string | { readonly number: string };

/** `rows`: their `<td>` elements. */
export function table(label: string, columns: readonly Column[], rows: readonly Html[], foot?: Html): Html {
  const head = columns.map((column) =>
    typeof column === "string"
      ? html`<th scope="col">${column}</th>`
      : html`<th scope="col" class="n">${column.number}</th>`,
  );
  const body = rows.map((row) => html`<tr>${row}</tr>`);
  return html`<div class="card"><table aria-label="${label}"><thead><tr>${head}</tr></thead><tbody>${body}</tbody>${foot === undefined ? "" : html`<tfoot><tr>${foot}</tr></tfoot>`}</table></div>`;
}

/** Terms and what they are; without any, nothing. `wide`: the terms are long. */
export function terms(
  entries: readonly (readonly [string, Html | string | undefined])[],
  wide = false,
): Html | string {
  const known = entries.filter(([, value]) => value !== undefined && value !== "");
  if (known.length === 0) return "";
  return html`<dl class="card${wide ? " wide" : ""}">${known.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** Asks for a part of a name: `?q=` of the same page. */
export function filter(what: string, asked: string): Html {
  return html`<form method="get" role="search"><input type="search" name="q" value="${asked}" placeholder="Filter ${what}" aria-label="Filter ${what}" maxlength="255" autocomplete="off" spellcheck="false"><button>Filter</button></form>`;
}

/** A link to the entries after those shown. */
export function more(
  shown: readonly string[],
  all: readonly string[],
  path: string,
  asked: string,
): Html | string {
  const last = shown.at(-1);
  if (last === undefined || last === all.at(-1)) return "";
  const query = asked === "" ? "" : `q=${encodeURIComponent(asked)}&`;
  return html`<p><a href="${path}?${query}after=${encodeURIComponent(last)}">More</a></p>`;
}

export function counted(count: number, one: string, several: string): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
}

/** What a client calls this registry: the `Host` it asked for, where that is one. */
export function hostOf(exchange: Exchange): string {
  const host = exchange.header("host") ?? "";
  return /^[A-Za-z0-9.:[\]-]{1,255}$/.test(host) ? host : "REGISTRY";
}

/** Zero: it was never pushed, but stands in a layout that is served as it is. */
export function pushedAt(milliseconds: number): Html | string {
  if (milliseconds === 0) return "";
  return html`<time>${new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ")}</time>`;
}

export function kindOf(mediaType: string): string {
  return /index|manifest\.list/.test(mediaType) ? "index" : "manifest";
}

export function short(digest: string): string {
  return digest.slice(0, digest.indexOf(":") + 13);
}

export function size(bytes: number): string {
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
