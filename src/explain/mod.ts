/** The door of `explain/`: plans, failures and hosts made readable. Reads values, does nothing. */
export * from "./types.ts";
