/** Values by key, the least recently used dropped beyond a bound. */
export class BoundedCache<V> {
  private readonly entries = new Map<string, { readonly value: V; readonly weight: number }>();
  private readonly most: number;
  private weight = 0;

  /** `most`: the sum of the weights that is kept. */
  constructor(most: number) {
    this.most = most;
  }

  get(key: string): V | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    // Insertion order is the order of use.
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry.value;
  }

  set(key: string, value: V, weight = 1): void {
    this.delete(key);
    if (weight > this.most) return;
    this.entries.set(key, { value, weight });
    this.weight += weight;
    for (const oldest of this.entries.keys()) {
      if (this.weight <= this.most) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.weight -= entry.weight;
    this.entries.delete(key);
  }
}
