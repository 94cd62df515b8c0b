export { runDeps } from "../api/mod.ts";
