/** What is new each time a start is repeated, found in what was written: docs/launch-record.md, "Slots". */

import { paddedPidLength } from "../../runtime/mod.ts";
import { type Capture, captureKinds, capturesMost, freshTokens } from "./captures.ts";
import {
  findOrder,
  type Order,
  type OrderedList,
  orderedLists,
  orderOf,
  placesOf,
  type Reasons,
} from "./orders.ts";

/** The numbers are those of native/launch.h. */
export const slotCodes = {
  id: 1,
  short: 2,
  name: 3,
  pid: 4,
  startTime: 5,
  milliseconds: 6,
  nanoseconds: 7,
  temporary: 8,
  parent: 9,
  date: 10,
} as const;

export type Slot = keyof typeof slotCodes;

/** A text is a list of these. */
export type Part =
  | { readonly kind: "literal"; readonly bytes: Uint8Array }
  | { readonly kind: "slot"; readonly slot: Slot }
  /** A value that was met before. */
  | { readonly kind: "captured"; readonly index: number }
  /** A process's number with slashes before it, as long as every other: src/runtime/lifecycle/join.ts. */
  | { readonly kind: "padded"; readonly index: number }
  /** It is met for the first time. */
  | { readonly kind: "fresh"; readonly index: number; readonly capture: Capture }
  /** Items in their canonical order; `captured` or fresh as its index tells. */
  | {
      readonly kind: "order";
      readonly index: number;
      readonly between: Uint8Array;
      readonly items: readonly (readonly Part[])[];
    };

/** What this start had in their place. */
export interface Values {
  /** Absent where the command line names the container that is there. */
  readonly id: string | undefined;
  /** Absent where somebody chose the name. */
  readonly name: string | undefined;
  readonly pid: number;
  readonly startTime: string;
  readonly parent: number;
  /** Of the command line. */
  readonly captures: readonly Capture[];
  readonly reasons: Reasons;
}

interface Found {
  readonly start: number;
  readonly end: number;
  readonly part: Exclude<Part, { kind: "literal" }>;
}

const madeUpId = /^[0-9a-f]{64}$/;

export interface SlotFinder {
  readonly partsOf: (bytes: Uint8Array) => readonly Part[];
  /** The same of what was found: no time and no pid of this start is in that. */
  readonly foundOf: (bytes: Uint8Array) => readonly Part[];
  /** The same of a file of the container's own, where more is captured. */
  readonly templateOf: (bytes: Uint8Array) => readonly Part[];
  /** A process and when it began. */
  readonly processOf: (pid: string, time: string) => readonly [readonly Part[], readonly Part[]];
  /** How long the names of temporaries were that were found; 0: there was none. */
  readonly temporaryLength: () => number;
  /** In order of their indices. */
  readonly captures: () => readonly Capture[];
}

