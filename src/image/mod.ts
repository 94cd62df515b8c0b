/** The door of `image/`: names, platforms, images and where they come from. */
export * from "./platform.ts";
export * from "./reference.ts";
export * from "./source.ts";
export * from "./transport.ts";
