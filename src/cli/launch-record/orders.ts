/**
 * Lists whose order is another each time, though it decides nothing: podman's environments and bind mounts come from maps.
 * docs/launch-record.md, "Captures". Texts are bytes as latin1.
 */
import type { Note } from "./notes.ts";

export interface Order {
  /** Which capture its places are. */
  readonly index: number;
  readonly list: OrderedList;
  /** Indices into its items, by name. */
  readonly canonical: readonly number[];
}

export interface OrderedList {
  readonly start: number;
  readonly end: number;
  readonly between: string;
  readonly items: readonly Item[];
}

interface Item {
  /** As it stands in the text. */
  readonly raw: string;
  readonly value: unknown;
  /** Of a mount: its place in the whole list. */
  readonly place: number;
}

const itemsMost = 128;

/** Why ops are in a plan, as the text beside it tells (src/runtime/reasons.ts): by plan, a pointer for each op. */
export type Reasons = ReadonlyMap<string, readonly string[]>;

export function reasonsOf(notes: readonly Note[]): Reasons {
  const texts = notes.flatMap((note) =>
    note.kind === "write" ? [Buffer.from(note.bytes).toString("latin1")] : [],
  );
  const found = new Map<string, readonly string[]>();
  for (const [at, text] of texts.entries()) {
    const next = texts[at + 1];
    if (!text.startsWith("VPLN") || next?.startsWith('{"origins"') !== true) continue;
    const { ops } = JSON.parse(next) as { readonly ops: readonly (readonly unknown[])[] };
    found.set(
      text,
      ops.map((one) => JSON.stringify(one)),
    );
  }
  return found;
}

/** Lists in a text of JSON that may be in another order: their items have different names, and are alike. */
export function orderedLists(text: string, reasons: Reasons): readonly OrderedList[] {
  if (!text.startsWith("{")) return [];
  const environments = wholeLists(text, /"env"\s*:\s*\[\s*(?=")/g).filter(({ items }) =>
    items.every(isVariable),
  );
  const mounts = wholeLists(text, /"mounts"\s*:\s*\[\s*(?=\{)/g).flatMap((list) => alikeRuns(list, reasons));
  return [...environments, ...mounts].filter(({ items }) => {
    return items.length > 1 && new Set(items.map(nameOf)).size === items.length;
  });
}

export function orderOf(list: OrderedList, index: number): Order {
  const names = list.items.map(nameOf);
  const canonical = names.map((_, at) => at).sort((a, b) => (names[a]! < names[b]! ? -1 : 1));
  return { index, list, canonical };
}

/** For each place, which of the canonical items stands there. */
export function placesOf({ canonical }: Order): string {
  return Buffer.from(canonical.map((_, at) => canonical.indexOf(at))).toString("latin1");
}

/** The same list elsewhere: in JSON, or as a plan's strings or ops (src/kernel/encode.ts). */
export function findOrder(
  text: string,
  { list }: Order,
  reasons: Reasons,
  listsOf: (text: string) => readonly OrderedList[],
): readonly OrderedList[] {
  if (!text.startsWith("VPLN")) {
    const wanted = JSON.stringify(list.items.map(({ value }) => value));
    return listsOf(text).filter(({ items }) => JSON.stringify(items.map(({ value }) => value)) === wanted);
  }
  return list.items.every(isVariable)
    ? variablesIn(text, list)
    : mountOpsIn(text, list, reasons.get(text) ?? []);
}

function isVariable({ value }: Item): boolean {
  return typeof value === "string" && value.indexOf("=") > 0 && !value.includes("\0");
}

/** A variable's, or where it is mounted. */
function nameOf({ value }: Item): string {
  return typeof value === "string" ? value.slice(0, value.indexOf("=")) : (destinationOf(value) ?? "");
}

function destinationOf(value: unknown): string | undefined {
  const destination = (value as { readonly destination?: unknown } | null)?.destination;
  return typeof destination === "string" ? destination : undefined;
}

// --- in JSON ---

function wholeLists(text: string, head: RegExp): readonly OrderedList[] {
  return Array.from(text.matchAll(head)).flatMap((match) => {
    const list = readList(text, match.index + match[0].length);
    return list === undefined ? [] : [list];
  });
}

function readList(text: string, start: number): OrderedList | undefined {
  const comma = /\s*,\s*/y;
  const bracket = /\s*\]/y;
  const items: Item[] = [];
  let between = "";
  for (let at = start; ; ) {
    const end = itemEnd(text, at);
    if (end === undefined || items.length === itemsMost) return undefined;
    const raw = text.slice(at, end);
    const value = JSON.parse(Buffer.from(raw, "latin1").toString("utf8")) as unknown;
    items.push({ raw, value, place: items.length });
    comma.lastIndex = bracket.lastIndex = end;
    const next = comma.exec(text)?.[0];
    if (next === undefined) return bracket.test(text) ? { start, end, between, items } : undefined;
    if (items.length > 1 && next !== between) return undefined;
    between = next;
    at = comma.lastIndex;
  }
}

/** Where a string or an object ends. */
function itemEnd(text: string, start: number): number | undefined {
  const token = /"(?:[^"\\]|\\.)*"|[{}]|[^"{}]+/y;
  token.lastIndex = start;
  let depth = 0;
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    if (found[0] === "{") depth += 1;
    if (found[0] === "}") depth -= 1;
    if (depth === 0) return token.lastIndex;
  }
  return undefined;
}

