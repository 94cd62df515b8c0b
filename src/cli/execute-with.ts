/**
 * execve(2) that hands descriptors on. Bun's own closes all from 3 on (it marks them when it starts, and again in
 * `process.execve`), so libc is called; node needs none of this.
 */
interface Library {
  readonly symbols: Readonly<Record<"fcntl" | "execve", (...values: readonly unknown[]) => number>>;
}
interface ForeignFunctions {
  dlopen(name: string, symbols: Readonly<Record<string, object>>): Library;
  ptr(view: NodeJS.TypedArray): number;
}

const setFlags = 2; // F_SETFD

/** Returns only where it could not be done. */
export async function executeWith(
  file: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  descriptors: readonly number[],
): Promise<void> {
  const name = "bun:ffi";
  const { dlopen, ptr } = (await import(name)) as ForeignFunctions;
  const libc = dlopen("libc.so.6", {
    fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
    execve: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
  });
  // Addresses keep nothing alive.
  const held: NodeJS.TypedArray[] = [];
  const hold = (view: NodeJS.TypedArray): number => {
    held.push(view);
    return ptr(view);
  };
  const text = (value: string): number => hold(Buffer.from(`${value}\0`));
  const list = (values: readonly string[]): number =>
    hold(BigUint64Array.from([...values.map((value) => BigInt(text(value))), 0n]));
  for (const one of descriptors) libc.symbols.fcntl(one, setFlags, 0);
  const variables = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  libc.symbols.execve(text(file), list(argv), list(variables));
}
