/** Mutants of JSON documents and of bytes, the same for the same seed. */

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** What fields are given in the place of their own: bounds, wrong types, hostile text, words of the spec. */
const values: readonly Json[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  7,
  4095,
  4096,
  65_535,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  -(2 ** 53),
  0.5,
  1e300,
  "",
  "/",
  ".",
  "..",
  "../../..",
  "/proc/self/exe",
  "/proc/1/ns/net",
  "/dev/null",
  "a\0b",
  "\ud800",
  "\u001b[2J",
  "%d%s%n",
  "0-3,7",
  "0-99999999",
  "7-0",
  "__proto__",
  "x".repeat(300),
  "/".repeat(5000),
  "rbind",
  "ro",
  "idmap",
  "ridmap",
  "remount",
  "tmpcopyup",
  "size=1%",
  "SCMP_ACT_NOTIFY",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_ERRNO",
  "SCMP_CMP_MASKED_EQ",
  "CAP_SYS_ADMIN",
  "CAP_NOT_THERE",
  "user",
  "pid",
  "mount",
  "cgroup",
  "time",
  "shared",
  "MPOL_BIND",
  "SCHED_DEADLINE",
  "RLIMIT_NOFILE",
  "1.9.0",
  "2.0.0",
  [],
  {},
  [[]],
  [null],
  { "": null },
  { path: "/bin/true" },
  { containerID: 0, hostID: 0, size: 4_294_967_295 },
  { type: "user", path: "/proc/1/ns/user" },
  { allow: true, type: "c", major: -1, minor: -1, access: "rwm" },
];

export class Mutator {
  readonly #documents: readonly Json[];
  #state: number;

  constructor(seed: number, documents: readonly unknown[]) {
    this.#state = seed;
    this.#documents = documents as readonly Json[];
  }

  /** 0 ≤ n < bound (mulberry32). */
  #below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let word = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) % bound;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  /** The text of a mutant; now and then one whose JSON itself is damaged. */
  document(): string {
    const document = structuredClone(this.pick(this.#documents));
    for (let count = 1 + this.#below(4); count > 0; count--) this.#mutate(document);
    const text = JSON.stringify(document);
    if (this.#below(12) !== 0) return text;
    return Buffer.from(this.damage(Buffer.from(text))).toString("latin1");
  }

  /** A few bytes changed, left out, or put in twice. */
  damage(bytes: Uint8Array): Uint8Array {
    let out = Buffer.from(bytes);
    for (let count = 1 + this.#below(3); count > 0 && out.length > 0; count--) {
      const at = this.#below(out.length);
      const size = 1 + this.#below(8);
      switch (this.#below(4)) {
        case 0:
          out[at] = this.#below(256);
          break;
        case 1:
          out[at] = out[at]! ^ (1 << this.#below(8));
          break;
        case 2:
          out = Buffer.concat([out.subarray(0, at), out.subarray(at + size)]);
          break;
        default:
          out = Buffer.concat([out.subarray(0, at + size), out.subarray(at)]);
      }
    }
    return out;
  }

  #mutate(document: Json): void {
    const places = placesOf(document);
    if (places.length === 0) return;
    const { holder, key } = this.pick(places);
    const other = this.pick(placesOf(this.pick(this.#documents)));
    switch (this.#below(6)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(key as number, 1);
        else delete holder[key as string];
        break;
      case 1:
        if (Array.isArray(holder)) holder.splice(key as number, 0, structuredClone(holder[key as number]!));
        else define(holder, String(this.pick(values)), structuredClone(get(holder, key)));
        break;
      case 2:
        // What stands in another document under this name, else anywhere.
        set(holder, key, structuredClone(this.#named(String(key)) ?? get(other.holder, other.key)));
        break;
      case 3:
        set(holder, key, number(get(holder, key), this.#below(5)));
        break;
      default:
        set(holder, key, structuredClone(this.pick(values)));
    }
  }

  #named(name: string): Json | undefined {
    const same = this.#documents.flatMap((one) => placesOf(one)).filter(({ key }) => key === name);
    return same.length === 0 ? undefined : get(this.pick(same).holder, name);
  }
}

interface Place {
  readonly holder: Json[] | { [name: string]: Json };
  readonly key: string | number;
}

function placesOf(document: Json, found: Place[] = []): Place[] {
  if (typeof document !== "object" || document === null) return found;
  for (const key of Array.isArray(document) ? document.keys() : Object.keys(document)) {
    found.push({ holder: document, key });
    placesOf(get(document, key), found);
  }
  return found;
}

const get = (holder: Place["holder"], key: string | number): Json =>
  (holder as Record<string | number, Json>)[key]!;

function set(holder: Place["holder"], key: string | number, value: Json): void {
  define(holder as Record<string, Json>, String(key), value);
}

/** Also for `__proto__`. */
function define(holder: Record<string, Json>, key: string, value: Json): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
}

function number(value: Json, how: number): Json {
  if (typeof value !== "number") return typeof value === "string" ? value + value : value;
  return [value + 1, value - 1, -value, value * 2 ** 16, value + 2 ** 32][how]!;
}
