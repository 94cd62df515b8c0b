/** The door of `oci/`: the image and runtime specs as values. No I/O. */
export * from "./digest.ts";
export * from "./image-types.ts";
export * from "./media-types.ts";
export * from "./runtime-config.ts";
export * from "./runtime-state.ts";
