/** The texts of control files as numbers. */

export type LiveCounts = number | bigint;

export type Read = (file: string) => string | undefined;

export const zero = 0;

/** Nothing is counted there. */
export const noMemory = { limit: 0, failcnt: 0 } as const;

/** The kernel's `max`: runc's largest uint64. */
export const unlimited = 18_446_744_073_709_551_615n;

/** `123`, `-1`, `max`; undefined: none of these. */
export function countIn(text: string | undefined): LiveCounts | undefined {
  const word = text?.trim() ?? "";
  if (word === "max") return unlimited;
  if (!/^-?\d+$/.test(word)) return undefined;
  const value = Number(word);
  return Number.isSafeInteger(value) ? value : BigInt(word);
}

/** Lines of `KEY VALUE`. */
export function keyed(text: string | undefined): Readonly<Record<string, LiveCounts>> {
  const values: Record<string, LiveCounts> = {};
  for (const line of (text ?? "").split("\n")) {
    const [key, word] = line.split(" ", 2);
    const value = countIn(word);
    if (key !== undefined && value !== undefined) values[key] = value;
  }
  return values;
}

/** `0-2,7` is 0, 1, 2, 7. */
export function numbersIn(text: string | undefined): readonly number[] {
  const found: number[] = [];
  for (const part of (text ?? "").trim().split(",")) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    if (match === null) continue;
    for (let at = Number(match[1]); at <= Number(match[2] ?? match[1]); at++) found.push(at);
  }
  return found;
}

/** Go's omitempty: without what is zero, empty or undefined. */
export function filled<Values extends Readonly<Record<string, unknown>>>(
  values: Values,
): { [Key in keyof Values]?: Exclude<Values[Key], undefined> } {
  const entries = Object.entries(values).filter(
    ([, value]) =>
      value !== undefined && value !== 0 && value !== 0n && !(Array.isArray(value) && value.length === 0),
  );
  return Object.fromEntries(entries) as never;
}

/** Pressure stall information: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`. */
export function pressureIn(text: string | undefined) {
  if (text === undefined) return undefined;
  const line = (name: string) => {
    const words = text
      .split("\n")
      .find((each) => each.startsWith(`${name} `))
      ?.split(" ");
    const value = (key: string) =>
      Number(words?.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1) ?? 0);
    return { avg10: value("avg10"), avg60: value("avg60"), avg300: value("avg300"), total: value("total") };
  };
  return { some: line("some"), full: line("full") };
}
