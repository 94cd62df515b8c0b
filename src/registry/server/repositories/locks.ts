/** Mutual exclusion by name within this process: what runs under one name runs in the order in which it came. */
export class Locks {
  private readonly tails = new Map<string, Turn>();

  /** Alone. */
  async run<T>(name: string, body: () => Promise<T>): Promise<T> {
    const before = this.tails.get(name)?.ended;
    return await this.take(name, { before, users: 0, shared: false, ended: Promise.resolve() }, body);
  }

  /** Beside others that do so, but not beside what runs alone. */
  async together<T>(name: string, body: () => Promise<T>): Promise<T> {
    const last = this.tails.get(name);
    const turn =
      last?.shared === true
        ? last
        : { before: last?.ended, users: 0, shared: true, ended: last?.ended ?? Promise.resolve() };
    return await this.take(name, turn, body);
  }

  private async take<T>(name: string, turn: Turn, body: () => Promise<T>): Promise<T> {
    const { promise: end, resolve } = Promise.withResolvers<void>();
    const { ended } = turn;
    turn.users += 1;
    turn.ended = ended.then(() => end);
    this.tails.set(name, turn);
    try {
      await turn.before;
      return await body();
    } finally {
      resolve();
      turn.users -= 1;
      if (turn.users === 0 && this.tails.get(name) === turn) this.tails.delete(name);
    }
  }
}

interface Turn {
  /** When it may begin. */
  readonly before: Promise<void> | undefined;
  readonly shared: boolean;
  users: number;
  /** When all of its users are done. */
  ended: Promise<void>;
}