/** Finds slots; one for all texts of a start. Throws where they cannot be put there again. */
export function slotFinder(values: Values): SlotFinder {
  const captures = [...values.captures];
  const orders: Order[] = [];
  let words = wordsOf(values, captures);
  let temporaryLength = 0;

  const measure = ({ part, start, end }: Found): void => {
    if (part.kind !== "slot" || part.slot !== "temporary") return;
    if (temporaryLength !== 0 && temporaryLength !== end - start)
      throw new Error("temporary names differ in length");
    temporaryLength = end - start;
  };
  const capture = (one: Capture): number => {
    captures.push(one);
    words = wordsOf(values, captures);
    return captures.length - 1;
  };
  const orderPart = ({ canonical, index }: Order, list: OrderedList, find = findKnown): Found => ({
    start: list.start,
    end: list.end,
    part: {
      kind: "order",
      index,
      between: Buffer.from(list.between, "latin1"),
      items: canonical.map((at) => split(list.items[at]!.raw, find(list.items[at]!.raw))),
    },
  });
  const findKnown = (text: string) => findWords(text, words.found, words);
  const findAll = (text: string) => findWords(text, words.all, words);
  const knownIn = (text: string): Found[] => {
    const lists = orders.flatMap((order) =>
      findOrder(text, order, values.reasons).map((list) => orderPart(order, list)),
    );
    return apart([...lists, ...findAll(text)]);
  };
  const freshIn = (text: string, lists: readonly Found[] = []): Found[] => {
    const found = apart([...lists, ...findKnown(text)]);
    const known = [...found];
    const indices = new Map<string, number>();
    for (const { start, kind, value } of freshTokens(text)) {
      const end = start + value.length;
      const index = isWord(kind) ? indices.get(value) : undefined;
      if (known.some((one) => one.start < end && start < one.end)) continue;
      if (index !== undefined) found.push({ start, end, part: { kind: "captured", index } });
      else if (captures.length < capturesMost) {
        const one = { kind, value };
        if (isWord(kind)) indices.set(value, capture(one));
        else capture(one);
        found.push({ start, end, part: { kind: "fresh", index: captures.length - 1, capture: one } });
      }
    }
    return found;
  };
  const listsIn = (text: string): Found[] =>
    orderedLists(text, values.reasons).flatMap((list) => {
      const order = orderOf(list, captures.length);
      // The same list once more, in the same order: it could not be told which of the two a plan has.
      const isKnown = orders.some(
        (one) => namesOf(one) === namesOf(order) && placesOf(one) === placesOf(order),
      );
      if (captures.length >= capturesMost || isKnown) return [];
      capture({ kind: captureKinds.order, value: placesOf(order) });
      orders.push(order);
      return [orderPart(order, list, freshIn)];
    });
  const through = (find: (text: string) => Found[]) => (bytes: Uint8Array) => {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
    const found = find(text);
    if (found.length === 0) return [{ kind: "literal", bytes }] as const;
    found.forEach(measure);
    requireSameLengths(text, found, captures);
    return split(text, found);
  };
  return {
    partsOf: through(knownIn),
    foundOf: through(findKnown),
    // Lists first: what is met in them is known in the rest.
    templateOf: through((text) => freshIn(text, listsIn(text))),
    processOf: (pid, time) => {
      const index = captures.findIndex(
        (one, at) => one.kind === captureKinds.pid && one.value === pid && captures[at + 1]?.value === time,
      );
      const literal = (text: string) => [{ kind: "literal", bytes: Buffer.from(text) }] as const;
      if (index < 0) return [literal(pid), literal(time)];
      return [[{ kind: "captured", index }], [{ kind: "captured", index: index + 1 }]];
    },
    temporaryLength: () => temporaryLength,
    captures: () => captures,
  };
}

function namesOf({ list, canonical }: Order): string {
  return JSON.stringify(canonical.map((at) => list.items[at]!.value));
}

interface Words {
  /** In what is written and in paths; in what is found. */
  readonly all: RegExp;
  readonly found: RegExp;
  readonly parts: ReadonlyMap<string, Found["part"]>;
  /** By their captures' indices. */
  readonly pids: ReadonlyMap<number, string>;
}

function wordsOf({ id, name, pid, startTime, parent }: Values, captures: readonly Capture[]): Words {
  const short = id !== undefined && madeUpId.test(id) ? id.slice(0, 12) : undefined;
  const slots: readonly (readonly [string | undefined, Slot])[] = [
    [id, "id"],
    [short, "short"],
    [name, "name"],
  ];
  const parts = new Map<string, Found["part"]>();
  for (const [index, { kind, value }] of captures.entries()) {
    if (isWord(kind)) parts.set(value, { kind: "captured", index });
  }
  for (const [word, slot] of slots) if (word !== undefined) parts.set(word, { kind: "slot", slot });
  const longestFirst = [...parts.keys()].toSorted((a, b) => b.length - a.length);
  const pids = new Map(
    captures.flatMap(({ kind, value }, index) => (kind === captureKinds.pid ? [[index, value]] : [])),
  );
  // Somebody chose it: it may be any word.
  const names = captures.flatMap(({ kind, value }, index) =>
    kind === captureKinds.name
      ? [`"name":"(?<chosen${index}>${escaped(value)})"`, `/names/(?<called${index}>${escaped(value)})$`]
      : [],
  );
  const processes = Array.from(pids, ([index, one]) => `(?<=/proc)(?<process${index}>/+${one})(?=/)`);
  // What was made up is found anywhere; what somebody chose may be part of a word.
  const plain = longestFirst.map((word) => (isMadeUp(word, short, name) ? escaped(word) : alone(word)));
  const patterns = [
    ...plain,
    `"pid":(?<ownPid>${pid}),"startTime":"(?<ownStart>${startTime})"`,
    `(?<temporary>\\.${pid}-${startTime}-\\d+-[0-9a-f]+\\.tmp)`,
    `(?<ownPid3>${pid}) (?<ownStart3>${startTime}) pid:\\[`,
    `/proc/(?<ownPid4>${pid})/`,
    ...processes,
    ...names,
    // Nowhere else: somebody may have written the number of this shell.
    `^/proc/(?<parent>${parent})/limits$`,
    `"created":(?<milliseconds>\\d{13})\\b`,
    // All of a file: when a container was started.
    `^(?<milliseconds2>\\d{13})$`,
    `"timeNano":(?<nanoseconds>\\d{19})\\b`,
    `"created": ?"(?<date>\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z)"`,
  ];
  // Nothing matches an empty list.
  const found = new RegExp([...plain, ...processes, ...names, "(?!)"].join("|"), "dg");
  return { all: new RegExp(patterns.join("|"), "dg"), found, parts, pids };
}

