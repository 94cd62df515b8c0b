import { VitrineError } from "../base/mod.ts";
import type { Store, StoreOptions } from "./types.ts";

/** Opens the store at `options.root`. Nothing is read or written until a method is called. */
export function openStore(options: StoreOptions): Store {
  throw new VitrineError("unsupported", "the store is not written yet", {
    code: "store-missing",
    operand: options.root,
  });
}
