export { resolveImage } from "../../api/mod.ts";
