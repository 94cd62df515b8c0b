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
  /** Each order looks at the same text. */
  let last: { readonly text: string; readonly lists: readonly OrderedList[] } | undefined;
  const listsOf = (text: string): readonly OrderedList[] => {
    if (last?.text !== text) last = { text, lists: orderedLists(text, values.reasons) };
    return last.lists;
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
  const findKnown = (text: string) => findWords(text, words.found);
  const findAll = (text: string) => findWords(text, words.all);
  const knownIn = (text: string): Found[] => {
    const lists = orders.flatMap((order) =>
      findOrder(text, order, values.reasons, listsOf).map((list) => orderPart(order, list)),
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
    listsOf(text).flatMap((list) => {
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

/** What is looked for in a text, the first of the list where two begin at one place. Short programs run without a compiler: to look for plain text is ten times as fast there as one large pattern. */
interface Words {
  /** In what is found; what is written has more. */
  readonly found: readonly Look[];
  readonly all: readonly Look[];
}

/** All places in a text where it stands. */
type Look = (text: string) => readonly Hit[];

interface Hit {
  /** Until its end nothing else is looked for. */
  readonly start: number;
  readonly end: number;
  readonly parts: readonly Found[];
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
  const found = [
    // What was made up is found anywhere; what somebody chose may be part of a word.
    ...longestFirst.map((word) => lookForWord(word, parts.get(word)!, !isMadeUp(word, short, name))),
    ...captures.flatMap(({ kind, value }, index) => {
      if (kind === captureKinds.pid) return [lookForProcess(value, index)];
      return kind === captureKinds.name ? lookForName(value, { kind: "captured", index }) : [];
    }),
  ];
  const own = `${pid}-${startTime}-`;
  return {
    found,
    all: [
      ...found,
      lookFor(
        `"pid":${pid},"startTime":"${startTime}"`,
        /"pid":(?<pid>\d+),"startTime":"(?<startTime>\d+)"/dy,
      ),
      lookFor(`.${own}`, /(?<temporary>\.\d+-\d+-\d+-[0-9a-f]+\.tmp)/dy),
      lookFor(`${pid} ${startTime} pid:[`, /(?<pid>\d+) (?<startTime>\d+) pid:\[/dy),
      lookFor(`/proc/${pid}/`, /\/proc\/(?<pid>\d+)\//dy),
      // Nowhere else: somebody may have written the number of this shell.
      (text) =>
        text === `/proc/${parent}/limits` ? lookFor("/proc/", /\/proc\/(?<parent>\d+)/dy)(text) : [],
      lookFor('"created":', /"created":(?<milliseconds>\d{13})\b/dy),
      // All of a file: when a container was started.
      (text) => (text.length === 13 ? lookFor("", /(?<milliseconds>\d{13})/dy)(text) : []),
      lookFor('"timeNano":', /"timeNano":(?<nanoseconds>\d{19})\b/dy),
      lookFor('"created":', /"created": ?"(?<date>\d{4}-\d\d-\d\dT[\d:.]+Z)"/dy),
    ],
  };
}

function isMadeUp(word: string, short: string | undefined, name: string | undefined): boolean {
  return word === short || word === name || madeUpId.test(word);
}

function places(text: string, plain: string): readonly number[] {
  if (plain === "") return [0];
  const found: number[] = [];
  for (let at = text.indexOf(plain); at >= 0; at = text.indexOf(plain, at + 1)) found.push(at);
  return found;
}

function lookForWord(word: string, part: Found["part"], alone: boolean): Look {
  return (text) =>
    places(text, word)
      .map((start) => ({ start, end: start + word.length, part }))
      .filter(({ start, end }) => !alone || !(isInside(text, start) || isLetterOrDigit(text[end])))
      .map((one) => ({ ...one, parts: [one] }));
}

/** As `launch_is_inside` of native/launch_capture.c. */
function isInside(text: string, start: number): boolean {
  if (!isLetterOrDigit(text[start - 1])) return false;
  return text.slice(Math.max(0, start - 3), start) !== "pod" || isLetterOrDigit(text[start - 4]);
}

function isLetterOrDigit(character: string | undefined): boolean {
  return character !== undefined && /^[A-Za-z0-9]$/.test(character);
}

/** `/PID/` after `/proc`, whatever slashes are between. */
function lookForProcess(pid: string, index: number): Look {
  return (text) =>
    places(text, `/${pid}/`).flatMap((last) => {
      let start = last;
      while (text[start - 1] === "/") start -= 1;
      if (!text.slice(0, start).endsWith("/proc")) return [];
      const end = last + 1 + pid.length;
      return [{ start, end, parts: [processPart([start, end], index, pid.length)] }];
    });
}

/** Somebody chose it: it may be any word. */
function lookForName(name: string, part: Found["part"]): readonly Look[] {
  const between = (before: string, after: string, last: boolean): Look => {
    return (text) =>
      places(text, `${before}${name}${after}`).flatMap((at) => {
        const start = at + before.length;
        const end = start + name.length;
        return last && end !== text.length
          ? []
          : [{ start: at, end: end + after.length, parts: [{ start, end, part }] }];
      });
  };
  return [between('"name":"', '"', false), between("/names/", "", true)];
}

/** Where the pattern, whose groups are slots, matches at the beginning of a plain text. */
function lookFor(plain: string, pattern: RegExp): Look {
  return (text) =>
    places(text, plain).flatMap((at) => {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match === null) return [];
      const parts = Object.entries(match.indices!.groups!).map(([slot, [start, end]]): Found => {
        return { start, end, part: { kind: "slot", slot: slot as Slot } };
      });
      return [{ start: at, end: at + match[0].length, parts }];
    });
}

function findWords(text: string, looks: readonly Look[]): Found[] {
  const found: Found[] = [];
  let end = 0;
  // The sort is stable.
  for (const hit of looks.flatMap((look) => look(text)).sort((left, right) => left.start - right.start)) {
    if (hit.start < end) continue;
    end = hit.end;
    found.push(...hit.parts);
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
