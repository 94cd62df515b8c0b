/** Numbers and times as docker and podman print them (the formats of docker/go-units). */

const decimalUnits = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** 7804928 → `7.8MB`: powers of 1000, `digits` significant digits without trailing zeros. */
export function humanSize(bytes: number, digits = 3): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < decimalUnits.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${significant(value, digits)}${decimalUnits[unit]}`;
}

const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** 1572864 → `1.5MiB`: powers of 1024, four significant digits (go-units' BytesSize). */
export function binarySize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < binaryUnits.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${significant(value, 4)}${binaryUnits[unit]}`;
}

/** `%.3g` for 0 … 999.9…: rounded, never with an exponent. */
function significant(value: number, digits: number): string {
  const rounded = Number(value.toPrecision(digits));
  return String(rounded);
}

/** How long ago `then` was, in words: `2 weeks ago`. */
export function humanAgo(thenMilliseconds: number, nowMilliseconds: number): string {
  return `${humanDuration((nowMilliseconds - thenMilliseconds) / 1000)} ago`;
}

/** Seconds in words: `Less than a second`, `About a minute`, `5 days`. */
export function humanDuration(seconds: number): string {
  const whole = Math.floor(seconds);
  if (whole < 1) return "Less than a second";
  if (whole === 1) return "1 second";
  if (whole < 60) return `${whole} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

/** Go's time.Time.String() in UTC, as docker prints times in tables: `2024-09-06 22:20:07 +0000 UTC`. */
export function goTime(milliseconds: number): string {
  const iso = new Date(milliseconds).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} +0000 UTC`;
}

/** A duration as Go writes it (`1h30m`, `24h`, `300ms`, `1.5h`), in milliseconds; undefined when it is none. */
export function parseGoDuration(text: string): number | undefined {
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  if (!/^(?:\d+(?:\.\d*)?(?:ms|s|m|h))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d*)?)(ms|s|m|h)/g)) {
    sum += Number(number) * units[unit!]!;
  }
  return sum;
}

/** A moment in milliseconds: an RFC 3339 time, seconds since 1970, or a duration before now. */
export function untilTime(text: string, now: number): number | undefined {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000;
  const duration = parseGoDuration(text);
  if (duration !== undefined) return now - duration;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
