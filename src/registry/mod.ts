/** The door of `registry/`: the distribution spec 1.1, from both sides. */
export * from "./client/mod.ts";
export * from "./protocol/mod.ts";
export * from "./server/mod.ts";
