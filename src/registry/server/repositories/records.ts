/** Documents as JSON values, remembered where nobody else can change them. */
import { VitrineError } from "../../../base/mod.ts";
import { BoundedCache } from "../bounded-cache.ts";
import type { Documents } from "../storage/types.ts";

const rememberedRecords = 50_000;
const rememberedNames = 1_000_000;

export class Records {
  private readonly documents: Documents;
  private readonly remember: boolean;
  /** `null`: known to be missing. */
  private readonly values = new BoundedCache<{ readonly value: unknown }>(rememberedRecords);
  private readonly lists = new BoundedCache<readonly string[]>(rememberedNames);
  /** Counts changes: what was read before one and arrives after it is not remembered. */
  private changes = 0;

  constructor(documents: Documents, options: { readonly remember: boolean }) {
    this.documents = documents;
    this.remember = options.remember;
  }

  /** What is remembered: avoids a turn of the event loop on the hot path. */
  peek(key: string): { readonly value: unknown } | undefined {
    return this.values.get(key);
  }

  /** The value of a key, undefined without one. Error: `registry-record-corrupt`. */
  async read(key: string): Promise<unknown> {
    const known = this.values.get(key);
    if (known !== undefined) return known.value;
    const before = this.changes;
    const bytes = await this.documents.get(key);
    const value = bytes === undefined ? undefined : decode(key, bytes);
    if (this.remember && before === this.changes) this.values.set(key, { value });
    return value;
  }

  async write(key: string, value: unknown): Promise<void> {
    this.forget(key);
    await this.documents.put(key, Buffer.from(JSON.stringify(value)));
    this.forget(key);
    if (this.remember) this.values.set(key, { value });
  }

  async remove(key: string): Promise<boolean> {
    this.forget(key);
    const removed = await this.documents.delete(key);
    this.forget(key);
    return removed;
  }

  async names(prefix: string): Promise<readonly string[]> {
    const known = this.lists.get(prefix);
    if (known !== undefined) return known;
    const before = this.changes;
    const names = await this.documents.list(prefix);
    if (this.remember && before === this.changes) this.lists.set(prefix, names, names.length + 1);
    return names;
  }

  /** A change of a key can change the lists of everything above it. */
  private forget(key: string): void {
    this.changes += 1;
    this.values.delete(key);
    for (let slash = key.lastIndexOf("/"); slash > 0; slash = key.lastIndexOf("/", slash - 1)) {
      this.lists.delete(key.slice(0, slash + 1));
    }
  }
}

function decode(key: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (cause) {
    throw new VitrineError("corrupt", `registry record ${key} is not JSON`, {
      code: "registry-record-corrupt",
      operand: key,
      hint: "see what else is damaged: vitrine registry check",
      cause,
    });
  }
}
