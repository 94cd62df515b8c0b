/**
 * What an engine gives each container of its own beside the id, found in what was read: docs/launch-record.md, "Captures".
 * Texts are bytes as latin1. The kinds are those of native/launch.h.
 */
export const captureKinds = {
  path: 1,
  loosePath: 2,
  digits: 3,
  date: 4,
  order: 5,
  pid: 6,
  number: 7,
  name: 8,
} as const;

export interface Capture {
  readonly kind: number;
  /** Of an order: the places of its items, a byte each. */
  readonly value: string;
}

/** LAUNCH_CAPTURES_MAX */
export const capturesMost = 48;

/** What the launcher captured of the command line: native/launch.c, `list_captures`. */
export function readCaptures(list: string): Capture[] {
  const lines = Buffer.from(list, "utf8").toString("latin1").split("\n").slice(0, -1);
  return lines.map((line) => ({ kind: Number(line[0]), value: line.slice(1) }));
}

/** As native/launch_capture.c: a UUID (a pod's) or random digits; no word and no number is taken for such. The kubelet's `pod01234567-…` is two words. */
const fresh =
  /(?<=(?:^|[^A-Za-z0-9])(?:pod)?)(?:(?<digits>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{12,128})|(?<date>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)))(?![A-Za-z0-9])/g;

export interface FreshToken {
  readonly start: number;
  readonly kind: number;
  readonly value: string;
}

/** A process and when it began, as all of a file (src/runtime/state.ts) or of a record. They stand nowhere else but in `/proc/PID/…`. */
const processes = [
  /^(?<pid>\d{1,10}) (?<number>\d{1,20})(?: pid:\[\d+\])?\n?$/dg,
  /"(?:creator|monitor)":\{"pid":(?<pid>\d{1,10}),"startTime":"(?<number>\d{1,20})"/dg,
];

/** In the order of the text. Of a pid the next one is when its process began. */
/** When a container was made, in milliseconds. */
const created = /"created":(?<number>\d{13})\b/dg;

export function freshTokens(text: string): readonly FreshToken[] {
  const words = Array.from(text.matchAll(fresh), (match) => ({
    start: match.index,
    kind: match.groups?.["digits"] === undefined ? captureKinds.date : captureKinds.digits,
    value: match[0],
  }));
  const numbers = [...processes, created].flatMap((pattern) =>
    [...text.matchAll(pattern)].flatMap(numbersOf),
  );
  return [...words, ...numbers].toSorted((left, right) => left.start - right.start);
}

function numbersOf({ groups = {}, indices }: RegExpExecArray): readonly FreshToken[] {
  return (["pid", "number"] as const)
    .filter((name) => groups[name] !== undefined)
    .map((name) => ({ start: indices!.groups![name]![0], kind: captureKinds[name], value: groups[name]! }));
}
