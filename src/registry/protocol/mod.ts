/** What client and server share: the grammars and names of the distribution spec. No I/O. */
export * from "./challenge.ts";
export * from "./error-codes.ts";
export * from "./headers.ts";
export * from "./links.ts";
export * from "./names.ts";
export * from "./paths.ts";
export * from "./ranges.ts";
