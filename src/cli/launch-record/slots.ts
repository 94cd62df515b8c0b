/** What is new each time a start is repeated, found in what was written: docs/launch-record.md, "Slots". */
/** The numbers are those of native/launch_text.c. */
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
  | { readonly kind: "slot"; readonly slot: Slot };

/** What this start had in their place. */
export interface Values {
  /** Absent where the command line names the container that is there. */
  readonly id: string | undefined;
  /** Absent where somebody chose the name. */
  readonly name: string | undefined;
  readonly pid: number;
  readonly startTime: string;
  readonly parent: number;
}

interface Found {
  readonly start: number;
  readonly end: number;
  readonly slot: Slot;
}

const madeUpId = /^[0-9a-f]{64}$/;

export interface SlotFinder {
  readonly partsOf: (bytes: Uint8Array) => readonly Part[];
  /** How long the names of temporaries were that were found; 0: there was none. */
  readonly temporaryLength: () => number;
}

/** Finds slots; one for all texts of a start. Throws where they cannot be put there again. */
export function slotFinder(values: Values): SlotFinder {
  const { id, name, pid, startTime, parent } = values;
  const short = id !== undefined && madeUpId.test(id) ? id.slice(0, 12) : undefined;
  const words: readonly (readonly [string, Slot])[] = [
    ...(id === undefined ? [] : [[id, "id"] as const]),
    ...(short === undefined ? [] : [[short, "short"] as const]),
    ...(name === undefined ? [] : [[name, "name"] as const]),
  ];
  const bySlot = new Map(words);
  const patterns = [
    ...words.map(([word]) => escaped(word)),
    `"pid":(?<ownPid>${pid}),"startTime":"(?<ownStart>${startTime})"`,
    `(?<temporary>\\.${pid}-${startTime}-\\d+-[0-9a-f]+\\.tmp)`,
    `(?<ownPid3>${pid}) (?<ownStart3>${startTime}) pid:\\[`,
    `/proc/(?<ownPid4>${pid})/`,
    // Nowhere else: somebody may have written the number of this shell.
    `^/proc/(?<parent>${parent})/limits$`,
    `"created":(?<milliseconds>\\d{13})\\b`,
    // All of a file: when a container was started.
    `^(?<milliseconds2>\\d{13})$`,
    `"timeNano":(?<nanoseconds>\\d{19})\\b`,
    `"created": ?"(?<date>\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z)"`,
  ];
  const pattern = new RegExp(patterns.join("|"), "dg");
  let temporaryLength = 0;
  const measure = ({ slot, start, end }: Found): void => {
    if (slot !== "temporary") return;
    if (temporaryLength !== 0 && temporaryLength !== end - start)
      throw new Error("temporary names differ in length");
    temporaryLength = end - start;
  };
  const find = (bytes: Uint8Array): readonly Part[] => {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
    const found: Found[] = [];
    for (const match of text.matchAll(pattern)) {
      const word = bySlot.get(match[0]);
      if (word !== undefined)
        found.push({ start: match.index, end: match.index + match[0].length, slot: word });
      for (const [group, range] of Object.entries(match.indices?.groups ?? {})) {
        if (range !== undefined) found.push({ start: range[0], end: range[1], slot: slotOf(group) });
      }
    }
    if (found.length === 0) return [{ kind: "literal", bytes }];
    found.sort((left, right) => left.start - right.start);
    found.forEach(measure);
    requireSameLengths(text, found);
    return partsOf(bytes, found);
  };
  return { partsOf: find, temporaryLength: () => temporaryLength };
}

function slotOf(group: string): Slot {
  if (group.startsWith("ownPid")) return "pid";
  if (group.startsWith("milliseconds")) return "milliseconds";
  return group.startsWith("ownStart") ? "startTime" : (group as Slot);
}

function escaped(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\-]/g, "\\$&");
}

/** Plans count the bytes of their strings: what is put there must be as long as what was there (native/launch_text.c). */
const fixedSlots: ReadonlySet<Slot> = new Set(["id", "short", "name", "temporary"]);

function requireSameLengths(text: string, found: readonly Found[]): void {
  if (!text.startsWith("VPLN")) return;
  const other = found.find(({ slot }) => !fixedSlots.has(slot));
  if (other !== undefined) throw new Error(`the plan holds this start's ${other.slot}`);
}

function partsOf(bytes: Uint8Array, found: readonly Found[]): readonly Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const { start, end, slot } of found) {
    if (start > at) parts.push({ kind: "literal", bytes: bytes.subarray(at, start) });
    parts.push({ kind: "slot", slot });
    at = end;
  }
  if (at < bytes.length) parts.push({ kind: "literal", bytes: bytes.subarray(at) });
  return parts;
}
