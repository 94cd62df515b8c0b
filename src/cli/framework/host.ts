/**
 * A file of its own, to be loaded on use: importing a whole folder dynamically would put all of it into one chunk, and
 * every command that needs some of it would load that.
 */
export { probeHost } from "../../kernel/mod.ts";
