/** Lists of a mirror's upstream: its tags and referrers, over all pages (spec.md#listing-tags, #listing-referrers). */
import { type JsonValue, parseJson } from "../../../base/mod.ts";
import { type Descriptor, parseIndex } from "../../../oci/mod.ts";
import { parseNextLink } from "../../protocol/links.ts";
import { paths } from "../../protocol/paths.ts";
import { BoundedCache } from "../bounded-cache.ts";
import { readUpstream } from "./upstream.ts";

const mostPages = 1000;
const pageBytes = 16 * 1024 * 1024;
/** Entries of all lists together that are kept. */
const keptEntries = 1_000_000;

/** Gets a path of the upstream: the body, or undefined for 404. Throws for everything else. */
export type Fetch = (
  name: string,
  target: string,
  mostBytes: number,
) => Promise<{ readonly body: Uint8Array; readonly link: string | undefined } | undefined>;

interface Kept {
  readonly at: number;
  readonly tags: readonly string[] | undefined;
}

export class UpstreamLists {
  private readonly fetch: Fetch;
  private readonly now: () => number;
  private readonly milliseconds: number;
  private readonly kept = new BoundedCache<Kept>(keptEntries);

  /** Tags are asked for again after `milliseconds`. */
  constructor(fetch: Fetch, now: () => number, milliseconds: number) {
    this.fetch = fetch;
    this.now = now;
    this.milliseconds = milliseconds;
  }

  /** Undefined: the upstream has no such repository. */
  async tags(name: string): Promise<readonly string[] | undefined> {
    const kept = this.kept.get(name);
    if (kept !== undefined && this.now() - kept.at < this.milliseconds) return kept.tags;
    let found: string[] | undefined;
    for await (const page of this.pages(name, paths.tags(name))) found = [...(found ?? []), ...tagsOf(page)];
    const tags = found && [...new Set(found)];
    this.kept.set(name, { at: this.now(), tags }, 1 + (tags?.length ?? 0));
    return tags;
  }

  async referrers(name: string, digest: string): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = [];
    for await (const page of this.pages(name, paths.referrers(name, digest))) {
      const { manifests } = readUpstream("the upstream's list of referrers", () => parseIndex(page).index);
      found.push(...manifests);
    }
    return found;
  }

  private async *pages(name: string, first: string): AsyncGenerator<Uint8Array, void> {
    const seen = new Set<string>();
    for (let target: string | undefined = first; target !== undefined && seen.size < mostPages; ) {
      if (seen.has(target)) return;
      seen.add(target);
      const page = await this.fetch(name, target, pageBytes);
      if (page === undefined) return;
      yield page.body;
      target = nextTarget(first, page.link);
    }
  }
}

/** The next page, of the same list: an upstream does not send us elsewhere. */
function nextTarget(first: string, link: string | undefined): string | undefined {
  const text = link === undefined ? undefined : parseNextLink(link);
  if (text === undefined || !URL.canParse(text, "http://upstream/")) return undefined;
  const { search } = new URL(text, `http://upstream${first}`);
  return search === "" ? undefined : `${first}${search}`;
}

function tagsOf(bytes: Uint8Array): readonly string[] {
  const value: JsonValue = readUpstream("the upstream's list of tags", () =>
    parseJson(bytes, { maxBytes: pageBytes, name: "tags" }),
  );
  const tags =
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, JsonValue | undefined>>)["tags"]
      : undefined;
  if (!Array.isArray(tags)) return [];
  return tags.filter((tag): tag is string => typeof tag === "string" && /^\w[\w.-]{0,127}$/.test(tag));
}
