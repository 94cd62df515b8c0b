import { VitrineError } from "../../base/mod.ts";
import type { Context } from "../framework/context.ts";

/** Whether the store has something of this name; what is no name at all is not there. */
export async function storedRoot(context: Context, text: string): Promise<boolean> {
  const store = await context.store();
  try {
    store.rootSource(text);
    return true;
  } catch (error) {
    if (error instanceof VitrineError) return false;
    throw error;
  }
}