/**
 * Mounts beside each other that are as deep, so that none is within another, and of which the same was made: ops for the
 * same reasons.
 */
function alikeRuns(list: OrderedList, reasons: Reasons): readonly OrderedList[] {
  const runs: OrderedList[] = [];
  const shapes = list.items.map((item) => shapeOf(item, reasons));
  for (let from = 0, at = list.start; from < list.items.length; ) {
    let to = from + 1;
    while (to < list.items.length && shapes[to] !== undefined && shapes[to] === shapes[from]) to += 1;
    const items = list.items.slice(from, to);
    const size =
      items.reduce((sum, { raw }) => sum + raw.length, 0) + list.between.length * (items.length - 1);
    runs.push({ start: at, end: at + size, between: list.between, items });
    at += size + list.between.length;
    from = to;
  }
  return runs;
}

function shapeOf({ value, place }: Item, reasons: Reasons): string | undefined {
  const destination = destinationOf(value);
  if (destination === undefined || !/^(?:\/[^/]+)+$/.test(destination) || /\/\.\.?(?:\/|$)/.test(destination))
    return undefined;
  const why = [...reasons.values()].map((ops) =>
    ops.filter(belongsTo(place)).map((one) => one.replace(`/${place}`, "")),
  );
  return JSON.stringify([destination.split("/").length, why]);
}

/** A mount's ops: `["/mounts/PLACE…",…]`. */
function belongsTo(place: number): (reason: string) => boolean {
  return (reason) => reason.startsWith(`["/mounts/${place}"`) || reason.startsWith(`["/mounts/${place}/`);
}

// --- in plans ---

function variablesIn(text: string, { items }: OrderedList): readonly OrderedList[] {
  const raw = items.map(({ value }) => {
    const bytes = Buffer.from(value as string, "utf8");
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return Buffer.concat([length, bytes, Buffer.of(0)]).toString("latin1");
  });
  const whole = raw.join("");
  const found: OrderedList[] = [];
  for (let start = text.indexOf(whole); start >= 0; start = text.indexOf(whole, start + whole.length)) {
    const end = start + whole.length;
    found.push({ start, end, between: "", items: items.map((item, at) => ({ ...item, raw: raw[at]! })) });
  }
  return found;
}

const planHeaderBytes = 16;
const frameHeaderBytes = 12;

/** Each mount's ops stand together, and those of the list one after another. */
function mountOpsIn(
  text: string,
  { items }: OrderedList,
  reasons: readonly string[],
): readonly OrderedList[] {
  const ends: number[] = [];
  for (let at = planHeaderBytes; at + frameHeaderBytes <= text.length; ) {
    at += frameHeaderBytes + Buffer.from(text.slice(at + 8, at + 12), "latin1").readUInt32LE();
    ends.push(at);
  }
  if (ends.length !== reasons.length) return [];
  const startOf = (op: number) => (op === 0 ? planHeaderBytes : ends[op - 1]!);
  const raw: string[] = [];
  let start: number | undefined;
  let next: number | undefined;
  for (const { place } of items) {
    const mine = belongsTo(place);
    const first = reasons.findIndex(mine);
    const last = reasons.findLastIndex(mine);
    const together = reasons.slice(first, last + 1).every(mine);
    if (first < 0 || !together || (next !== undefined && first !== next)) return [];
    start ??= startOf(first);
    next = last + 1;
    raw.push(text.slice(startOf(first), ends[last]));
  }
  if (start === undefined || next === undefined) return [];
  return [
    { start, end: startOf(next), between: "", items: items.map((item, at) => ({ ...item, raw: raw[at]! })) },
  ];
}