function isMadeUp(word: string, short: string | undefined, name: string | undefined): boolean {
  return word === short || word === name || madeUpId.test(word);
}

function findWords(text: string, pattern: RegExp, { parts, pids }: Words): Found[] {
  const found: Found[] = [];
  for (const match of text.matchAll(pattern)) {
    const part = parts.get(match[0]);
    if (part !== undefined) found.push({ start: match.index, end: match.index + match[0].length, part });
    for (const [group, range] of Object.entries(match.indices?.groups ?? {})) {
      if (range === undefined) continue;
      if (group.startsWith("chosen") || group.startsWith("called")) {
        const [start, end] = range;
        found.push({ start, end, part: { kind: "captured", index: Number(group.slice("chosen".length)) } });
        continue;
      }
      if (group.startsWith("process")) {
        const index = Number(group.slice("process".length));
        found.push(processPart(range, index, pids.get(index)!.length));
        continue;
      }
      found.push({ start: range[0], end: range[1], part: { kind: "slot", slot: slotOf(group) } });
    }
  }
  return found;
}

/** `/PID` after `/proc`, or as many slashes as make it as long as any. */
function processPart([start, end]: readonly [number, number], index: number, digits: number): Found {
  return end - start === paddedPidLength
    ? { start, end, part: { kind: "padded", index } }
    : { start: end - digits, end, part: { kind: "captured", index } };
}

/** Lists come first, and hold what is found in them. */
function apart(found: readonly Found[]): Found[] {
  const lists = found.filter(({ part }) => part.kind === "order");
  return found.filter(
    (one) => one.part.kind === "order" || !lists.some((list) => list.start < one.end && one.start < list.end),
  );
}

function slotOf(group: string): Slot {
  if (group.startsWith("ownPid")) return "pid";
  if (group.startsWith("milliseconds")) return "milliseconds";
  return group.startsWith("ownStart") ? "startTime" : (group as Slot);
}

function escaped(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\-]/g, "\\$&");
}

function alone(word: string): string {
  return `(?<![A-Za-z0-9])${escaped(word)}(?![A-Za-z0-9])`;
}

/** Plans count the bytes of their strings: what is put there must be as long as what was there (native/launch_text.c). */
const fixedSlots: ReadonlySet<Slot> = new Set(["id", "short", "name", "temporary"]);
const looseCaptures: ReadonlySet<number> = new Set([
  captureKinds.loosePath,
  captureKinds.date,
  captureKinds.pid,
  captureKinds.number,
]);

/** It is found wherever it stands; others stand at certain places alone. */
function isWord(kind: number): boolean {
  return kind <= captureKinds.date;
}

function requireSameLengths(text: string, found: readonly Found[], captures: readonly Capture[]): void {
  if (!text.startsWith("VPLN")) return;
  for (const { part } of found) {
    if (part.kind === "slot" && !fixedSlots.has(part.slot))
      throw new Error(`the plan holds this start's ${part.slot}`);
    if (part.kind === "captured" && looseCaptures.has(captures[part.index]!.kind))
      throw new Error(`the plan holds ${captures[part.index]!.value}`);
  }
}

function split(text: string, found: readonly Found[]): readonly Part[] {
  const parts: Part[] = [];
  let at = 0;
  const literal = (end: number): void => {
    if (end > at) parts.push({ kind: "literal", bytes: Buffer.from(text.slice(at, end), "latin1") });
  };
  for (const { start, end, part } of found.toSorted((left, right) => left.start - right.start)) {
    literal(start);
    parts.push(part);
    at = end;
  }
  literal(text.length);
  return parts;
}
