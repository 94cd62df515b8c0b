export { embeddedName, resolveImage } from "../../api/mod.ts";
