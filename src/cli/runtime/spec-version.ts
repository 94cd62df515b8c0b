/** A file of its own, to be loaded on use: importing a whole folder dynamically would put all of it into one chunk. */
export { runtimeSpecVersion } from "../../oci/mod.ts";
