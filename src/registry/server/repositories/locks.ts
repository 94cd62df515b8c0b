/** Mutual exclusion by name within this process: what runs under one name runs one after the other. */
export class Locks {
  private readonly tails = new Map<string, Promise<void>>();

  async run<T>(name: string, body: () => Promise<T>): Promise<T> {
    const before = this.tails.get(name);
    const { promise: tail, resolve } = Promise.withResolvers<void>();
    this.tails.set(name, tail);
    try {
      await before;
      return await body();
    } finally {
      resolve();
      if (this.tails.get(name) === tail) this.tails.delete(name);
    }
  }
}
