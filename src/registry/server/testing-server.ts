/** A registry in a process of its own, for tests that kill it: prints its URL. Argument: the root. */
import { writeAll } from "../../base/mod.ts";
import { startRegistry } from "./registry.ts";

const registry = await startRegistry({ root: process.argv[2] });
writeAll(1, `${registry.url}\n`);
