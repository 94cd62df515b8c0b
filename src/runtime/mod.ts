/** The door of `runtime/`: config.json → plan, and the state of running containers. */
export { compile } from "./compile.ts";
export type * from "./types.ts";
