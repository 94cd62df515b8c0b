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
  random: 8,
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
  readonly id: string;
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

/** Finds slots; one for all texts of a start. */
export function slotFinder(values: Values): (bytes: Uint8Array) => readonly Part[] {
  const { id, name, pid, startTime, parent } = values;
  const short = madeUpId.test(id) ? id.slice(0, 12) : undefined;
  const words: readonly (readonly [string, Slot])[] = [
    [id, "id"],
    ...(short === undefined ? [] : [[short, "short"] as const]),
    ...(name === undefined ? [] : [[name, "name"] as const]),
  ];
  const bySlot = new Map(words);
  const patterns = [
    ...words.map(([word]) => escaped(word)),
    `"pid":(?<ownPid>${pid}),"startTime":"(?<ownStart>${startTime})"`,
    `\\.(?<ownPid2>${pid})-(?<ownStart2>${startTime})-\\d+-(?<random>[0-9a-f]+)\\.tmp`,
    `(?<ownPid3>${pid}) (?<ownStart3>${startTime}) pid:\\[`,
    `/proc/(?<ownPid4>${pid})/`,
    // Nowhere else: somebody may have written the number of this shell.
    `^/proc/(?<parent>${parent})/limits$`,
    `"created":(?<milliseconds>\\d{13})\\b`,
    `"timeNano":(?<nanoseconds>\\d{19})\\b`,
    `"created": ?"(?<date>\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z)"`,
  ];
  const pattern = new RegExp(patterns.join("|"), "dg");
  return (bytes) => {
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
    requireSameLengths(text, found);
    return partsOf(bytes, found);
  };
}

function slotOf(group: string): Slot {
  if (group.startsWith("ownPid")) return "pid";
  return group.startsWith("ownStart") ? "startTime" : (group as Slot);
}

function escaped(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\-]/g, "\\$&");
}

/** Plans count the bytes of their strings: what is put there must be as long as what was there (native/launch_text.c). */
const fixedSlots: ReadonlySet<Slot> = new Set(["id", "short", "name"]);

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
